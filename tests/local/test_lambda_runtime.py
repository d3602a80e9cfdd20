"""The Lambda runtime against moto: real processes, Lambda's limits and messages."""

import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from local.invocation import REQUEST_LIMIT, InvokeError, Throttled
from tests.local.lambda_cloud import LambdaCloud, eventually, lambda_cloud, zipped

ECHO = "def handler(event, context): return event"
PID = "import os\ndef handler(event, context): return os.getpid()"
SLEEP = "import time\ndef handler(event, context): time.sleep(event['seconds']); return 'slept'"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with lambda_cloud(tmp_path_factory.mktemp("home"), concurrency=6) as made:
        yield made


def run(cloud: LambdaCloud, name: str, source: str, event: object = None, **settings):
    cloud.function(name, source, **settings)
    return cloud.runtime.invoke(name, json.dumps(event).encode())


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_boto3_invokes_the_function_and_gets_answer_and_log_tail(cloud):
    cloud.function(
        "hello", "def handler(event, context):\n    print('said hello')\n    return {'hello': event['name']}"
    )
    answer = cloud.client("lambda").invoke(FunctionName="hello", Payload=b'{"name": "book"}', LogType="Tail")
    assert json.loads(answer["Payload"].read()) == {"hello": "book"}
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST" and "FunctionError" not in answer
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "said hello\n" in log and "REPORT RequestId: " in log


def test_a_second_invocation_uses_the_same_process(cloud):
    cloud.function("warm", PID)
    assert cloud.runtime.invoke("warm", b"{}").json() == cloud.runtime.invoke("warm", b"{}").json()


def test_two_invocations_at_once_run_in_two_processes(cloud):
    cloud.function("parallel", "import os, time\ndef handler(e, c): time.sleep(0.5); return os.getpid()")
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(cloud.runtime.invoke("parallel", b"{}").json())) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"Environment": {"Variables": {"NEW": "1"}}},
        {"MemorySize": 300},
        {"Timeout": 20},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_configuration_starts_a_new_process_and_ends_the_old(cloud, change):
    name = f"changed-{next(iter(change))}"
    cloud.function(name, PID)
    old = cloud.runtime.invoke(name, b"{}").json()
    cloud.client("lambda").update_function_configuration(FunctionName=name, **change)
    assert cloud.runtime.invoke(name, b"{}").json() != old
    assert eventually(lambda: gone(old))


def test_changed_code_is_what_runs_next(cloud):
    cloud.function("recoded", "def handler(e, c): return 1")
    assert cloud.runtime.invoke("recoded", b"{}").json() == 1
    cloud.client("lambda").update_function_code(FunctionName="recoded", ZipFile=zipped("def handler(e, c): return 2"))
    assert cloud.runtime.invoke("recoded", b"{}").json() == 2


def test_an_invocation_in_flight_ends_in_its_old_process_which_then_goes(cloud):
    cloud.function("midway", "import os, time\ndef handler(e, c): time.sleep(1); return os.getpid()")
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(cloud.runtime.invoke("midway", b"{}").json()))
    thread.start()
    assert eventually(lambda: cloud.runtime.processes("midway"))
    cloud.client("lambda").update_function_configuration(FunctionName="midway", Timeout=9)
    thread.join()
    assert answers and eventually(lambda: gone(answers[0]))


def test_the_process_has_declared_and_reserved_variables_and_nothing_inherited(cloud, monkeypatch):
    monkeypatch.setenv("AWS_OF_THE_DEVELOPER", "x")
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    settings = {"Environment": {"Variables": {"BMX_ENVIRONMENT": "local"}}}
    source = "import os, tempfile\ndef handler(e, c): return [dict(os.environ), os.path.expanduser('~'), os.getcwd()]"
    found, home, folder = run(cloud, "variables", source, **settings).json()
    assert found["BMX_ENVIRONMENT"] == "local"
    assert found["AWS_ENDPOINT_URL"] == cloud.endpoint and found["AWS_REGION"] == "us-west-2"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "variables" and found["_HANDLER"] == "app.handler"
    assert found["LAMBDA_TASK_ROOT"] == folder and found["TMPDIR"].startswith("/tmp/")
    assert "AWS_OF_THE_DEVELOPER" not in found and "SECRET_OF_THE_SHELL" not in found
    assert not Path(home).exists()


