"""What `./bmx keys` prints."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from handlers.common.keys import CACHE
from ops import keys
from ops.audit import Audit
from ops.display import console_for
from ops.stacks import stack


def add(name: str, owner: str, *, first: bool, as_json: bool) -> int:
    """Make a key for `owner`; on standard output stands the key alone, or with `as_json` an object."""
    handle = stack(name)
    if first:
        Audit(handle).record({"what": "keys add --first", "name": owner})
        made = keys.add_first(handle.client("secretsmanager"), str(handle.output("api_keys_secret_arn")), owner)
    else:
        made = keys.add(handle, owner)
    print(json.dumps({"name": made.name, "id": made.id, "key": made.key}) if as_json else made.key)  # noqa: T201
    return 0


def listing(name: str, *, as_json: bool) -> int:
    """Print every key without the key."""
    found = keys.listing(stack(name))
    if as_json:
        print(json.dumps({"keys": [_record(each) for each in found]}, indent=2))  # noqa: T201
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "kept in", "made", "last used", "revoked"):
        table.add_column(column, overflow="fold")
    for each in found:
        # Of keys in the secret no use is written down: reading a secret is all that the API may do with it.
        used = each.last_used_on or ("not kept" if each.where == "secret" else "never")
        cells = (each.id, each.name, each.where, _minute(each.made_at), used, _minute(each.revoked_at))
        table.add_row(*(Text(cell) for cell in cells))
    console_for().print(table if found else "There is no key. Make one: ./bmx keys add NAME", markup=False)
    return 0


def revoke(name: str, key: str, *, as_json: bool) -> int:
    """Revoke a key and say from when it is refused."""
    done = keys.revoke(stack(name), key)
    if as_json:
        print(json.dumps(_record(done)))  # noqa: T201
        return 0
    how = f"refused within {CACHE.seconds} s" if done.where == "secret" else "refused from now on"
    console_for().print(Text(f"{done.id} {done.name}: revoked {_minute(done.revoked_at)} UTC, {how}"), soft_wrap=True)
    return 0


def _record(key: keys.Key) -> dict[str, Any]:
    return {"id": key.id, **{name: value for name, value in vars(key).items() if name != "digest"}}


def _minute(moment: str | None) -> str:
    return "-" if moment is None else moment[:16].replace("T", " ")
