"""The database of the password scenarios: one RDS instance whose program takes a password, and a worker that reads it.

Our program takes none. This one does, so that the accident can happen where nothing guards against it, and so that the
lock is shown to hold even against a program that somebody has given a password.
"""

import pulumi

from tests.engine.provider import Script, secret
from tests.engine.scenario import Thing, urn

DATABASE, WORKER = urn("database", "aws:rds/instance:Instance"), urn("worker")
GOOD, DUMMY = {"password": "a-good-password-1"}, {"password": "not-used"}
#: An instance that Terraform made, with a password that no program knows.
THERE = Script(existing={"database-1": {"username": "owner", "password": secret("a-good-password-1")}})


class Instance(pulumi.CustomResource):
    """An RDS instance as the engine sees one, without the AWS SDK."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None, **properties: object) -> None:
        super().__init__("aws:rds/instance:Instance", name, {**properties, "arn": None}, opts)


def database_and_worker(options: pulumi.ResourceOptions) -> None:
    """Register both; the configuration says what the step changes."""
    config = pulumi.Config()
    if config.get_bool("gone"):
        return
    imported = pulumi.ResourceOptions(import_=config.get("import"))
    database = Instance(
        "database",
        pulumi.ResourceOptions.merge(options, imported),
        username=config.get("username") or "owner",
        password=config.get_secret("password"),
        instanceClass=config.get("class"),
        manageMasterUserPassword=config.get_bool("managed"),
    )
    Thing("worker", reads=database.arn, size=config.get_int("size"))