def test_calls_of_the_function_are_decided_under_its_own_role(cloud):
    source = """
        import boto3
        def handler(event, context):
            boto3.client("sqs").list_queues()
            try:
                boto3.client("s3").list_buckets()
            except Exception as error:
                return str(error)
        """
    error = run(cloud, "asking", source, actions=["sqs:ListQueues"], MemorySize=512).json()
    assert "AccessDenied" in error and "asking-role" in error
    mine = [(each.action, each.allowed) for each in cloud.iam.decisions if each.role == "asking-role"]
    assert ("sqs:ListQueues", True) in mine and ("s3:ListAllMyBuckets", False) in mine


def test_a_function_over_its_timeout_is_killed_with_lambdas_message(cloud):
    source = "import os, time\nprint('pid', os.getpid())\ndef handler(e, c): time.sleep(60)"
    began = time.monotonic()
    invocation = run(cloud, "slow", source, Timeout=1)
    assert invocation.function_error == "Unhandled"
    assert invocation.json()["errorType"] == "Sandbox.Timedout"
    assert invocation.json()["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert b"Task timed out after 1.00 seconds" in invocation.log_tail
    assert time.monotonic() - began < 30
    pid = int(invocation.log_tail.split(b"pid ")[1].split()[0])
    assert eventually(lambda: gone(pid))


def test_the_next_invocation_after_a_timeout_starts_anew(cloud):
    cloud.function("again", SLEEP, Timeout=1)
    assert cloud.runtime.invoke("again", {"seconds": 9}).function_error
    assert cloud.runtime.invoke("again", {"seconds": 0}).json() == "slept"


def test_a_function_above_its_memory_is_killed_and_reported_as_lambda_does(cloud):
    source = """
        import time
        def handler(event, context):
            held = bytearray(200 << 20)
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(5)
        """
    invocation = run(cloud, "greedy", source, MemorySize=128)
    assert invocation.json()["errorType"] == "Runtime.ExitError"
    assert invocation.json()["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert invocation.peak_memory_mb > 128


def test_memory_of_child_processes_counts(cloud):
    child = "held = bytearray(200 << 20); held[::4096] = b'x' * len(held[::4096]); import time; time.sleep(5)"
    source = f"import subprocess, sys\ndef handler(e, c): subprocess.run([sys.executable, '-c', {child!r}])"
    assert "signal: killed" in run(cloud, "parent", source, MemorySize=150).json()["errorMessage"]


def test_children_of_a_killed_function_are_killed_too(cloud):
    source = """
        import subprocess
        def handler(event, context):
            child = subprocess.Popen(["sleep", "300"])
            print("child", child.pid, flush=True)
            child.wait()
        """
    tail = run(cloud, "family", source, Timeout=1).log_tail
    assert eventually(lambda: gone(int(tail.split(b"child ")[1].split()[0])))


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_ends_itself_is_reported_with_how_it_ended(cloud, ending, message):
    name = f"ends-{abs(hash(ending))}"
    invocation = run(cloud, name, f"import os\ndef handler(e, c): {ending}")
    assert invocation.json()["errorType"] == "Runtime.ExitError"
    assert invocation.json()["errorMessage"].endswith(message)


def test_an_import_that_fails_is_reported_as_an_init_error(cloud):
    invocation = run(cloud, "broken", "import no_such_module\ndef handler(e, c): pass")
    assert invocation.function_error == "Unhandled"
    assert invocation.json()["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'no_such_module'" in invocation.json()["errorMessage"]


def test_an_exception_is_answered_with_type_message_and_trace(cloud):
    answer = run(cloud, "raising", "def handler(e, c): raise KeyError('title')").json()
    assert answer["errorType"] == "KeyError" and answer["errorMessage"] == "'title'" and answer["stackTrace"]


def test_the_file_system_is_read_only_but_for_tmp(cloud):
    source = """
        import os, tempfile
        def attempt(path):
            try:
                with open(path, "w") as file:
                    file.write("x")
                return "written"
            except OSError as error:
                return error.strerror
        def handler(event, context):
            os.makedirs(os.path.join(tempfile.gettempdir(), "folder"))
            return [attempt(os.path.join(tempfile.gettempdir(), "a")), attempt("app.py"), attempt(event["outside"])]
        """
    outside = "/usr/must-not-be-written"  # a clone may lie in /tmp, which is a function's to write
    answer = run(cloud, "writing", source, {"outside": outside}).json()
    assert answer == ["written", "Read-only file system", "Read-only file system"]
    assert not Path(outside).exists()


def test_nothing_beyond_this_machine_is_reached(cloud):
    source = "import socket\ndef handler(e, c): socket.create_connection(('203.0.113.1', 80), timeout=2)"
    assert run(cloud, "outward", source).json()["errorType"] == "OfflineError"


def test_code_of_this_repository_is_not_importable(cloud):
    answer = run(cloud, "importing", "import local.iam\ndef handler(e, c): pass").json()
    assert "No module named 'local'" in answer["errorMessage"]


def test_a_request_over_6_mb_is_refused(cloud):
    cloud.function("large-in", ECHO)
    with pytest.raises(InvokeError, match="RequestTooLargeException"):
        cloud.runtime.invoke("large-in", b'"' + b"x" * REQUEST_LIMIT + b'"')


def test_an_answer_over_6_mb_is_an_error_and_one_below_it_is_not(cloud):
    cloud.function("large-out", "def handler(event, context): return 'x' * event['size']")
    assert len(cloud.runtime.invoke("large-out", {"size": 6_290_000}).json()) == 6_290_000
    assert cloud.runtime.invoke("large-out", {"size": 6_300_000}).json()["errorType"] == "Function.ResponseSizeTooLarge"


def test_reserved_concurrency_throttles_what_is_above_it(cloud):
    cloud.function("reserved", SLEEP)
    cloud.client("lambda").put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=1)
    thread = threading.Thread(target=cloud.runtime.invoke, args=("reserved", {"seconds": 1.5}))
    thread.start()
    assert eventually(lambda: cloud.runtime.processes("reserved"))
    with pytest.raises(ClientError, match=r"TooManyRequestsException.*Rate Exceeded"):
        cloud.client("lambda").invoke(FunctionName="reserved", Payload=b'{"seconds": 0}')
    thread.join()
    assert cloud.runtime.invoke("reserved", {"seconds": 0}).json() == "slept"


def test_reserved_concurrency_of_zero_switches_the_function_off(cloud):
    cloud.function("off", ECHO)
    cloud.client("lambda").put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=0)
    with pytest.raises(Throttled, match="Rate Exceeded"):
        cloud.runtime.invoke("off", b"{}")


def test_an_event_is_tried_twice_more_after_one_and_two_minutes(cloud, tmp_path):
    log = cloud.home / "logs" / "unlucky.log"
    cloud.function("unlucky", "def handler(e, c):\n    print('attempt')\n    raise ValueError(e)")
    answer = cloud.client("lambda").invoke(FunctionName="unlucky", InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202

    def attempts() -> int:
        return log.read_text().count("REPORT RequestId") if log.exists() else 0

    def seconds_until(count: int) -> float:
        # Step by step: when an attempt is over here, the runtime has not yet begun to wait for the next.
        begun, limit = cloud.clock.now(), time.monotonic() + 30
        while attempts() < count and time.monotonic() < limit:
            cloud.clock.advance(5)
            time.sleep(0.1)
        return float(cloud.clock.now() - begun)

    assert eventually(lambda: attempts() == 1)
    assert 60 <= seconds_until(2) < 120
    assert 120 <= seconds_until(3) < 240
    time.sleep(0.5)
    cloud.clock.advance(600)
    time.sleep(0.3)
    assert attempts() == 3


def test_a_dry_run_does_not_run_the_function(cloud):
    cloud.function("dry", ECHO)
    assert cloud.client("lambda").invoke(FunctionName="dry", InvocationType="DryRun")["StatusCode"] == 204
    assert cloud.runtime.processes("dry") == []


def test_an_unknown_function_is_lambdas_own_error(cloud):
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloud.client("lambda").invoke(FunctionName="nobody")


def test_time_in_the_process_follows_the_clock_without_a_new_process(cloud):
    source = """
        import time, os, logging
        from datetime import datetime, UTC, date
        def handler(event, context):
            now = datetime.now(UTC)
            logging.warning("its formatter keeps time.gmtime in a class")
            return [time.time(), now.timestamp(), time.mktime(time.localtime()), context.get_remaining_time_in_millis(),
                    type(now) is datetime, os.getpid()]
        """
    cloud.function("clock", source)
    before = cloud.runtime.invoke("clock", b"{}").json()
    cloud.clock.advance(7200)
    after = cloud.runtime.invoke("clock", b"{}").json()
    assert all(7200 <= late - early < 7210 for early, late in zip(before[:3], after[:3], strict=True))
    assert 9000 < after[3] <= 10_000 and after[4] is True and after[5] == before[5]


@pytest.mark.slow
def test_an_idle_process_is_dropped_after_a_while(cloud, monkeypatch):
    cloud.function("idle", PID)
    pid = cloud.runtime.invoke("idle", b"{}").json()
    cloud.clock.advance(400)
    assert eventually(lambda: gone(pid), seconds=12)


def test_log_lines_reach_the_log_group_if_the_role_may_write_there(cloud):
    logs = cloud.client("logs")
    for name, actions in (("logging", None), ("silent", [])):
        logs.create_log_group(logGroupName=f"/aws/lambda/{name}")
        cloud.function(name, "def handler(e, c): print('one line')", actions=actions)
        cloud.runtime.invoke(name, b"{}")
    messages = lambda name: [each["message"] for each in logs.filter_log_events(logGroupName=name)["events"]]  # noqa: E731
    assert eventually(lambda: "one line" in messages("/aws/lambda/logging"))
    assert messages("/aws/lambda/silent") == []
    assert "one line" in (cloud.home / "logs" / "silent.log").read_text()


def test_stop_kills_invocations_in_flight_within_seconds_and_leaves_no_process(tmp_path):
    with lambda_cloud(tmp_path) as made:
        made.function("busy", "import time\ndef handler(e, c): time.sleep(60)", Timeout=90)
        thread = threading.Thread(target=made.runtime.invoke, args=("busy", b"{}"), daemon=True)
        thread.start()
        pids = eventually(lambda: made.runtime.processes("busy"))
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert pids and all(gone(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_cloud_leaves_no_function_process(tmp_path):
    # It must be in the middle of an invocation: one that waits for the next ends by itself when nobody answers.
    script = f"""
        import threading, time
        from pathlib import Path
        from tests.local.lambda_cloud import eventually, lambda_cloud
        with lambda_cloud(Path({str(tmp_path)!r})) as cloud:
            source = "import time\\ndef handler(e, c):\\n    print('working')\\n    time.sleep(60)"
            cloud.function("f", source, Timeout=90)
            threading.Thread(target=cloud.runtime.invoke, args=("f", b"{{}}"), daemon=True).start()
            log = Path({str(tmp_path)!r}) / "logs" / "f.log"
            assert eventually(lambda: log.exists() and "working" in log.read_text(), seconds=30)
            print(cloud.runtime.processes("f")[0], flush=True)
            time.sleep(60)
        """
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=root, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: gone(pid))
