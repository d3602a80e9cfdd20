"""The way back: what an earlier manifest says is deployed again, through the plan gate, and never near the database.

The schema stays too: `migrate` and its invocation are left as they are, because an older revision of the program does
not know what a newer one made of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ops.errors import UserError
from ops.guard import Report, judge
from ops.guard.database import DATABASES
from ops.guard.preview import Step
from ops.promotion import checkout, observed
from ops.promotion.engines import Place, Plan
from ops.promotion.manifest import Manifest
from ops.promotion.releases import Releases
from ops.promotion.stack_file import pinned
from ops.promotion.taking import keep, take

SCHEMA = (
    "urn:pulumi:*::*::**worker-flows:index:Migration**",
    "urn:pulumi:*::*::worker-flows:index:Function**::migrate*",
)
DATABASE = ("urn:pulumi:*::*::**worker-flows:index:Database**",)
_COMPONENT = "worker-flows:index:Database"


@dataclass(frozen=True)
class Rollback:
    """What a rollback came to.

    Attributes
    ----------
    current, target
        What is deployed, and what is to be deployed again.
    report
        The plan gate's judgement of the plan.
    touches
        Steps of the plan on the database or its secret; one is enough to refuse.
    """

    current: Manifest
    target: Manifest
    report: Report
    touches: tuple[Step, ...]

    @property
    def allowed(self) -> bool:
        """Whether it may be carried out."""
        return self.report.passed and not self.touches


def prepare(place: Place, plan: Plan, target: Manifest, allow: Mapping[str, str]) -> Rollback:
    """Preview going back, with the database in it, so that a step on it is seen and not just left out."""
    preview = place.engine.preview(plan)
    touches = tuple(step for step in preview.steps if step.changes_it and touches_database(step))
    return Rollback(Releases(place.handle).latest(), target, judge(preview, allow=allow), touches)


def touches_database(step: Step) -> bool:
    """Whether a step is on a database, or on anything of the component that owns one: its secret among it."""
    return step.type in DATABASES or step.under("Database") or step.type == _COMPONENT


def carry_out(
    place: Place,
    target: Manifest,
    *,
    dry_run: bool,
    allow: Mapping[str, str],
    record: Callable[[Mapping[str, object]], str],
    tell: Callable[[Rollback], None],
) -> bool:
    """Deploy what a manifest says, verify it, and keep a manifest of it.

    Parameters
    ----------
    target
        From `Releases.before`.
    allow
        Rules of the plan gate to the reasons why they may be passed.
    record
        Writes who does what before it is done, and returns who that is.
    tell
        Told what it would come to, before anything is done.

    Returns
    -------
    bool
        False where it is refused.

    Raises
    ------
    UserError
        The deployment failed, or does not run what the manifest says.
    """
    with checkout.worktree(place.project, target.commit) as folder:
        artefacts = pinned(folder / f"Pulumi.{place.handle.name}.yaml", target.artefacts)
        plan = Plan(folder, artefacts, SCHEMA)
        found = prepare(place, plan, target, allow)
        tell(found)
        if not found.allowed or dry_run:
            return found.allowed
        by = record(
            {"what": "rollback", "from": found.current.sha256, "to": target.sha256, "commit": target.commit}
            | {"allowed": [f"{finding.rule}: {why}" for finding, why in found.report.allowed]}
        )
        # Left out once more: should something change between preview and deployment, it still is not the database.
        place.engine.up(replace(plan, excludes=(*SCHEMA, *DATABASE)))
        now = place.again()
        _require_equal(observed.functions(now.handle), target)
        keep(now, take(now, by=by, plan=plan, restores=target.sha256))
    return True


def _require_equal(now: Mapping[str, object], target: Manifest) -> None:
    for name, code in target.functions.items():
        if code.artefact is not None and now.get(name) != code:
            raise UserError(f"After the rollback {name} does not run what the manifest says.", exit_code=1)
