"""After set-up nothing leaves this machine.

An audit hook refuses every connection and every name look-up that is not for this machine, in the process that
installs it. It sees what Python does; a C library that opens its own sockets (gRPC's) is only kept in by the addresses
that it is given.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

_LOCAL_FAMILIES = {
    family
    for family in (
        getattr(socket, "AF_UNIX", None),
        getattr(socket, "AF_NETLINK", None),
        getattr(socket, "AF_ALG", None),
    )
    if family is not None
}
_PROXY_VARIABLES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}

_installed = threading.Lock()
refused: list[str] = []
"""Every address that was refused in this process, in order."""


class OfflineError(RuntimeError):
    """Something tried to leave the machine.

    Not an `OSError`: network libraries turn those into "could not connect" and try again, which hides what happened.
    """


def is_local(host: object) -> bool:
    """Whether `host`, a name or an address, is this machine's own loopback."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost"):
        # None and "" ask for the wildcard address to listen on
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _refuse(what: str, host: object) -> None:
    refused.append(str(host))
    raise OfflineError(
        f"{what} {host!r} refused: the embedded cloud does not leave this machine. "
        "Whatever asked for it must use the cloud's endpoint on 127.0.0.1."
    )


def _check_address(what: str, sock: Any, address: Any) -> None:
    if sock.family in _LOCAL_FAMILIES:
        return
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        _refuse(what, address)
    # sendmsg on a connected socket carries no address: its connection was checked
    if address is not None and not is_local(address[0]):
        _refuse(what, address[0])


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _check_address("connection to", args[0], args[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        if not is_local(args[0]):
            _refuse("look-up of", args[0])
    elif event == "socket.getnameinfo" and not is_local(args[0][0]):
        _refuse("look-up of", args[0][0])


def install() -> None:
    """Refuse, from now on and for good, every connection and look-up but the loopback's and Unix sockets'.

    An audit hook cannot be taken away again (PEP 578), so installing twice does nothing.
    """
    if _installed.acquire(blocking=False):
        sys.addaudithook(_hook)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environment` for a process that talks to the embedded cloud alone.

    Inherited `AWS_*` and `MOTO_*` variables and proxies are left out, the user's AWS profiles and the metadata service
    are out of reach: a developer's real credentials must not find their way in.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(("AWS_", "MOTO_")) and name.lower() not in _PROXY_VARIABLES
    }
    return kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def clean_process_environment() -> None:
    """`clean_environment` for this process and the children that inherit from it."""
    cleaned = clean_environment(os.environ)
    for name in set(os.environ) - set(cleaned):
        del os.environ[name]
    os.environ.update(cleaned)
