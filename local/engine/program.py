"""Runs the Pulumi program in this process, through the SDK's own language server: ``python -m local.engine.program``.

The request comes as JSON on standard input, so that configuration secrets are in no argument list and no environment.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
from typing import Any

from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2


def main() -> int:
    """Run the program and give the exit code: 0 if it ended well."""
    request: dict[str, Any] = json.load(sys.stdin)
    _stay_on_this_machine()
    folder = request["folder"]
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = [f"{folder}/__main__.py"]
    run = language_pb2.RunRequest(
        project=request["project"],
        stack=request["stack"],
        pwd=folder,
        program=folder,
        args=[request["monitor"]],
        monitor_address=request["monitor"],
        config=request["config"],
        configSecretKeys=request["secret_keys"],
        dryRun=request["dry_run"],
        parallel=request["parallel"],
        organization="organization",
    )
    server = LanguageServer(lambda: runpy.run_path(f"{folder}/__main__.py", run_name="__main__"))  # type: ignore[arg-type, return-value]
    result = server.Run(run, None)
    return 1 if result.error or result.bail else 0


def _stay_on_this_machine() -> None:
    if importlib.util.find_spec("local.offline") is not None:
        from local import offline  # noqa: PLC0415

        offline.install()


if __name__ == "__main__":
    sys.exit(main())
