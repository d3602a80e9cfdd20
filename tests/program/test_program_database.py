"""The locks on the database: what is registered, and that each refuses where it is needed."""

import asyncio
import json
import re

import pulumi
import pytest
from pulumi.output import Unknown

from components.credential_lock import IGNORED, REFUSED, CredentialLock
from components.refused import RefusedError
from local.engine.values import unwrap
from tests.program.harness import said
from tests.program.stacks import STACKS, deployed, harness

INSTANCE = "aws:rds/instance:Instance"
SECRET = "aws:secretsmanager/secret:Secret"
URN = f"urn:pulumi:local::bluemoxon::worker-flows:index:Database${INSTANCE}::database-instance"

with_an_instance = pytest.mark.parametrize("stack", ["local", "staging"])


@with_an_instance
def test_the_instance_has_every_lock(stack):
    state = deployed(stack).of(INSTANCE)["database-instance"]
    inputs = deployed(stack).inputs(INSTANCE, "database-instance")
    assert state.protect
    assert set(IGNORED) <= set(state.ignore_changes)
    assert state.hooks["BeforeUpdate"] == ["database-refuse-credential-change"]
    assert state.hooks["BeforeDelete"] == ["database-refuse-deletion"]
    assert inputs["storageEncrypted"] is True
    assert inputs["publiclyAccessible"] is False


def test_a_new_instance_is_guarded_on_aws_too():
    inputs = deployed("local").inputs(INSTANCE, "database-instance")
    assert inputs["deletionProtection"] is True
    assert inputs["skipFinalSnapshot"] is False
    (server,) = inputs["vpcSecurityGroupIds"]
    assert inputs["finalSnapshotIdentifier"] == f"bluemoxon-local-database-final-{server.removeprefix('sg-')}"
    assert inputs["backupRetentionPeriod"] >= 7
    assert "postgresql" in inputs["enabledCloudwatchLogsExports"]
    assert inputs["manageMasterUserPassword"] is True


def test_an_adopted_instance_is_told_nothing_about_its_password():
    made = deployed("staging")
    inputs = made.inputs(INSTANCE, "database-instance")
    assert "manageMasterUserPassword" not in inputs
    assert made.of("aws:secretsmanager/secretVersion:SecretVersion") == {}
    secret = made.of(SECRET)["database-secret"]
    assert secret.protect
    assert secret.hooks["BeforeDelete"] == ["database-refuse-deletion"]
    assert inputs["identifier"] == "bluemoxon-staging"
    assert made.outcome.outputs["database_secret_arn"] == secret.outputs["arn"]


def test_adopting_imports_and_makes_nothing_of_the_database():
    made = deployed("staging")
    assert {step.name for step in made.outcome.steps if step.op == "import"} == {"database-instance", "database-secret"}
    assert not {"database-instance", "database-secret"} & set(made.order)


def test_an_adopted_instance_keeps_its_values_while_it_is_imported():
    inputs = deployed("staging").inputs(INSTANCE, "database-instance")
    assert inputs["backupRetentionPeriod"] == 1
    assert inputs["skipFinalSnapshot"] is True


@pytest.mark.parametrize("stack", STACKS)
def test_no_resource_of_any_stack_is_given_a_password(stack):
    for state in deployed(stack).resources.values():
        text = json.dumps(unwrap(state.inputs), default=repr)
        properties = re.findall(r'"(\w*[pP]assword\w*)":', text)
        assert set(properties) <= {"manageMasterUserPassword"}, state.urn


def test_the_contracts_secret_says_where_the_credentials_lie_and_holds_none():
    made = deployed("local")
    text = made.inputs("aws:secretsmanager/secretVersion:SecretVersion", "database-secret")["secretString"]
    said_there = json.loads(text)
    instance = made.of(INSTANCE)["database-instance"].outputs
    assert said_there == {
        "host": instance["address"],
        "port": 5432,
        "database": "bluemoxon",
        "credentials_secret_arn": instance["masterUserSecrets"][0]["secretArn"],
    }
    assert made.of(SECRET)["database-secret"].inputs["name"] == "bluemoxon-local/database"


@pytest.mark.slow
def test_tls_is_forced_and_asked_for_unless_the_declaration_says_otherwise(tmp_path):
    with harness("local", tmp_path, after=deployed("local")) as run:
        database = json.loads(run.config["bluemoxon:database"])
        del database["forceTls"]
        run.config["bluemoxon:database"] = json.dumps(database)
        outcome = run.preview()
        assert outcome.ok, said(outcome)
        changed = {step.name: step.new["inputs"] for step in outcome.steps if step.op == "update" and step.new}
        assert changed["database-parameters"]["parameters"] == [{"name": "rds.force_ssl", "value": "1"}]
        assert changed["api"]["environment"]["variables"]["BMX_DATABASE_SSLMODE"] == "require"
        assert "without TLS" not in said(outcome)


def test_a_database_without_tls_is_said_loudly():
    made = deployed("local")
    parameters = made.inputs("aws:rds/parameterGroup:ParameterGroup", "database-parameters")["parameters"]
    assert parameters == [{"name": "rds.force_ssl", "value": "0"}]
    assert "takes logins without TLS" in said(made.outcome)


