"""Control: the accident happens to a database that nothing guards but ``protect``, row by row of the matrix."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step
from tests.engine.scenarios._password import DATABASE, DUMMY, GOOD, THERE, WORKER, database_and_worker

PROTECTED = "as it is currently marked for protection"
STEPS = [
    Step("the first creation fails", secrets=GOOD, script=Script(fails={"create database": "quota"}), says="quota"),
    Step("recreated with another password", secrets=DUMMY),
    Step("full up with the good one: overwritten", secrets=GOOD),
    Step("target the worker, dummy password: nothing", config={"size": "2"}, secrets=DUMMY, targets=(WORKER,)),
    Step("exclude the database, dummy password: nothing", config={"size": "3"}, secrets=DUMMY, excludes=(DATABASE,)),
    Step("preview, target the database, dummy password", "preview", secrets=DUMMY, targets=(DATABASE,)),
    Step("target the database, dummy password: overwritten", secrets=DUMMY, targets=(DATABASE,)),
    Step("full up again", secrets=GOOD),
    Step("full up, dummy password: overwritten", secrets=DUMMY),
    Step("the good one, ignoring protect: overwritten", secrets=GOOD, ignore_protect=True),
    Step("rotated by hand, refresh", "refresh", script=Script(drift={"database": {"password": "rotated"}})),
    Step("up after the refresh: overwritten", secrets=GOOD),
    Step("forced replace", secrets=GOOD, replace=(DATABASE,), says=PROTECTED),
    Step("forced replace, ignoring protect: replaced", secrets=GOOD, replace=(DATABASE,), ignore_protect=True),
    Step("another username", config={"username": "other"}, secrets=GOOD, says=PROTECTED),
    Step("destroy", "destroy", says="because it is protected"),
    Step("destroy, running the program", "destroy", secrets=GOOD, run_program=True, says="because it is protected"),
    Step("destroy, ignoring protect: gone", "destroy", ignore_protect=True),
    Step("import", config={"import": "database-1"}, secrets=GOOD, script=THERE),
    Step("after the import, dummy password: overwritten", secrets=DUMMY),
]


def program() -> None:
    """A protected database and no more."""
    database_and_worker(pulumi.ResourceOptions(protect=True))
