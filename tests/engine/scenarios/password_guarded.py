"""The same rows with the lock of ``components/credential_lock.py``: ignored, refused, or nothing to do."""

from components.credential_lock import CredentialLock
from tests.engine.provider import Script
from tests.engine.scenario import Step
from tests.engine.scenarios._password import DATABASE, DUMMY, GOOD, WORKER, database_and_worker

PROTECTED = "as it is currently marked for protection"
NO_UPDATE, NO_DELETE = "Refused: this update of the database 'database' would change", "Refused: this would delete"
OTHER = {"username": "other"}
STEPS = [
    Step("the first creation fails", secrets=DUMMY, script=Script(fails={"create database": "quota"}), says="quota"),
    Step("recreated with another password", secrets=GOOD),
    Step("full up: nothing", secrets=GOOD),
    Step("target the worker, dummy password: nothing", config={"size": "2"}, secrets=DUMMY, targets=(WORKER,)),
    Step("exclude the database, dummy password: nothing", config={"size": "3"}, secrets=DUMMY, excludes=(DATABASE,)),
    Step("preview, target the database, dummy password", "preview", secrets=DUMMY, targets=(DATABASE,)),
    Step("target the database, dummy password: ignored", secrets=DUMMY, targets=(DATABASE,)),
    Step("preview, dummy password", "preview", secrets=DUMMY),
    Step("full up, dummy password: ignored", secrets=DUMMY),
    Step("dummy password, ignoring protect: ignored", secrets=DUMMY, ignore_protect=True),
    Step("dummy password and a larger class: only the class", config={"class": "large"}, secrets=DUMMY),
    Step("rotated by hand, refresh", "refresh", script=Script(drift={"database": {"password": "rotated"}})),
    Step("up after the refresh: kept", config={"class": "large"}, secrets=DUMMY),
    Step("preview of a forced replace", "preview", secrets=GOOD, replace=(DATABASE,), says=PROTECTED),
    Step("forced replace", secrets=GOOD, replace=(DATABASE,), says=PROTECTED),
    Step(
        "preview of a forced replace, ignoring protect",
        "preview",
        secrets=GOOD,
        replace=(DATABASE,),
        ignore_protect=True,
        says=NO_DELETE,
    ),
    Step("forced replace, ignoring protect", secrets=GOOD, replace=(DATABASE,), ignore_protect=True, says=NO_DELETE),
    Step("another username", config=OTHER, secrets=GOOD, says=PROTECTED),
    Step("another username, ignoring protect", config=OTHER, secrets=GOOD, ignore_protect=True, says=NO_DELETE),
    Step("a managed password", config={"managed": "true"}, secrets=GOOD, says=NO_UPDATE),
    Step("a managed password, ignoring protect", config={"managed": "true"}, ignore_protect=True, says=NO_UPDATE),
    Step("the program without it", config={"gone": "true"}, says=NO_DELETE),
    Step("the same, ignoring protect", config={"gone": "true"}, ignore_protect=True, says=NO_DELETE),
    Step("destroy", "destroy", says="run with the `--run-program` flag to use delete hooks"),
    Step("destroy, ignoring protect", "destroy", ignore_protect=True, says="run with the `--run-program` flag"),
    Step("destroy, running the program", "destroy", secrets=GOOD, run_program=True, says=NO_DELETE),
    Step(
        "destroy, running the program, ignoring protect",
        "destroy",
        secrets=GOOD,
        run_program=True,
        ignore_protect=True,
        says=NO_DELETE,
    ),
]


def program() -> None:
    """The database under our lock."""
    database_and_worker(CredentialLock("database", "ask its owner").instance())
