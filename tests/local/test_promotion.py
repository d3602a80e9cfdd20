"""Promotion between two stacks on one embedded cloud, and the way back, with real functions and real databases."""

import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.cloud import Cloud
from local.engine import Engine, Options, StateStore
from ops import config, policies, stand_ins
from ops.errors import UserError
from ops.paths import IMAGES, ROOT
from ops.program_copy import copy_of_the_program, edit
from ops.promotion import command, promote, taking
from ops.promotion.engines import Embedded, Place
from ops.promotion.releases import Releases
from ops.stacks import StackHandle
from tests.deployed import worker_image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BUCKET = "built-elsewhere"
FILE = """\
# What an operator wrote.
config:
  aws:region: us-west-2
  bluemoxon:environment: {stack}
  bluemoxon:prefix: bluemoxon-{stack}
  bluemoxon:network: {network}
  bluemoxon:database:
    mode: managed
    instanceClass: db.t4g.micro
    engineVersion: "16"
    databaseName: bluemoxon
    username: bluemoxon
    forceTls: false
  bluemoxon:artefacts:
    # By flow.
    image_processing:
      image: {image}
    analysis:
      zip:
        bucket: {bucket}
        key: {key}
        sha256: {sha256} # placeholder
  # Who hears it.
  bluemoxon:alarmEmails:
    - operator@example.com
  bluemoxon:bundleDependencies: false
"""


@dataclass
class World:
    """Two stacks of one program, a repository of which each deployment is a commit."""

    cloud: Cloud
    project: Path
    folder: Path
    pack: str

    def run(self, stack: str, folder: Path, options: Options, overrides: list[str]) -> Any:
        providers = {"aws": self.cloud.provider_address}
        engine = Engine(folder, stack, self.state(stack), providers, analyzers=[self.pack])
        return engine.run(options, config.stack_config(folder, stack, {}, overrides))

    def state(self, stack: str) -> StateStore:
        return StateStore(self.folder / "state" / f"{stack}.json")

    def handle(self, stack: str) -> StackHandle:
        return StackHandle(stack, self.state(stack).outputs(), self.cloud.client)

    def place(self, stack: str) -> Place:
        def run(folder, options, overrides):
            return self.run(stack, folder, options, overrides)

        return Place(
            self.handle(stack), Embedded(stack, self.state(stack), run), lambda: self.handle(stack), self.project
        )

    def up(self, stack: str) -> None:
        outcome = self.run(stack, self.project, Options("up", skip_preview=True), [])
        assert outcome.ok, outcome.errors()

    def release(self, stack: str) -> None:
        """Deploy, and keep the manifest."""
        self.up(stack)
        place = self.place(stack)
        taking.keep(place, taking.take(place, by=place.handle.caller()))

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.project), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")

    def logs_in(self, stack: str) -> str:
        """Log in to a stack's database with what its secret says, and return the password."""
        client = self.cloud.client("secretsmanager")

        def read(arn: str) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
            return found

        place = read(self.handle(stack).output("database_secret_arn"))
        owner = read(place["credentials_secret_arn"])
        psycopg.connect(
            host=place["host"],
            port=place["port"],
            dbname=place["database"],
            user=owner["username"],
            password=owner["password"],
        ).close()
        return str(owner["password"])

    def refusals(self) -> dict[str, str]:
        """What stands against promoting staging, by check."""
        return {each.check: each.says for each in promote.prepare(self.place("staging"), "prod").refusals}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promotion")
    image = worker_image()
    project = copy_of_the_program(folder / "program")
    shutil.copytree(ROOT / "policies", project / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    (project / ".gitignore").write_text("__pycache__/\n*.pyc\n.build/\n")
    # Both are as the local stack, but for their names: its database has no TLS.
    edit(project, "settings.py", 'info.data.get("environment") != "local"', "not info.data")
    with Cloud(folder / "cloud", image_store=IMAGES) as cloud, policies.serving() as pack:
        network = {"vpcId": cloud.network.vpc_id, "subnetIds": list(cloud.network.subnet_ids)}
        for stack, code in (("staging", "second"), ("prod", "first")):
            key, sha256 = upload(cloud, code)
            text = FILE.format(
                stack=stack, network=json.dumps(network), image=image, bucket=BUCKET, key=key, sha256=sha256
            )
            (project / f"Pulumi.{stack}.yaml").write_text(text)
        made = World(cloud, project, folder, pack)
        made.git("init", "--quiet")
        made.commit()
        made.release("prod")
        made.release("staging")
        yield made


def upload(cloud: Cloud, code: str) -> tuple[str, str]:
    """Put the stand-in's zip with a file more into the bucket."""
    s3 = cloud.client("s3")
    if BUCKET not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    data = io.BytesIO(stand_ins.package())
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(zipfile.ZipInfo("VERSION", (1980, 1, 1, 0, 0, 0)), code)
    s3.put_object(Bucket=BUCKET, Key=f"{code}.zip", Body=data.getvalue())
    return f"{code}.zip", hashlib.sha256(data.getvalue()).hexdigest()


@contextmanager
def changed(path: Path, content: str):
    before = path.read_bytes()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_what_has_no_code_yet_does_not_stand_against_a_promotion(world):
    manifest = Releases(world.handle("staging")).latest()
    assert manifest.health.status == "degraded"
    assert set(manifest.health.troubles.values()) == {"no_code_deployed"}
    assert world.refusals() == {}


def test_a_worker_that_is_switched_off_is_unhealthy_enough_and_drift(world):
    client = world.cloud.client("lambda")
    name = "bluemoxon-staging-image-processing"
    mapping = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"][0]["UUID"]
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        refused = world.refusals()
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)
    assert refused.keys() == {"health", "drift"}
    assert "mapping_disabled" in refused["health"]
    assert "update image_processing-mapping" in refused["drift"]


