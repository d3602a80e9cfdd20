"""`./bmx manifest`, `./bmx promote`, `./bmx rollback`: stacks found, work done, results told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ops import weights as model_weights
from ops.audit import Audit
from ops.display import console_for
from ops.errors import UserError
from ops.guard.command import allowed
from ops.paths import ROOT
from ops.promotion import promote as promotion
from ops.promotion import rollback as going_back
from ops.promotion.engines import Place, place
from ops.promotion.manifest import Manifest
from ops.promotion.releases import Releases
from ops.promotion.taking import keep, take
from ops.stacks import stack


def write(name: str, *, as_json: bool) -> int:
    """Look at a deployed stack and keep its manifest; 0.

    Raises
    ------
    UserError
        It is not what this commit declares, or something does not answer.
    """
    found = place(name)
    audit = Audit(found.handle)
    manifest = take(found, by=audit.who)
    audit.record({"what": "manifest.write", "sha256": manifest.sha256, "commit": manifest.commit})
    key = keep(found, manifest)
    if as_json:
        print(json.dumps({"key": key, "sha256": manifest.sha256}))  # noqa: T201
    else:
        _print_manifest(manifest)
        console_for().print(f"kept as {key}", markup=False, soft_wrap=True)
    return 0


def show(name: str, *, history: bool, as_json: bool) -> int:
    """Print the latest manifest, or a line for each; 0."""
    releases = Releases(stack(name))
    manifests = releases.history() if history else [releases.latest()]
    if as_json:
        documents = [json.loads(each.to_bytes()) for each in manifests]
        print(json.dumps(documents if history else documents[0], indent=1, sort_keys=True))  # noqa: T201
        return 0
    for manifest in manifests:
        if history:
            back = f"  restores {manifest.restores[:12]}" if manifest.restores else ""
            line = f"{manifest.sha256[:12]}  {manifest.written_at:%Y-%m-%d %H:%M:%S}  {manifest.commit[:12]}{back}"
            console_for().print(line, markup=False)
        else:
            _print_manifest(manifest)
    return 0


def promote(source: str, to: str, *, dry_run: bool, as_json: bool) -> int:
    """Copy what a stack proved into another's configuration; 0, or 1 where it is refused.

    Raises
    ------
    UserError
        It could not be verified.
    """
    return promote_from(place(source), to, dry_run=dry_run, as_json=as_json)


def promote_from(source: Place, to: str, *, dry_run: bool, as_json: bool = False) -> int:
    """Promote from a place; 0, or 1 where it is refused."""
    prepared = promotion.prepare(source, to)
    if as_json:
        _print_json(prepared, dry_run=dry_run)
    else:
        _tell(prepared, dry_run=dry_run)
    if prepared.refusals:
        return 1
    if not dry_run and prepared.changes:
        Audit(source.handle).record(
            {"what": "promote", "to": to, "manifest": prepared.manifest.sha256, "changes": list(prepared.changes)}
        )
        prepared.write()
    return 0


def rollback(name: str, *, dry_run: bool, allow: Iterable[str]) -> int:
    """Deploy what was deployed before; 0, or 1 where it is refused.

    Raises
    ------
    UserError
        There is nothing to go back to, or the deployment failed.
    """
    return rollback_at(place(name), dry_run=dry_run, allow=allowed(allow))


def rollback_at(found: Place, *, dry_run: bool, allow: Mapping[str, str]) -> int:
    """Roll a place back; 0, or 1 where it is refused."""
    releases = Releases(found.handle)
    target = releases.before(releases.latest())

    def record(entry: Mapping[str, object]) -> str:
        audit = Audit(found.handle)
        audit.record(entry)
        return audit.who

    done = going_back.carry_out(
        found, target, dry_run=dry_run, allow=allow, record=record, tell=lambda it: _tell_rollback(it, dry_run=dry_run)
    )
    if done and not dry_run:
        console_for().print(f"{found.handle.name} runs what {target.sha256[:12]} says; the database was not touched.")
    return 0 if done else 1


def weights() -> int:
    """Put the verified weights where the image's build takes them from; 0.

    Raises
    ------
    UserError
        No source gave the right file.
    """
    try:
        path = model_weights.ensure(cache=ROOT / ".build" / "weights")
    except model_weights.WeightsError as error:
        raise UserError(str(error), exit_code=1) from error
    console_for().print(f"verified: {path.relative_to(ROOT)}", markup=False)
    return 0


def _tell(prepared: promotion.Promotion, *, dry_run: bool) -> None:
    console, manifest = console_for(), prepared.manifest
    console.print(
        f"{manifest.stack}, commit {manifest.commit[:12]}, deployed {manifest.deployed_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"manifest {manifest.sha256[:12]}",
        markup=False,
        soft_wrap=True,
    )
    for refusal in prepared.refusals:
        console.print(f"REFUSED {refusal.check}: {refusal.says}", style="bold red", markup=False, soft_wrap=True)
    if prepared.refusals:
        return
    verb = "would change" if dry_run else "changes"
    for change in prepared.changes:
        console.print(f"{prepared.file.name} {verb}: {change}", markup=False, soft_wrap=True)
    if not prepared.changes:
        console.print(f"{prepared.file.name} names these artefacts already.", markup=False)
    elif not dry_run:
        console.print("Commit it and let the pull request's preview show what it does.", markup=False)


def _print_json(prepared: promotion.Promotion, *, dry_run: bool) -> None:
    document = {
        "manifest": prepared.manifest.sha256,
        "refusals": [vars(refusal) for refusal in prepared.refusals],
        "changes": list(prepared.changes),
        "written": not dry_run and not prepared.refusals and bool(prepared.changes),
    }
    print(json.dumps(document, indent=1))  # noqa: T201


def _tell_rollback(found: going_back.Rollback, *, dry_run: bool) -> None:
    console = console_for()
    console.print(
        f"from {found.current.sha256[:12]} (commit {found.current.commit[:12]}) "
        f"to {found.target.sha256[:12]} (commit {found.target.commit[:12]})",
        markup=False,
        soft_wrap=True,
    )
    for line in found.report.lines():
        console.print(line, style="bold red" if line.startswith("REFUSED") else "", markup=False, soft_wrap=True)
    for step in found.touches:
        words = f"REFUSED database: going back would {step.op} {step.name!r}, and a rollback touches no database"
        console.print(words, style="bold red", markup=False, soft_wrap=True)
    console.print("migrate and the schema stay as they are.", markup=False)
    if dry_run:
        console.print("Only looked: nothing was changed.", markup=False)


def _print_manifest(manifest: Manifest) -> None:
    console = console_for()
    lines = [
        f"manifest:  {manifest.sha256}",
        f"stack:     {manifest.stack}, commit {manifest.commit}",
        f"deployed:  {manifest.deployed_at:%Y-%m-%d %H:%M:%S} UTC; written by {manifest.by}",
        f"policies:  {manifest.policies.result} ({manifest.policies.sha256[:12]})",
        f"health:    {manifest.health.status}",
        *(f"           {name}: {why}" for name, why in manifest.health.troubles.items()),
        *(f"function:  {name}  {code.kind} {code.sha256}" for name, code in manifest.functions.items()),
        *(f"letters:   {flow}: {each.count}" for flow, each in manifest.dead_letters.items() if each.count),
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
