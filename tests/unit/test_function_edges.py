"""Every function's edge, in a process of its own as on Lambda: its log lines, and its version without work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HANDLERS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("handlers/*/*.py")
    if "\ndef handler(" in path.read_text(encoding="utf-8")
)
CONTEXT = """
import importlib, json, logging, sys
class Context:
    function_name, memory_limit_in_mb, function_version = "f", 128, "1"
    invoked_function_arn, aws_request_id = "arn", "request-1"
logging.basicConfig(stream=sys.stdout, format="ROOT %(message)s")  # as Lambda's runtime: plain text from WARNING on
"""
LOGS = """
from handlers.common import entry
core = logging.getLogger("handlers.core.module")
def said(event):
    core.info("begun")
    if event.get("job"):
        entry.logger().append_keys(job_id=event["job"])
        core.warning("in the middle")
    return {"version": "x"}
entry.version_answer = said
"""


def run(module: str, code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{CONTEXT}{code}", module],
        cwd=ROOT,
        env={"BMX_ENVIRONMENT": "local", "BMX_VERSION": "1.2.3", "POWERTOOLS_LOG_LEVEL": "INFO"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_functions_are_found():
    assert {name.split(".")[1] for name in HANDLERS} == {
        "api",
        "image_processor",
        "job_sweeper",
        "migrate",
        "tracking_dispatcher",
    }


@pytest.mark.parametrize("module", HANDLERS)
def test_a_version_is_answered_without_any_setting_of_the_work(module):
    code = "print(json.dumps(importlib.import_module(sys.argv[1]).handler({'version': True}, Context())))"
    assert json.loads(run(module, code)[-1]) == {"version": "1.2.3", "environment": "local"}


@pytest.mark.parametrize("module", HANDLERS)
def test_a_core_modules_lines_are_json_with_the_keys_of_this_request_alone(module):
    calls = "handler = importlib.import_module(sys.argv[1]).handler\n" + "".join(
        f"handler({event!r}, Context())\n" for event in ({"job": "7"}, {})
    )
    lines = [json.loads(line) for line in run(module, LOGS + calls)]
    assert [(line["level"], line["message"], line.get("job_id")) for line in lines] == [
        ("INFO", "begun", None),
        ("WARNING", "in the middle", "7"),
        ("INFO", "begun", None),
    ]
    assert {line["function_request_id"] for line in lines} == {"request-1"}


def test_no_function_makes_a_logger_of_its_own():
    own = [path for path in ROOT.glob("handlers/**/*.py") if "import Logger" in path.read_text(encoding="utf-8")]
    assert own == [ROOT / "handlers/common/entry.py"]
