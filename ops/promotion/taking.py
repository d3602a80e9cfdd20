"""Takes the manifest of a stack: looks at everything that it says, and refuses to say what is not so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ops.errors import UserError
from ops.guard import Preview
from ops.promotion import checkout, observed
from ops.promotion.engines import Place, Plan
from ops.promotion.manifest import Manifest, Pack
from ops.promotion.releases import Releases


def take(place: Place, *, by: str, plan: Plan | None = None, restores: str | None = None) -> Manifest:
    """Look at a stack and say what is deployed there.

    Parameters
    ----------
    by
        ARN of whoever asks.
    plan
        What was deployed, where it was not simply this checkout.
    restores
        The manifest that a rollback brought back.

    Raises
    ------
    UserError
        The stack is not what the commit declares, or something does not answer.
    """
    folder: Path = plan.folder if plan else place.project
    commit, name = checkout.commit(folder), place.handle.name
    deployed_at = place.engine.last_update()
    preview = place.engine.preview(plan or Plan(folder))
    if changes := described(preview):
        raise UserError(
            f"What is deployed to {name} is not what the commit {commit[:12]} declares: {changes}.",
            "Deploy it first; a manifest tells of a deployment.",
            exit_code=1,
        )
    return Manifest(
        stack=name,
        commit=commit,
        written_at=datetime.now(UTC),
        deployed_at=deployed_at,
        by=by,
        artefacts=dict(place.handle.output("artefacts")),
        functions=observed.functions(place.handle),
        requirements=checkout.requirements(folder),
        policies=Pack(sha256=checkout.pack(place.project), result="failed" if preview.errors else "passed"),
        health=observed.health(place.handle),
        dead_letters=observed.dead_letters(place.handle),
        restores=restores,
    )


def described(preview: Preview) -> str:
    """Say which resources a preview would change; empty where it would change none."""
    changed = [f"{step.op} {step.name}" for step in preview.steps if step.changes_it]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""  # noqa: PLR2004  three tell enough
    return ", ".join(changed[:3]) + more


def keep(place: Place, manifest: Manifest) -> str:
    """Put a manifest into the stack's bucket and return its key."""
    return Releases(place.handle).write(manifest)
