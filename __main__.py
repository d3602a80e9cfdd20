"""The program: settings -> alarms -> database, images -> migration -> flows -> dispatchers, sweeper, API; exports.

Reads on one screen. Which flows there are is said in `flows.py`, what each thing is made of in `components/`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi

import settings as configuration
from components.alarms import Alarms, function_conditions
from components.api import KEYS, LONGEST_ANSWER, Api, ApiKeys
from components.artefact import Artefact, BuildArtefact, BuiltImage, Configured
from components.audit_log import AuditLog
from components.dashboard import Dashboard
from components.database import Database
from components.flow import function_name
from components.function import Function, Platform
from components.image_build import ImageBuild
from components.image_store import ImageStore
from components.migration import Migration
from components.needs import (
    DeleteObjects,
    InspectFlow,
    Need,
    ReadObjects,
    ReadSecret,
    RedriveFlow,
    SendTo,
    TellMissingObjects,
    UseDatabase,
    WriteObjects,
)
from components.package import Package, package
from components.refused import RefusedError
from components.release_log import ReleaseLog
from components.schedule import Schedule
from components.tags import tagging
from components.worker_flow import WorkerFlow
from flows import API, IMAGES, JOB_SWEEPER, MIGRATE, catalogue

VARIABLES = "BMX_"
PICTURES = "books/"


def program() -> None:
    """Declare everything that one stack is."""
    settings = configuration.load(configuration.Known(_codes, IMAGES))
    prefix, network = settings.prefix, settings.network
    tags = {"project": pulumi.get_project(), "environment": settings.environment}
    pulumi.runtime.register_stack_transformation(tagging(tags))
    flows = catalogue(prefix)

    alarms = Alarms("alarms", f"{prefix}-alarms", settings.alarm_emails)
    database = Database(
        "database", prefix, settings.database, network, rotate=f"./bmx db rotate --stack {settings.environment}"
    )
    images = ImageStore("images", f"{prefix}-images", cdn_url=settings.images_cdn_url)
    keys = ApiKeys("api-keys", f"{prefix}/api-keys")
    platform = Platform(
        prefix=prefix,
        subnet_ids=network.subnet_ids,
        security_group_ids=[database.clients.id],
        variable_prefix=VARIABLES,
        variables={f"{VARIABLES}ENVIRONMENT": settings.environment, f"{VARIABLES}VERSION": settings.version},
    )

    def code(name: str, *sources: str, **generated: str) -> Package:
        """Package one of this project's own functions."""
        return package(
            ["handlers/__init__.py", "handlers/common", f"handlers/{name}", *sources],
            generated={f"handlers/{name}/{file}.json": text for file, text in generated.items()},
            requirements=f"requirements/{name}.txt" if settings.bundle_dependencies else None,
        )

    def function(
        name: str,
        of: Package,
        *,
        timeout: int,
        needs: list[Need],
        after: list[pulumi.Resource],
        module: str = "handler",
        variables: Mapping[str, str] | None = None,
    ) -> Function:
        """Declare one of this project's own functions, with what the flows that it produces for grant it."""
        sends = [SendTo(flow.key) for flow in flows if name in flow.senders]
        runs.append({"name": function_name(prefix, name), "artefact": None})
        return Function(
            name,
            function_name(prefix, name),
            replace(platform, variables={**platform.variables, **(variables or {})}),
            of,
            timeout=timeout,
            memory=512,
            service=name,
            handler=f"handlers.{name}.{module}.handler",
            needs=[*needs, *sends],
            grants=[database, images, keys, *workers],
            opts=pulumi.ResourceOptions(depends_on=after),
        )

    codes = {name: _code(prefix, name, given) for name, given in settings.artefacts.items()}
    workers: list[WorkerFlow] = []
    runs: list[dict[str, str | None]] = []
    migrations = code(MIGRATE, "migrations")
    migrate = function(MIGRATE, migrations, timeout=900, needs=[UseDatabase()], after=database.ready)
    schema = Migration("migration", migrate, migrations)

    for flow in flows:
        workers.append(
            WorkerFlow(
                flow,
                platform,
                codes.get(flow.code),
                alarms=alarms,
                grants=[database, images, *workers],
                opts=pulumi.ResourceOptions(depends_on=[schema]),
            )
        )

    # Without its flow's function a dispatcher would fill a queue that nobody reads.
    dispatched = [worker.flow for worker in workers if worker.deployed]
    dispatchers = [(flow.dispatcher, flow.schedule, 300) for flow in dispatched if flow.dispatcher and flow.schedule]
    swept = next(flow for flow in flows if JOB_SWEEPER in flow.producers)
    # What is sent again depends on how long the queue keeps a message and how often it delivers one.
    rules = {
        f"{VARIABLES}MAX_RECEIVES": str(swept.receives),
        f"{VARIABLES}MESSAGE_RETENTION": str(swept.retention),
    }
    # What an upload left behind is read, and removed where it is no photograph.
    clears: list[Need] = [ReadObjects(PICTURES), DeleteObjects(PICTURES), TellMissingObjects()]
    for name, rate, timeout in [*dispatchers, (JOB_SWEEPER, "rate(5 minutes)", 240)]:
        started = function(
            name,
            code(name),
            timeout=timeout,
            needs=[UseDatabase(), *(clears if name == JOB_SWEEPER else [])],
            after=[schema],
            variables=rules if name == JOB_SWEEPER else None,
        )
        Schedule(f"{name}-schedule", function_name(prefix, name), rate, started, alarms=alarms)

    runs += [{"name": w.flow.function_name(prefix), "artefact": w.flow.code} for w in workers if w.deployed]
    entries = [worker.flow.registry_entry(prefix, VARIABLES, deployed=worker.deployed) for worker in workers]
    registry = json.dumps({"prefix": prefix, "environment": settings.environment, "flows": entries}, indent=1)
    pictures: list[Need] = [ReadObjects(PICTURES), WriteObjects(PICTURES), TellMissingObjects()]
    operates: list[Need] = [need(flow.key) for flow in flows for need in (InspectFlow, RedriveFlow)]
    answers = function(
        API,
        code(API, registry=registry),
        module="app",
        timeout=LONGEST_ANSWER,
        needs=[*pictures, UseDatabase(), ReadSecret(KEYS), *operates],
        after=[schema],
    )
    api = Api("http", f"{prefix}-api", platform, answers)
    alarms.watch("api", f"{prefix}-api", function_conditions(answers.name), parent=api)
    images.allow_uploads_from(api.url)
    audit = AuditLog("operations", f"/{prefix}/operations")
    releases = ReleaseLog("releases", f"{prefix}-releases")
    Dashboard("dashboard", prefix, [worker.flow for worker in workers])

    exports: dict[str, Any] = {
        "api_url": api.url,
        "images_bucket": images.bucket.bucket,
        "database": database.described,
        "database_secret_arn": database.secret_arn,
        "api_keys_secret_arn": keys.secret.arn,
        "flows": entries,
        "migrate_function": migrate.name,
        "api_function": answers.name,
        "operations_log_group": audit.log_group.name,
        "alarms_topic_arn": alarms.topic.arn,
        "releases_bucket": releases.bucket.bucket,
        "artefacts": {name: _by_content(each) for name, each in codes.items()},
        "functions": runs,
    }
    for name, value in exports.items():
        pulumi.export(name, value)


def _codes(prefix: str) -> list[str]:
    """Return what the artefacts of a stack may be called."""
    return [flow.code for flow in catalogue(prefix)]


def _code(prefix: str, name: str, given: Configured) -> Artefact | BuiltImage:
    """Return code that exists, or build it where the configuration says so."""
    if not isinstance(given, BuildArtefact):
        return given
    return ImageBuild(f"{name}-build", prefix, IMAGES[name], given.build).image


def _by_content(code: Artefact | BuiltImage) -> dict[str, Any]:
    """Name code so that another stack can take it."""
    return {"image": code.reference} if isinstance(code, BuiltImage) else code.model_dump(by_alias=True)


try:
    program()
except RefusedError as refusal:
    raise pulumi.RunError(str(refusal)) from None
