"""What starts a Lambda function: event source mappings, permissions, and an invocation as a resource."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.lambda_limits import batch_refusal, visibility_refusal
from local.resources.driver import Aws, AwsError, Driver, gone, sync_tags
from local.resources.lambda_ import MISSING, invalid
from local.resources.schema import Difference, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Only SQS queues are modelled as event sources; filter criteria, destinations and streams are refused by name.",
)

_BATCH_WITHOUT_WINDOW: Final = 10
# lambda/validate.go, validFunctionName
_FUNCTION: Final = (
    r"(arn:[\w-]+:lambda:)?([a-z]{2}-([a-z]+-){1,2}\d:)?(\d{12}:)?(function:)?"
    r"[A-Za-z0-9_-]+(:(\$LATEST|[A-Za-z0-9_-]+))?"
)
_MOST_IN_BATCH: Final = 10_000


class EventSourceMapping(Driver):
    """A queue that feeds a function. Its id is its UUID; imported by it."""

    type_name = "aws:lambda/eventSourceMapping:EventSourceMapping"
    source = "terraform-provider-aws internal/service/lambda/event_source_mapping.go"
    properties: ClassVar = {
        "batchSize": Property("integer", computed=True, minimum=1, maximum=_MOST_IN_BATCH),
        "enabled": Property("boolean", default=True),
        "eventSourceArn": Property(required=True, replaces=True, pattern=r"arn:aws[a-z-]*:sqs:.+"),
        "functionName": Property(required=True),
        "functionResponseTypes": Property("strings", unordered=True),
        "maximumBatchingWindowInSeconds": Property("integer", minimum=0, maximum=300),
        "scalingConfig": Property(
            "object", fields={"maximumConcurrency": Property("integer", minimum=2, maximum=1000)}
        ),
    }
    outputs = frozenset(
        [
            "arn",
            "functionArn",
            "lastModified",
            "lastProcessingResult",
            "state",
            "stateTransitionReason",
            "uuid",
            "tagsAll",
        ]
    )
    derived: ClassVar = {
        "functionArn": ("functionName",),
        "lastModified": tuple(properties),
        "state": ("enabled",),
        "stateTransitionReason": ("enabled",),
    }
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the batch to SQS's sizes and the response types to the one there is."""
        batch = known.get("batchSize", _BATCH_WITHOUT_WINDOW)
        source = known.get("eventSourceArn", "")
        if source.endswith(".fifo") and batch > _BATCH_WITHOUT_WINDOW:
            yield Failure("batchSize", "a FIFO queue is read in batches of at most 10 messages")
        # A window that is given and not known yet may be long enough.
        window = known.get("maximumBatchingWindowInSeconds", int("maximumBatchingWindowInSeconds" in given))
        if refusal := batch_refusal(batch, window):
            yield Failure("batchSize", f"InvalidParameterValueException: {refusal}")
        if wrong := [kind for kind in known.get("functionResponseTypes", []) if kind != "ReportBatchItemFailures"]:
            yield Failure("functionResponseTypes", f"expected ReportBatchItemFailures, got {wrong}")

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Take a function's name and its ARN for the same (event_source_mapping.go, function_name's suppression)."""
        wanted, arn = inputs.get("functionName"), state.get("functionArn")
        if name == "batchSize" and name not in inputs:
            # Left out it is the service's default, which alone is no change (event_source_mapping.go, batch_size).
            return state.get(name) in (None, _BATCH_WITHOUT_WINDOW)
        if name == "functionName" and isinstance(wanted, str) and isinstance(arn, str):
            return arn == wanted or arn.endswith(f":function:{wanted}")
        return None

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateEventSourceMapping; the queue has to be invisible for at least the function's timeout."""
        _require_visibility(aws, inputs, "CreateEventSourceMapping")
        answer = aws.client("lambda").create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"], **_mapping(inputs), Tags=inputs["tagsAll"]
        )
        return str(answer["UUID"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetEventSourceMapping."""
        try:
            found = aws.client("lambda").get_event_source_mapping(UUID=identifier)
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        arn = found["FunctionArn"]
        wanted = known.get("functionName", arn)
        concurrency = found.get("ScalingConfig", {}).get("MaximumConcurrency")
        return {
            # The provider keeps the name as it was given while it still names the same function.
            "functionName": wanted if arn == wanted or arn.endswith(f":{wanted}") else arn,
            "functionArn": arn,
            "eventSourceArn": found["EventSourceArn"],
            "batchSize": found["BatchSize"],
            "enabled": found["State"] in ("Enabled", "Enabling", "Creating"),
            "functionResponseTypes": found.get("FunctionResponseTypes") or None,
            "maximumBatchingWindowInSeconds": found.get("MaximumBatchingWindowInSeconds"),
            "scalingConfig": {"maximumConcurrency": concurrency} if concurrency else None,
            "arn": found.get("EventSourceMappingArn"),
            "uuid": found["UUID"],
            "state": found["State"],
            "stateTransitionReason": found.get("StateTransitionReason", ""),
            "lastProcessingResult": found.get("LastProcessingResult", ""),
            "lastModified": found["LastModified"].isoformat(),
            "tagsAll": aws.client("lambda").list_tags(Resource=found["EventSourceMappingArn"]).get("Tags", {}),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateEventSourceMapping."""
        client = aws.client("lambda")
        _require_visibility(aws, new, "UpdateEventSourceMapping")
        if "batchSize" not in new and old.get("batchSize") not in (None, _BATCH_WITHOUT_WINDOW):
            message = "Value '0' at 'batchSize' failed to satisfy constraint: Member must be at least 1"
            raise AwsError("Lambda: UpdateEventSourceMapping", "ValidationException", message)
        cleared: dict[str, Any] = {
            "FunctionResponseTypes": [],
            "MaximumBatchingWindowInSeconds": 0,
            "ScalingConfig": {},
        }
        client.update_event_source_mapping(UUID=identifier, **{**cleared, **_mapping(new)})
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(Resource=old["arn"], Tags=tags),
            lambda keys: client.untag_resource(Resource=old["arn"], TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteEventSourceMapping."""
        try:
            aws.client("lambda").delete_event_source_mapping(UUID=identifier)
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


def _mapping(inputs: Values) -> dict[str, Any]:
    scaling = (inputs.get("scalingConfig") or {}).get("maximumConcurrency")
    wanted = {
        "FunctionName": inputs["functionName"],
        "Enabled": inputs["enabled"],
        "BatchSize": inputs.get("batchSize"),
        "FunctionResponseTypes": inputs.get("functionResponseTypes"),
        "MaximumBatchingWindowInSeconds": inputs.get("maximumBatchingWindowInSeconds"),
        "ScalingConfig": {"MaximumConcurrency": scaling} if scaling else None,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _require_visibility(aws: Aws, inputs: Values, operation: str) -> None:
    """Refuse before the call, in Lambda's words.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=inputs["eventSourceArn"].rsplit(":", 1)[1])["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    visibility = int(attributes["VisibilityTimeout"])
    timeout = aws.client("lambda").get_function_configuration(FunctionName=inputs["functionName"])["Timeout"]
    if refusal := visibility_refusal(visibility, timeout):
        raise invalid(operation, refusal)


class Permission(Driver):
    """One statement of a function's policy. Its id is the statement's; imported as `<function>/<statement id>`."""

    type_name = "aws:lambda/permission:Permission"
    source = "terraform-provider-aws internal/service/lambda/permission.go (every property)"
    properties: ClassVar = {
        "action": Property(required=True, replaces=True, pattern=r"lambda:(\*|[A-Za-z]+)"),
        "eventSourceToken": Property(replaces=True, written_only=True, longest=256, pattern=r"[A-Za-z0-9._-]+"),
        "function": Property(required=True, replaces=True, longest=140, pattern=_FUNCTION),
        "principal": Property(required=True, replaces=True),
        "principalOrgId": Property(replaces=True),
        "qualifier": Property(replaces=True, longest=128, pattern=r"[A-Za-z0-9$_-]+"),
        "sourceAccount": Property(replaces=True, pattern=r"\d{12}"),
        "sourceArn": Property(replaces=True, pattern=r"arn:.+"),
        "statementId": Property(replaces=True, longest=100, pattern=r"[A-Za-z0-9_-]+"),
    }

    autoname = ("statementId", 100)

    def create(self, aws: Aws, inputs: Values) -> str:
        """AddPermission."""
        statement = inputs["statementId"]
        names = {
            "principalOrgId": "PrincipalOrgID",
            "qualifier": "Qualifier",
            "sourceAccount": "SourceAccount",
            "sourceArn": "SourceArn",
            "eventSourceToken": "EventSourceToken",
        }
        if statement in {item.get("Sid") for item in _statements(aws, inputs["function"], inputs.get("qualifier"))}:
            message = (
                f"The statement id ({statement}) provided already exists. Please provide a new statement id, or "
                "remove it."
            )
            raise AwsError("Lambda: AddPermission", "ResourceConflictException", message)
        aws.client("lambda").add_permission(
            FunctionName=inputs["function"],
            StatementId=statement,
            Action=inputs["action"],
            Principal=inputs["principal"],
            **{api: inputs[key] for key, api in names.items() if inputs.get(key)},
        )
        return str(statement)

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetPolicy, and the statement in it."""
        function, _, statement_id = identifier.rpartition("/")
        function = known.get("function") or function
        statements = _statements(aws, function, known.get("qualifier"))
        found = next((item for item in statements if item.get("Sid") == statement_id), None)
        if found is None:
            return None
        condition = found.get("Condition", {})
        principal = found["Principal"]
        if isinstance(principal, dict):
            principal = principal.get("Service") or principal.get("AWS")
        return {
            "id": statement_id,
            "function": function,
            "statementId": statement_id,
            "action": found["Action"],
            "principal": known.get("principal")
            if principal == f"arn:aws:iam::{known.get('principal')}:root"
            else principal,
            "qualifier": known.get("qualifier"),
            "sourceArn": (condition.get("ArnLike") or {}).get("AWS:SourceArn"),
            "sourceAccount": (condition.get("StringEquals") or {}).get("AWS:SourceAccount"),
            "principalOrgId": (condition.get("StringEquals") or {}).get("aws:PrincipalOrgID"),
        }

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """RemovePermission."""
        qualifier = {"Qualifier": state["qualifier"]} if state.get("qualifier") else {}
        try:
            aws.client("lambda").remove_permission(FunctionName=state["function"], StatementId=identifier, **qualifier)
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


def _statements(aws: Aws, function: str, qualifier: str | None) -> list[dict[str, Any]]:
    try:
        answer = aws.client("lambda").get_policy(
            FunctionName=function, **({"Qualifier": qualifier} if qualifier else {})
        )
    except ClientError as error:
        if gone(error, *MISSING):
            return []
        raise
    return list(json.loads(answer["Policy"])["Statement"])


class Invocation(Driver):
    """An invocation as a resource. Its id is `<function>,<qualifier>,<md5 of the input>`; imported by it.

    Other triggers always make a new one; another input does under CREATE_ONLY
    (customizeDiffInputChangeWithCreateOnlyScope).
    """

    type_name = "aws:lambda/invocation:Invocation"
    source = "terraform-provider-aws internal/service/lambda/invocation.go"
    properties: ClassVar = {
        "functionName": Property(required=True, replaces=True),
        "input": Property(required=True),  # compared as text: another spelling is another input
        "lifecycleScope": Property(default="CREATE_ONLY", choices=("CREATE_ONLY", "CRUD")),
        "qualifier": Property(default="$LATEST", replaces=True),
        "terraformKey": Property(default="tf"),
        "triggers": Property("string_map", replaces=True),
    }
    outputs = frozenset({"result"})
    derived: ClassVar = {"result": ("input", "lifecycleScope", "terraformKey")}

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Under CRUD the input carries the action, so it has to be an object."""
        try:
            document = json.loads(known.get("input", "{}"))
        except ValueError as error:
            yield Failure("input", f"'input' contains an invalid JSON document: {error}")
            return
        if known.get("lifecycleScope") == "CRUD" and not isinstance(document, dict):
            yield Failure("input", 'lifecycleScope other than "CREATE_ONLY" requires input to be a JSON object')

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Compare; under CREATE_ONLY another input is another invocation."""
        once = new.get("lifecycleScope") == "CREATE_ONLY"
        found = super().diff(aws, state, new, ignored)
        return [item._replace(replaces=item.replaces or (once and item.path == "input")) for item in found]

    def create(self, aws: Aws, inputs: Values) -> str:
        """Invoke; an answer with FunctionError fails the resource with what the function said."""
        payload = _invoke(aws, inputs, "create", None)
        return ",".join((inputs["functionName"], inputs["qualifier"], hashlib.md5(payload).hexdigest()))  # noqa: S324

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Return what state has: an invocation cannot be asked for."""
        function, qualifier, _ = identifier.rsplit(",", 2)
        return {"functionName": function, "qualifier": qualifier, **known}

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Invoke again."""
        _invoke(aws, new, "update", old.get("input"))

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Invoke with the action `delete` under CRUD; nothing otherwise."""
        if state.get("lifecycleScope") == "CRUD":
            _invoke(aws, state, "delete", state.get("input"))


def _invoke(aws: Aws, inputs: Values, action: str, previous: str | None) -> bytes:
    payload = inputs["input"]
    if inputs["lifecycleScope"] == "CRUD":
        event = {
            **json.loads(payload),
            inputs["terraformKey"]: {"action": action, "prev_input": json.loads(previous or "null")},
        }
        payload = json.dumps(event)
    body: bytes = payload.encode()
    qualifier = {} if inputs["qualifier"] == "$LATEST" else {"Qualifier": inputs["qualifier"]}
    answer = aws.client("lambda").invoke(FunctionName=inputs["functionName"], Payload=body, **qualifier)
    said = answer["Payload"].read().decode()
    if answer.get("FunctionError"):
        raise AwsError(
            "Lambda: Invoke",
            str(answer["FunctionError"]),
            f"invoking Lambda Function ({inputs['functionName']}): {said}",
        )
    inputs["result"] = said
    return body


DRIVERS: Final = (EventSourceMapping, Permission, Invocation)