def test_drift_alone_is_refused(world):
    client = world.cloud.client("lambda")
    name = "bluemoxon-staging-analysis"
    client.update_function_configuration(FunctionName=name, Timeout=599)
    try:
        refused = world.refusals()
    finally:
        client.update_function_configuration(FunctionName=name, Timeout=600)
    assert refused.keys() == {"drift"}
    assert "update analysis-function" in refused["drift"]


def test_code_changed_past_the_program_is_refused(world):
    client = world.cloud.client("lambda")
    name = "bluemoxon-staging-analysis"
    client.update_function_code(FunctionName=name, S3Bucket=BUCKET, S3Key="first.zip")
    try:
        with pytest.raises(UserError, match=r"artefacts\.analysis names another"):
            promote.prepare(world.place("staging"), "prod")
    finally:
        client.update_function_code(FunctionName=name, S3Bucket=BUCKET, S3Key="second.zip")


def test_one_changed_byte_of_the_manifest_is_refused(world):
    releases = Releases(world.handle("staging"))
    s3, bucket, key = world.cloud.client("s3"), world.handle("staging").output("releases_bucket"), releases.keys()[-1]
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    at = data.index(b'"commit": "') + len(b'"commit": "')
    other = data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :]
    s3.put_object(Bucket=bucket, Key=key, Body=other)
    try:
        with pytest.raises(UserError, match="changed after it was written"):
            promote.prepare(world.place("staging"), "prod")
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=data)


def test_other_requirements_and_another_pack_are_another_commit(world):
    requirements = world.project / "requirements" / "api.txt"
    rule = world.project / "policies" / "waivers.toml"
    with changed(requirements, "# nothing\n"), pytest.raises(UserError, match=r"requirements/api\.txt differ"):
        promote.prepare(world.place("staging"), "prod")
    with changed(requirements, requirements.read_text() + "\n# more\n"), changed(rule, rule.read_text() + "\n# more\n"):
        world.commit()
        refused = world.refusals()
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    assert refused.keys() == {"commit", "requirements", "policy-pack"}
    assert "requirements/api.txt" in refused["requirements"]


def test_a_dead_letter_sent_after_the_deployment_is_refused(world):
    sqs = world.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="bluemoxon-staging-analysis-jobs-dlq")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    try:
        refused = world.refusals()
    finally:
        sqs.purge_queue(QueueUrl=url)
    assert refused.keys() == {"health", "dead-letters"}
    assert "analysis has a dead letter" in refused["dead-letters"]


def test_what_staging_proved_runs_in_prod_and_the_way_back_leaves_the_database_alone(world, capsys):
    file, releases = world.project / "Pulumi.prod.yaml", Releases(world.handle("prod"))
    before, password, text = releases.latest(), world.logs_in("prod"), file.read_text()

    assert command.promote_from(world.place("staging"), "prod", dry_run=True) == 0
    assert file.read_text() == text
    assert command.promote_from(world.place("staging"), "prod", dry_run=False) == 0
    lines = [pair for pair in zip(text.splitlines(), file.read_text().splitlines(), strict=True) if pair[0] != pair[1]]
    assert [new.split(":")[0].strip() for _, new in lines] == ["key", "sha256"]
    assert "placeholder" not in file.read_text()
    world.commit()
    world.release("prod")

    staging, prod = (Releases(world.handle(stack)).latest() for stack in ("staging", "prod"))
    codes = [{name.split("-", 2)[2]: code for name, code in each.functions.items()} for each in (staging, prod)]
    # The API's package holds the stack's registry of flows, with its names.
    assert [name for name in codes[0] if codes[0][name] != codes[1].get(name)] == ["api"]
    assert prod.artefacts == staging.artefacts != before.artefacts
    assert prod.commit != before.commit

    assert command.rollback_at(world.place("prod"), dry_run=True, allow={}) == 0
    assert releases.latest() == prod
    state = {each.urn: each.to_json(lambda props: props) for each in world.state("prod").resources()}
    assert command.rollback_at(world.place("prod"), dry_run=False, allow={}) == 0
    after = Releases(world.handle("prod")).latest()
    assert (after.artefacts, after.commit, after.restores) == (before.artefacts, before.commit, before.sha256)
    assert after.functions == before.functions
    now = {each.urn: each.to_json(lambda props: props) for each in world.state("prod").resources()}
    database = [urn for urn in state if "index:Database" in urn]
    assert len(database) > 5
    assert all(state[urn] == now[urn] for urn in database)
    assert world.logs_in("prod") == password
    assert "REFUSED" not in capsys.readouterr().out
    said = json.dumps(logged(world, "prod"))
    assert '"rollback"' in said.replace("\\", "")


def test_a_way_back_that_would_change_the_database_is_refused(world, capsys):
    file = world.project / "Pulumi.prod.yaml"
    file.write_text(file.read_text().replace("db.t4g.micro", "db.t4g.small"))
    world.commit()
    world.release("prod")
    deployed = Releases(world.handle("prod")).latest()
    password = world.logs_in("prod")
    capsys.readouterr()
    assert command.rollback_at(world.place("prod"), dry_run=False, allow={}) == 1
    assert "REFUSED database: going back would update 'database-instance'" in capsys.readouterr().out
    assert Releases(world.handle("prod")).latest() == deployed
    assert world.logs_in("prod") == password


def logged(world: World, stack: str) -> list[str]:
    logs, group = world.cloud.client("logs"), world.handle(stack).output("operations_log_group")
    return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
