"""Settings: what a stack may say, and that everything else is refused by name, without its value."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import config as runtime_config

import settings
from components.artefact import Build, BuildArtefact, ImageArtefact
from components.database import Managed
from settings import Known, Settings, parse

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0" * 64
VALUE = "hunter2-never-to-be-seen"

MANAGED: dict[str, Any] = {
    "mode": "managed",
    "instanceClass": "db.t4g.micro",
    "databaseName": "books",
    "username": "owner",
}
NETWORK: dict[str, Any] = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"]}
GIVEN: dict[str, Any] = {
    "environment": "local",
    "prefix": "bluemoxon-local",
    "network": NETWORK,
    "database": MANAGED,
    "artefacts": {"image_processing": {"image": f"127.0.0.1/worker@{DIGEST}"}},
    "alarmEmails": ["operator@example.com"],
}
EXTERNAL = {"mode": "external", "secretArn": "arn:s", "securityGroupId": "sg-1", "endpoint": "db.example.com"}


def texts(given):
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}


def refusal(changed, stack="local", secrets=(), known=None):
    with pytest.raises(ValueError) as refused:
        parse(texts({**GIVEN, **changed}), stack, secrets, known)
    message = str(refused.value)
    assert VALUE not in message
    assert "\n" not in message
    return message


def test_the_declared_configuration_is_taken():
    taken = parse(texts(GIVEN), "local")
    assert taken.network.subnet_ids == ("subnet-1", "subnet-2")
    assert taken.artefact("image_processing") == ImageArtefact(image=f"127.0.0.1/worker@{DIGEST}")
    assert (taken.images_cdn_url, taken.bundle_dependencies, taken.version) == (None, True, "dev")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"dbPassword": VALUE}, "dbPassword"),
        ({"database.password": VALUE}, "database.password"),
        ({"masterSecret": VALUE}, "masterSecret"),
        ({"apiToken": VALUE}, "apiToken"),
        ({"apiKey": VALUE}, "apiKey"),
        ({"PGPASSWD": VALUE}, "PGPASSWD"),
        ({"database": {**MANAGED, "password": VALUE}}, "database.password"),
        ({"database": {**MANAGED, "masterUserPassword": VALUE}}, "database.masterUserPassword"),
        ({"database": {**EXTERNAL, "password": VALUE}}, "database.password"),
        ({"network": {**NETWORK, "password": VALUE}}, "network.password"),
        ({"artefacts": {"x": {"image": f"r@{DIGEST}", "token": VALUE}}}, "artefacts.x.token"),
    ],
)
def test_a_credential_is_refused_by_name_with_the_sentence_who_owns_it(changed, path):
    message = refusal(changed)
    assert f"{path} is not declared. The program takes no database password" in message
    assert "rotate it there" in message


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"replicas": VALUE}, "replicas"),
        ({"database": {**MANAGED, "engine": VALUE}}, "database.engine"),
        ({"network": {**NETWORK, "cidr": VALUE}}, "network.cidr"),
        ({"network": {"vpc_id": "vpc-1", "subnetIds": ["s"]}}, "network.vpc_id"),
    ],
)
def test_any_other_undeclared_key_is_refused_by_name(changed, path):
    assert re.search(
        rf"{path} is not declared\. (Remove it, or correct its name|Did you mean '\w+'\?)", refusal(changed)
    )


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("prefx", "prefix"), ("alarmemails", "alarmEmails"), ("alarm_emails", "alarmEmails")]
)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(misspelt, meant):
    given = {misspelt if key == meant else key: value for key, value in GIVEN.items()}
    with pytest.raises(ValueError) as refused:
        parse(texts(given), "local")
    assert f"{misspelt} is not declared. Did you mean {meant!r}?" in str(refused.value)
    assert f"{meant} is missing." in str(refused.value)


def test_a_secret_is_refused_even_under_a_declared_key():
    message = refusal({}, secrets=["database"])
    assert message.startswith("database is a secret. The program takes no database password")


def test_all_that_is_wrong_is_said_at_once():
    message = refusal({"dbPassword": VALUE, "replicas": VALUE, "prefix": "Blue"}, secrets=["dbPassword"])
    assert "dbPassword is a secret." in message
    assert "replicas is not declared." in message
    assert "prefix must be lower-case words" in message


def test_no_fault_hides_another_ones_of_several_keys_included():
    message = refusal(
        {
            "environment": "staging",
            "prefix": "books",
            "network": "[broken",
            "database": {**MANAGED, "forceTls": False, "username": "rdsadmin", "maxAllocatedStorage": 21},
            "artefacts": {"image_processing": {"build": {}}, "x": {"image": "r:latest"}},
            "alarmEmails": VALUE,
            "imagesCdnUrl": "http://x.example.com",
            "bundleDependencies": "perhaps",
            "replicas": "2",
        }
    )
    for words in (
        "environment is 'staging' and the stack is 'local'",
        "prefix must end with '-local'",
        "network is not JSON",
        "database.username",
        "artefacts.x.image",
        "alarmEmails must be a list",
        "imagesCdnUrl must be an https address",
        "bundleDependencies",
        "replicas is not declared.",
    ):
        assert words in message
    assert "network is missing" not in message
    assert "alarmEmails is missing" not in message


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"network": None}, "network"),
        ({"network": "[" + VALUE}, "network is not JSON (line 1, column 2)."),
        ({"network": {"vpcId": "vpc-1", "subnetIds": []}}, "network.subnetIds"),
        ({"network": {"vpcId": "vpc-1", "subnetIds": [f"subnet-{n}" for n in range(17)]}}, "network.subnetIds"),
        ({"network": {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-1"]}}, "names a subnet twice"),
        ({"network": {"vpcId": "vpc-1", "subnetIds": ["subnet-1"]}}, "at least 2 subnets, in two availability zones"),
        ({"network": VALUE}, "network must be an object"),
        ({"artefacts": "3"}, "artefacts must be an object"),
        ({"alarmEmails": VALUE}, "alarmEmails must be a list; write each entry on a line of its own, behind '- '."),
        ({"alarmEmails": ["a@b.example", "A@b.example"]}, "alarmEmails.1 is the address of alarmEmails.0 again"),
        (
            {"imagesCdnUrl": f"https://user:{VALUE}@cdn.example.com"},
            "imagesCdnUrl must be an https address without cred",
        ),
        ({"imagesCdnUrl": "https://cdn.example.com?x=1"}, "imagesCdnUrl must be an https address"),
        ({"database": {**MANAGED, "engineVersion": "16.3"}}, "database.engineVersion: must be a major version alone"),
        ({"database": {**MANAGED, "engineVersion": "sixteen"}}, 'as "16"'),
        ({"database": {**MANAGED, "engineVersion": "99"}}, "13 to 18"),
        (
            {"database": {**MANAGED, "allocatedStorage": 100, "maxAllocatedStorage": 109}},
            "maxAllocatedStorage is 109 GB and allocatedStorage 100 GB, and RDS takes 10 % above it at least; give 110",
        ),
        ({"database": {**MANAGED, "maxAllocatedStorage": 65_537}}, "database.maxAllocatedStorage"),
        *(
            ({"database": {**MANAGED, "username": name}}, "database.username: is a name that RDS or PostgreSQL keeps")
            for name in ("rdsadmin", "admin", "RdsAdmin", "user", "pg_owner", "public", "rds_superuser")
        ),
        *(
            ({"database": {**MANAGED, "username": name}}, "database.username: must be a letter and then")
            for name in ("blue-moxon", "1st", "_owner", "o" * 17, "öwner", "a b")
        ),
        *(
            ({"database": {**MANAGED, "databaseName": name}}, "database.databaseName: ")
            for name in ("blue-moxon", "template0", "select", "admin", "d" * 64)
        ),
        ({"network": {"subnetIds": ["subnet-1"]}}, "network.vpcId is missing."),
        ({"database": {"instanceClass": "x"}}, "database.mode must be one of adopted, external, managed."),
        ({"database": {"mode": VALUE}}, "database.mode must be one of adopted, external, managed."),
        ({"database": {"mode": "external", "endpoint": "e", "securityGroupId": "s"}}, "database.secretArn is missing."),
        ({"database": {**MANAGED, "backupRetentionDays": 6}}, "database.backupRetentionDays"),
        ({"artefacts": {"x": {"image": "repository:latest"}}}, "artefacts.x.image"),
        ({"artefacts": {"x": {"image": "repository@sha256:12"}}}, "artefacts.x.image"),
        ({"artefacts": {"x": {}}}, "artefacts.x.image is missing."),
        ({"artefacts": {"x": {"zip": {"bucket": "b", "key": "k"}}}}, "artefacts.x.zip.sha256 is missing."),
        ({"artefacts": {"x": {"image": f"r@{DIGEST}", "zip": {}}}}, "artefacts.x.image is not declared."),
        ({"alarmEmails": []}, "alarmEmails"),
        ({"alarmEmails": ["nobody"]}, "alarmEmails.0"),
        ({"imagesCdnUrl": "http://cdn.example.com"}, "imagesCdnUrl"),
        ({"bundleDependencies": "perhaps"}, "bundleDependencies"),
        ({"environment": "production"}, "environment"),
        ({"prefix": "bluemoxon"}, "prefix must end with '-local'"),
        ({"prefix": "Blue-local"}, "prefix must be lower-case words"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(changed, words):
    assert words in refusal(changed)


def test_the_environment_must_be_the_stack():
    message = refusal({}, stack="staging")
    assert "environment is 'local' and the stack is 'staging'" in message


def test_tls_may_be_off_only_on_ones_own_machine():
    off = {**MANAGED, "forceTls": False}
    taken = parse(texts({**GIVEN, "database": off}), "local").database
    assert isinstance(taken, Managed)
    assert taken.force_tls is False
    changed = {"database": off, "environment": "prod", "prefix": "bluemoxon-prod"}
    assert "database.forceTls may be false only in the environment 'local'" in refusal(changed, stack="prod")


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_images_are_built_in_staging_alone(stack):
    given = {
        "environment": stack,
        "prefix": f"bluemoxon-{stack}",
        "database": EXTERNAL,
        "artefacts": {"image_processing": {"build": {}}},
    }
    said = refusal(given, stack)
    assert "artefacts.image_processing.build is for the environment 'staging' alone" in said
    assert f"./bmx promote staging {stack}" in said
    staging = {**GIVEN, **given, "environment": "staging", "prefix": "bluemoxon-staging"}
    assert parse(texts(staging), "staging").artefact("image_processing") == BuildArtefact(build=Build())


def test_code_that_is_not_configured_is_none():
    assert parse(texts(GIVEN), "local").artefact("analysis") is None


def test_artefacts_that_nothing_goes_by_are_refused_by_name_with_those_that_there_are():
    strays = {"artefacts": {name: GIVEN["artefacts"]["image_processing"] for name in ("analsis", "trackin")}}
    message = refusal(strays, known=Known(lambda prefix: [prefix, "tracking", "analysis"]))
    for name in strays["artefacts"]:
        assert f"artefacts.{name} is code that no flow goes by" in message
    assert "Flows go by: analysis, bluemoxon-local, tracking." in message
    parse(texts(GIVEN), "local", known=Known(lambda _: ["image_processing"]))


def test_an_image_is_built_only_where_there_is_a_dockerfile_for_it():
    build = {"artefacts": {"analysis": {"build": {}}}, "environment": "staging", "prefix": "bluemoxon-staging"}
    said = refusal(build, "staging", known=Known(builds=["image_processing"]))
    assert "artefacts.analysis.build: this project has no Dockerfile for it, only for image_processing." in said


def test_an_existing_user_name_may_be_longer_than_a_new_one():
    adopted = {
        **{key: value for key, value in MANAGED.items() if key != "mode"},
        **{"mode": "adopted", "identifier": "i", "subnetGroup": "s", "parameterGroup": "p", "securityGroupId": "sg-1"},
        **{"secretArn": "arn:s", "secretName": "s", "username": "o" * 17},
    }
    taken = parse(texts({**GIVEN, "database": adopted}), "local").database
    assert not isinstance(taken, Managed)


@pytest.fixture
def configured(monkeypatch):
    """Configure the project as the engine does; returns what `load` makes of it."""
    monkeypatch.setattr(pulumi, "get_project", lambda: "bluemoxon")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "local")

    def load(changed=None, secrets=(), environment=None):
        for name, value in (environment or {}).items():
            monkeypatch.setenv(name, value)
        keys = {f"bluemoxon:{key}": value for key, value in texts({**GIVEN, **(changed or {})}).items()}
        before, secrets_before = runtime_config.CONFIG.get(), runtime_config._SECRET_KEYS.get()
        runtime_config.set_all_config({**keys, "aws:secretKey": VALUE}, [f"bluemoxon:{key}" for key in secrets])
        try:
            return settings.load()
        finally:
            runtime_config.CONFIG.set(before)
            runtime_config._SECRET_KEYS.set(secrets_before)

    return load


def test_the_engines_configuration_is_read_and_other_namespaces_are_not(configured):
    assert configured().prefix == "bluemoxon-local"


def test_a_refusal_is_one_message_without_a_traceback(configured):
    with pytest.raises(pulumi.RunError, match=r"stack 'local' \(Pulumi\.local\.yaml\): dbPassword is not") as refused:
        configured({"dbPassword": VALUE})
    assert VALUE not in str(refused.value)


def test_a_secret_of_the_engine_is_refused(configured):
    with pytest.raises(pulumi.RunError, match="version is a secret"):
        configured({"version": "1"}, secrets=["version"])


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"PULUMI_CONFIG": json.dumps({"bluemoxon:dbPassword": VALUE})}, "dbPassword is not declared"),
        ({"PULUMI_CONFIG_BLUEMOXON_DBPASSWORD": VALUE}, "PULUMI_CONFIG_BLUEMOXON_DBPASSWORD is not declared"),
        ({"PULUMI_CONFIG_SECRET_KEYS": json.dumps(["bluemoxon:version"])}, "version is a secret"),
    ],
)
def test_the_environment_is_no_way_round(configured, environment, named):
    with pytest.raises(pulumi.RunError, match=named) as refused:
        configured(environment=environment)
    assert VALUE not in str(refused.value)


def test_the_projects_schema_declares_exactly_what_the_program_reads():
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    fields = {field.alias: field for field in Settings.model_fields.values()}
    assert declared.keys() == fields.keys()
    for key, schema in declared.items():
        assert ("default" in schema) == (not fields[key].is_required()), key
        if "default" in schema:
            assert (schema["default"] or None) == (fields[key].default or None), key


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stacks_file_is_taken_as_it_stands(stack):
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    given = {key.removeprefix("bluemoxon:"): value for key, value in config.items() if key.startswith("bluemoxon:")}
    taken = parse(texts(given), stack)
    assert taken.environment == stack
    assert taken.prefix == f"bluemoxon-{stack}"


@pytest.mark.parametrize("stack", ["local", "staging", "prod"])
def test_no_stacks_file_holds_a_secret_or_a_registrys_host(stack):
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    assert not re.search(r"secure:|encrypt|\.dkr\.|amazonaws", text)
