"""moto behind one HTTP endpoint on 127.0.0.1, with its time taken from the cloud's clock."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from moto.core import utils
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local.clock import Clock
from local.patching import Patches

_LISTEN = "127.0.0.1"
_LOG = logging.getLogger(__name__)


class PortTakenError(Exception):
    """A port that was asked for is in use; the message names port and option."""


def free_port(wanted: int, option: str) -> int:
    """A port on 127.0.0.1: `wanted`, or any free one if that is 0.

    Raises
    ------
    PortTakenError
        If `wanted` is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LISTEN, wanted))
        except OSError as error:
            raise PortTakenError(
                f"port {wanted} on {_LISTEN}, asked for by {option}, cannot be used ({error.strerror}): "
                f"stop what listens there, or choose another with {option}"
            ) from error
        return int(probe.getsockname()[1])


class _Gate:
    """Keeps moto's own control routes (`/moto-api/reset`, …), which know no permission, from every caller."""

    def __init__(self, application: DomainDispatcherApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if str(environ.get("PATH_INFO", "")).startswith(("/moto-api", "/latest/")):
            start_response("404 NOT FOUND", [("Content-Type", "text/plain")])
            return [b"not part of the embedded cloud\n"]
        try:
            return self._application(environ, start_response)  # type: ignore[no-any-return]
        except Exception:
            # the caller sees a bare 500
            _LOG.exception("%s %s failed inside moto", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            raise


class MotoServer:
    """moto's server in a thread of this process.

    moto's own `ThreadedMotoServer` waits for ever when its port is taken and serves the control routes.
    """

    def __init__(self, port: int) -> None:
        # one line a request is noise, the decisions' record says what was called; failures are logged above
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server: BaseWSGIServer = make_server(
            _LISTEN,
            port,
            _Gate(DomainDispatcherApplication(create_backend_app)),
            threaded=True,
            request_handler=MotoRequestHandler,
        )
        self.endpoint = f"http://{_LISTEN}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="moto", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def install_clock(clock: Clock) -> Patches:
    """Make every time that moto takes come from `clock`, until that is undone.

    moto takes the time in `moto.core.utils.utcnow`, but some modules have imported that function by name; those that
    are loaded already are patched too, later ones find the new function.
    """
    patches = Patches()
    original = utils.utcnow

    def utcnow() -> datetime:
        # moto compares naive datetimes throughout
        return clock.utcnow().replace(tzinfo=None)

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "moto" and getattr(module, "utcnow", None) is original:
            patches.set(module, "utcnow", utcnow)
    return patches
