"""`./bmx db check|repair|rotate|adopt-managed`: the same on the embedded cloud and on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from ops.audit import Audit
from ops.database.adopt import adopt_managed
from ops.database.repair import repair
from ops.database.rotate import rotate
from ops.database.target import AWS_ERRORS, Target
from ops.display import console_for
from ops.errors import UserError
from ops.stacks import StackHandle, stack

_VERDICTS = {
    "password": "refused, the password is wrong.",
    "user": "refused, the user is not the instance's.",
    "secret": "not tried, the secret says none.",
    "unknown": "none, and nothing is known of the password.",
}
COMMANDS: dict[str, Callable[[Target], None]] = {"repair": repair, "rotate": rotate, "adopt-managed": adopt_managed}


def check(name: str, *, as_json: bool) -> int:
    """Say whether the secret logs in, as whom, and which secret it is; 0 when it does, else 1."""
    handle = stack(name)
    target = Target(handle, lambda _: None, lambda _: None)
    with _in_words():
        login = target.login()
    works = login.ok and not login.callers
    if as_json:
        print(json.dumps({"stack": handle.name, "mode": target.mode, **vars(login)}))  # noqa: T201
        return 0 if works else 1
    console = console_for()
    console.print(f"stack:   {handle.name} ({target.mode})", markup=False)
    console.print(f"secret:  {login.secret}", markup=False, soft_wrap=True)
    if login.ok:
        console.print(f"login:   works, as {login.user} to {login.database}", markup=False)
    else:
        console.print(f"login:   {_VERDICTS[login.cause]} {login.reason}", markup=False, soft_wrap=True)
    if login.cause == "password":
        console.print(f"         Bring them back together: ./bmx db repair --stack {handle.name}", markup=False)
    if login.callers:
        console.print(f"callers: refused at the secret's own address. {login.callers}", markup=False, soft_wrap=True)
    return 0 if works else 1


def act(command: str, name: str, *, dry_run: bool) -> int:
    """Run one of `COMMANDS` on a stack; every change is on record before it is made.

    Raises
    ------
    UserError
        It could not be done.
    """
    handle = stack(name)
    console = console_for()
    target = Target(handle, _teller(console), _recorder(handle, command), dry_run=dry_run)
    with _in_words():
        COMMANDS[command](target)
    return 0


@contextmanager
def _in_words() -> Iterator[None]:
    """Let what AWS answers end in a sentence, wherever it was asked."""
    try:
        yield
    except AWS_ERRORS as error:
        raise UserError(
            f"AWS does not do what it is asked: {error}", "See what holds: ./bmx db check", exit_code=1
        ) from error


def _teller(console: Console) -> Callable[[str], None]:
    return lambda what: console.print(what, markup=False, soft_wrap=True)


def _recorder(handle: StackHandle, command: str) -> Callable[[str], None]:
    audit: list[Audit] = []

    def record(what: str) -> None:
        if not audit:
            audit.append(Audit(handle))  # a dry run needs none
        audit[0].record({"what": f"db {command}", "change": what})

    return record