def test_the_lists_of_ignored_and_refused_properties_are_disjoint():
    assert set(IGNORED).isdisjoint(REFUSED)


@pytest.mark.parametrize("kind", [pytest.param("preview", marks=pytest.mark.slow), "up"])
def test_another_master_user_is_refused_with_the_sentence_and_nothing_is_touched(tmp_path, kind):
    with harness("local", tmp_path, after=deployed("local")) as run:
        database = json.loads(run.config["bluemoxon:database"])
        run.config["bluemoxon:database"] = json.dumps({**database, "username": "intruder"})
        outcome = run.preview() if kind == "preview" else run.up(ok=None, ignore_protect=True)
        assert not outcome.ok
        assert "would change username, and with it the credential" in said(outcome)
        assert "RDS owns it; ./bmx db rotate --stack local" in said(outcome)
        assert ("Update", "database-instance") not in run.provider.changes()


def test_a_forced_replacement_is_refused_before_anything_is_made(tmp_path):
    with harness("local", tmp_path, after=deployed("local")) as run:
        outcome = run.up(ok=None, replace=(URN,), ignore_protect=True)
        assert not outcome.ok
        assert "this would delete 'database-instance'" in said(outcome)
        assert [name for _, name in run.provider.changes() if name == "database-instance"] == []


@pytest.mark.slow
def test_a_forced_replacement_is_refused_by_protection_too(tmp_path):
    with harness("local", tmp_path, after=deployed("local")) as run:
        outcome = run.preview(replace=(URN,))
        assert not outcome.ok
        assert "protect" in said(outcome)


def refused(lock: CredentialLock, old, new) -> str:
    args = pulumi.ResourceHookArgs("urn", "id", "database-instance", INSTANCE, new_inputs=new, old_inputs=old)
    with pytest.raises(RefusedError) as error:
        asyncio.run(lock.refuse_credential_change(args))
    return str(error.value)


@pytest.fixture
def lock(monkeypatch):
    monkeypatch.setattr(pulumi, "ResourceHook", lambda name, function, opts: (name, function, opts))
    return CredentialLock("database", "use the rotation command")


@pytest.mark.parametrize("name", sorted((*REFUSED, *IGNORED)))
@pytest.mark.parametrize(
    ("old", "new"), [({}, "set"), ("set", None), ("before", "after"), ({"a": 1}, {"a": 2}), ([1], [1, 2])]
)
def test_every_guarded_property_is_refused_when_it_appears_goes_or_changes(lock, name, old, new):
    message = refused(lock, {name: old, "port": 1}, {name: new, "port": 2})
    assert f"would change {name}, and with it" in message
    assert message.endswith("use the rotation command")


def test_a_changed_secret_is_seen_and_not_told(lock):
    async def compare():
        old, new = pulumi.Output.secret("hunter1"), pulumi.Output.secret("hunter2")
        args = pulumi.ResourceHookArgs(
            "urn", "id", "db", INSTANCE, old_inputs={"password": old}, new_inputs={"password": new}
        )
        await lock.refuse_credential_change(args)

    with pytest.raises(RefusedError) as error:
        asyncio.run(compare())
    assert "password" in str(error.value)
    assert "hunter" not in str(error.value)


def test_the_same_secret_is_no_change(lock):
    async def compare():
        old, new = pulumi.Output.secret("hunter1"), pulumi.Output.secret("hunter1")
        args = pulumi.ResourceHookArgs(
            "urn", "id", "db", INSTANCE, old_inputs={"password": old}, new_inputs={"password": new}
        )
        await lock.refuse_credential_change(args)

    asyncio.run(compare())


def test_what_is_not_known_yet_may_be_a_change_and_is_refused(lock):
    assert "username" in refused(lock, {"username": "owner"}, {"username": Unknown()})
    assert "username" in refused(lock, {"username": Unknown()}, {"username": Unknown()})


@pytest.mark.parametrize(("old", "new"), [(None, False), (False, None), ("", None), ({}, None), (None, {"a": None})])
def test_two_ways_of_leaving_a_property_out_are_no_change(lock, old, new):
    args = pulumi.ResourceHookArgs(
        "urn",
        "id",
        "db",
        INSTANCE,
        old_inputs={"manageMasterUserPassword": old, "port": 1},
        new_inputs={"manageMasterUserPassword": new, "port": 2},
    )
    asyncio.run(lock.refuse_credential_change(args))


def test_every_deletion_is_refused(lock):
    args = pulumi.ResourceHookArgs("urn", "id", "database-instance", INSTANCE, old_inputs={})
    with pytest.raises(RefusedError, match="would delete 'database-instance'"):
        asyncio.run(lock.refuse_deletion(args))


def test_the_hooks_run_in_previews_too(lock):
    assert lock._before_update[2].on_dry_run is True
    assert lock._before_delete[2].on_dry_run is True
    assert not lock._before_update[2].ignore_errors
