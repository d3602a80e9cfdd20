"""The locked database adopted by ``import_``: the password that it brings is kept, the program's is dropped."""

from components.credential_lock import CredentialLock
from tests.engine.scenario import Step
from tests.engine.scenarios._password import DATABASE, DUMMY, THERE, database_and_worker

IMPORT = {"import": "database-1"}
STEPS = [
    Step("preview of the import, dummy password", "preview", IMPORT, DUMMY, script=THERE),
    Step("import, dummy password", config=IMPORT, secrets=DUMMY),
    Step("again", config=IMPORT, secrets=DUMMY),
    Step("the option taken away, dummy password: ignored", secrets=DUMMY),
    Step("a password no more: ignored"),
    Step("target it, dummy password: ignored", secrets=DUMMY, targets=(DATABASE,)),
    Step("refresh", "refresh"),
    Step("up after the refresh", secrets=DUMMY),
]


def program() -> None:
    """The database under our lock."""
    database_and_worker(CredentialLock("database", "ask its owner").instance())
