"""`./bmx pipeline preview` and `up`: the CLI under the policy pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.cli_options import complain
from ops.errors import UserError
from ops.pulumi_cli import PACK, pulumi, refuse_without_its_key


def preview(stack: str, out: Path, state: Path | None) -> int:
    """Write a stack's preview, and its state where asked, into files; end as the CLI ended.

    A violated policy is no part of the CLI's JSON (pulumi/pkg/backend/display/json.go leaves policy events out): only
    the exit status tells. So a preview that failed without naming an error gets one, for whoever reads the file later.

    Raises
    ------
    UserError
        The CLI printed no JSON, the state could not be read, or the stack's file does not say what its secrets are
        encrypted with.
    """
    out.unlink(missing_ok=True)
    refuse_without_its_key(stack)
    if state is not None:
        exported = pulumi(["stack", "export"], stack, capture=True)
        if exported.code:
            raise UserError(f"The state of {stack} cannot be read; see the lines above.", exit_code=exported.code)
        state.write_text(exported.output, encoding="utf-8")
    done = pulumi(["preview", "--json", PACK], stack, capture=True)
    digest = _digest(done.output, stack, done.code)
    if done.code and not _names_an_error(digest):
        complain(f"the preview of {stack} ended with {done.code} and names no error; once more, in words:")
        pulumi(["preview", PACK], stack)
        words = f"pulumi preview ended with exit code {done.code}: a policy was violated, or the job's log says what"
        digest.setdefault("diagnostics", []).append({"severity": "error", "message": words})
    out.write_text(json.dumps(digest, indent=1), encoding="utf-8")
    return done.code


def up(stack: str) -> int:
    """Deploy under the policy pack; end as the CLI ended.

    Raises
    ------
    UserError
        The stack's file does not say what its secrets are encrypted with.
    """
    refuse_without_its_key(stack)
    return pulumi(["up", "--yes", PACK], stack).code


def _digest(text: str, stack: str, code: int) -> dict[str, Any]:
    try:
        digest = json.loads(text)
    except ValueError:
        digest = None
    if not isinstance(digest, dict):
        raise UserError(
            f"pulumi preview --stack {stack} ended with {code} and printed no preview; see the lines above.",
            exit_code=code or 2,
        )
    return digest


def _names_an_error(digest: dict[str, Any]) -> bool:
    listed = digest.get("diagnostics") or []
    return any(isinstance(each, dict) and each.get("severity") in {"error", "info#err"} for each in listed)
