"""Promotion: everything that a stack's manifest says is held against what is so now; then its artefacts move on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.errors import UserError
from ops.promotion import checkout, observed
from ops.promotion.engines import Place, Plan
from ops.promotion.manifest import Letters, Manifest
from ops.promotion.releases import Releases
from ops.promotion.stack_file import artefacts_of, set_artefacts
from ops.promotion.taking import described


@dataclass(frozen=True)
class Refusal:
    """Why a promotion is refused; `check` is its name, for machines."""

    check: str
    says: str


@dataclass(frozen=True)
class Promotion:
    """What a promotion came to: what was verified, what stands against it, and what would change in the file."""

    manifest: Manifest
    file: Path
    refusals: tuple[Refusal, ...]
    changes: tuple[str, ...]

    def write(self) -> None:
        """Copy the artefacts into the file."""
        set_artefacts(self.file, self.manifest.artefacts)


def prepare(source: Place, to: str) -> Promotion:
    """Verify a stack's latest manifest, and say what of it the stack `to` would get.

    Raises
    ------
    UserError
        There is no manifest that can be relied on, or no stack `to`, or something does not answer, or the stack is
        the one on this machine.
    """
    file = source.project / f"Pulumi.{to}.yaml"
    if to == source.handle.name:
        raise UserError("A stack cannot be promoted to itself.", "Example: ./bmx promote staging prod")
    if source.handle.is_local:
        raise UserError(
            "What runs on this machine proves nothing for another stack: its image lies here, and the code of most of "
            "its flows is a stand-in.",
            "Example: ./bmx promote staging prod",
        )
    held = artefacts_of(file)
    manifest = Releases(source.handle).latest()
    refusals = tuple(refusal for check in CHECKS for refusal in check(source, manifest))
    strays = sorted(held.keys() - manifest.artefacts.keys())
    if strays:
        says = f"{file.name} has artefacts.{strays[0]}, which {manifest.stack} has not, so nobody has proven it"
        refusals += (Refusal("stray-artefact", says),)
    changes = tuple(
        f"artefacts.{name}: {_named(held.get(name))} -> {_named(value)}"
        for name, value in sorted(manifest.artefacts.items())
        if held.get(name) != value
    )
    return Promotion(manifest, file, refusals, changes)


def _deployed(source: Place, manifest: Manifest) -> Iterator[Refusal]:
    """What Lambda runs, function by function."""
    now = observed.functions(source.handle)
    for name in sorted(now.keys() | manifest.functions.keys()):
        if now.get(name) != manifest.functions.get(name):
            says = f"{name} does not run what the manifest says; it was deployed or changed since"
            yield Refusal("deployed", says)
    if dict(source.handle.output("artefacts")) != manifest.artefacts:
        yield Refusal("deployed", f"the artefacts of {manifest.stack} are not those of the manifest")


def _checked_out(source: Place, manifest: Manifest) -> Iterator[Refusal]:
    """The commit, its requirements, its policy pack."""
    here = checkout.commit(source.project)
    if here != manifest.commit:
        says = f"the manifest is of the commit {manifest.commit[:12]}, and {here[:12]} is checked out here"
        yield Refusal("commit", says)
    held = checkout.requirements(source.project)
    for name in sorted(held.keys() | manifest.requirements.keys()):
        if held.get(name) != manifest.requirements.get(name):
            yield Refusal("requirements", f"{name} is not the file that {manifest.stack} was deployed with")
    if checkout.pack(source.project) != manifest.policies.sha256:
        yield Refusal("policy-pack", "the policy pack here is not the one that judged the deployment")
    if manifest.policies.result != "passed":
        yield Refusal("policies", f"the policy pack did not pass {manifest.stack} when its manifest was written")


def _healthy(source: Place, _: Manifest) -> Iterator[Refusal]:
    """The deep check, now."""
    health = observed.health(source.handle)
    if not observed.promotable(health):
        troubles = ", ".join(f"{name}: {why}" for name, why in health.troubles.items())
        yield Refusal("health", f"{source.handle.name} is {health.status} now ({troubles or 'it does not say why'})")


def _in_step(source: Place, _: Manifest) -> Iterator[Refusal]:
    """Reality against the program: a preview that reads everything first."""
    preview = source.engine.preview(Plan(source.project), refresh=True)
    if preview.errors:
        says = f"the preview of {source.handle.name} ended with {len(preview.errors)} error(s), so drift is not known"
        yield Refusal("preview", says)
    if changes := described(preview):
        yield Refusal("drift", f"{source.handle.name} has drifted from its program: {changes}")


def _no_new_letters(source: Place, manifest: Manifest) -> Iterator[Refusal]:
    """Dead letters since the deployment: sent after it, or more of them than there were."""
    for flow, letters in observed.dead_letters(source.handle).items():
        before = manifest.dead_letters.get(flow, Letters(count=0, newest=None))
        if letters.newest is not None and letters.newest > manifest.deployed_at:
            says = f"{flow} has a dead letter of {letters.newest:%Y-%m-%d %H:%M:%S} UTC, sent after the deployment"
            yield Refusal("dead-letters", says)
        elif letters.count > before.count:
            yield Refusal("dead-letters", f"{flow} has {letters.count} dead letters, {before.count} at the deployment")


CHECKS: tuple[Callable[[Place, Manifest], Iterator[Refusal]], ...] = (
    _deployed,
    _checked_out,
    _healthy,
    _in_step,
    _no_new_letters,
)


def _named(artefact: object) -> str:
    if not isinstance(artefact, dict):
        return "nothing"
    if "image" in artefact:
        return str(artefact["image"])
    return f"sha256:{artefact['zip']['sha256']}" if "zip" in artefact else "an image built there"
