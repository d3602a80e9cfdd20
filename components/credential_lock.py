"""The locks on a database instance: what no deployment may change, and the hooks that refuse it.

Pulumi's own `protect` stops deletion and replacement, never an update; `ignore_changes` keeps a value without a word.
So the hooks refuse, in preview and in deployment, with or without `--skip-preview` and `--ignore-protect`. A
replacement is refused before anything is made, because `delete_before_replace` brings the deletion first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.output import Unknown

from components.credential import INSTANCE, OWNERSHIP, PASSWORDS
from components.refused import RefusedError

#: Properties that the program never sets and an import may bring along; their values are kept.
IGNORED = PASSWORDS[INSTANCE]
#: Properties whose change would change the credential, or the data that it opens.
REFUSED = OWNERSHIP[INSTANCE]


class CredentialLock:
    """Refuses changes of a credential, and the loss of what it opens.

    Parameters
    ----------
    name
        Name of the component; the hooks' names begin with it. State refers to them, so it must stay.
    rotation
        How the password is changed properly, told to whoever is refused.
    """

    def __init__(self, name: str, rotation: str) -> None:
        self._rotation = rotation
        # Off by default: without it a preview would promise what the deployment refuses.
        on_preview_too = pulumi.ResourceHookOptions(on_dry_run=True)
        self._before_update = pulumi.ResourceHook(
            f"{name}-refuse-credential-change", self.refuse_credential_change, on_preview_too
        )
        self._before_delete = pulumi.ResourceHook(f"{name}-refuse-deletion", self.refuse_deletion, on_preview_too)

    def instance(self, also_ignored: Sequence[str] = ()) -> pulumi.ResourceOptions:
        """Return the options of the database instance, with what else is to be ignored of it for the time being."""
        return pulumi.ResourceOptions(
            protect=True,
            delete_before_replace=True,
            ignore_changes=[*IGNORED, *also_ignored],
            hooks=pulumi.ResourceHookBinding(before_update=[self._before_update], before_delete=[self._before_delete]),
        )

    def secret(self) -> pulumi.ResourceOptions:
        """Return the options of the secret by which callers find the database."""
        return pulumi.ResourceOptions(
            protect=True, hooks=pulumi.ResourceHookBinding(before_delete=[self._before_delete])
        )

    async def refuse_credential_change(self, args: pulumi.ResourceHookArgs) -> None:
        """Compare every guarded property, ignored ones too, should someone take the ignore list away.

        Raises
        ------
        RefusedError
            One of them differs, or is not known before the deployment. The message names it and holds no value.
        """
        old, new = args.old_inputs or {}, args.new_inputs or {}
        changed = [
            name for name in sorted((*REFUSED, *IGNORED)) if await _value(old.get(name)) != await _value(new.get(name))
        ]
        if changed:
            raise RefusedError(
                f"Refused: this update of the database {args.name!r} would change {', '.join(changed)}, and with it "
                "the credential that its callers log in by. Nothing was changed. To change the password: "
                f"{self._rotation}"
            )

    async def refuse_deletion(self, args: pulumi.ResourceHookArgs) -> None:
        """Refuse every deletion, the one in a replacement too.

        Raises
        ------
        RefusedError
            Always.
        """
        raise RefusedError(
            f"Refused: this would delete {args.name!r}, and with it the database or the way to it. Nothing was "
            f"changed. If the password is what is to be changed: {self._rotation}"
        )


async def _value(value: Any) -> Any:
    """Return a plain, comparable value; every way of leaving a property out is the same."""
    if isinstance(value, pulumi.Output):
        # Secret inputs reach hooks as Outputs, and two Outputs never compare equal.
        value = await value.future(with_unknowns=True)
    if isinstance(value, Unknown):
        return object()  # equal to nothing: what is not known yet may be a change
    if isinstance(value, Mapping):
        value = {key: part for key, item in value.items() if (part := await _value(item)) is not None}
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = [await _value(item) for item in value]
    return value or None
