"""Errors that a user can act on: a sentence, and what to do about it."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave or the machine lacks; printed without a traceback.

    Parameters
    ----------
    message
        What was wrong, and where.
    fix
        What to do about it, in one sentence; may be empty where the message says it.
    exit_code
        The process's exit code: 1 the work failed, 2 the input was unusable.
    """

    def __init__(self, message: str, fix: str = "", *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code
