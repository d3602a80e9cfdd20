"""SQS: queues, their policies, and who may use them as a dead-letter queue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, sync_tags
from local.resources.schema import Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "SQS answers at once here; on AWS a change of attributes takes up to 60 seconds to reach every host.",
    "A queue's name can be used again at once after deletion; AWS makes you wait 60 seconds.",
    "KMS keys of a queue are stored, not used.",
    "A RedriveAllowPolicy is kept and answered, not enforced: any queue may name another as its dead-letter queue.",
)

MISSING: Final = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
# Two settings of one queue at once would each write back the policy that the other has just changed.
_FIFO: Final = ".fifo"
_SETTING: Final = threading.Lock()


def _boolean(text: str) -> bool:
    return text == "true"


# Input property, SQS attribute, how its text is read.
_ATTRIBUTES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "contentBasedDeduplication": ("ContentBasedDeduplication", _boolean),
    "deduplicationScope": ("DeduplicationScope", str),
    "delaySeconds": ("DelaySeconds", int),
    "fifoQueue": ("FifoQueue", _boolean),
    "fifoThroughputLimit": ("FifoThroughputLimit", str),
    "kmsDataKeyReusePeriodSeconds": ("KmsDataKeyReusePeriodSeconds", int),
    "kmsMasterKeyId": ("KmsMasterKeyId", str),
    "maxMessageSize": ("MaximumMessageSize", int),
    "messageRetentionSeconds": ("MessageRetentionPeriod", int),
    "policy": ("Policy", str),
    "receiveWaitTimeSeconds": ("ReceiveMessageWaitTimeSeconds", int),
    "redriveAllowPolicy": ("RedriveAllowPolicy", str),
    "redrivePolicy": ("RedrivePolicy", str),
    "sqsManagedSseEnabled": ("SqsManagedSseEnabled", _boolean),
    "visibilityTimeoutSeconds": ("VisibilityTimeout", int),
}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(inputs: Values) -> dict[str, str]:
    wanted = {attribute: _text(inputs[key]) for key, (attribute, _) in _ATTRIBUTES.items() if key in inputs}
    # The provider leaves out FIFO's attributes on a standard queue, where SQS refuses even "false".
    if not inputs.get("fifoQueue"):
        wanted = {key: text for key, text in wanted.items() if key not in ("FifoQueue", "ContentBasedDeduplication")}
    return wanted


def _set(aws: Aws, url: str, attributes: dict[str, str]) -> None:
    """SetQueueAttributes, with the policy: the embedded SQS takes it away where it is left out."""
    client = aws.client("sqs")
    with _SETTING:
        if "Policy" not in attributes:
            # Asked for by name the embedded SQS refuses a policy that is not set; asked for all it leaves it out.
            policy = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"].get("Policy")
            attributes = {**attributes, **({"Policy": policy} if policy else {})}
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)


class Queue(Driver):
    """A queue. Its id is its URL; imported by it."""

    type_name = "aws:sqs/queue:Queue"
    source = "terraform-provider-aws internal/service/sqs/queue.go (queueSchema); ranges from there"
    properties: ClassVar = {
        "name": Property(replaces=True, pattern=r"[0-9A-Za-z_-]{1,80}|[0-9A-Za-z_-]{1,75}\.fifo"),
        "contentBasedDeduplication": Property("boolean", default=False),
        "deduplicationScope": Property(computed=True, choices=("messageGroup", "queue")),
        "delaySeconds": Property("integer", default=0, minimum=0, maximum=900),
        "fifoQueue": Property("boolean", default=False, replaces=True),
        "fifoThroughputLimit": Property(computed=True, choices=("perQueue", "perMessageGroupId")),
        "kmsDataKeyReusePeriodSeconds": Property("integer", computed=True, minimum=60, maximum=86_400),
        "kmsMasterKeyId": Property(conflicts=("sqsManagedSseEnabled",)),
        "maxMessageSize": Property("integer", default=262_144, minimum=1024, maximum=1_048_576),
        "messageRetentionSeconds": Property("integer", default=345_600, minimum=60, maximum=1_209_600),
        "policy": Property("policy", computed=True),
        "receiveWaitTimeSeconds": Property("integer", default=0, minimum=0, maximum=20),
        "redriveAllowPolicy": Property("json", computed=True),
        "redrivePolicy": Property("json", computed=True),
        "sqsManagedSseEnabled": Property("boolean", computed=True),
        "visibilityTimeoutSeconds": Property("integer", default=30, minimum=0, maximum=43_200),
    }
    outputs = frozenset({"arn", "url", "tagsAll"})
    autoname = ("name", 80)
    taggable = True

    def generated(self, name: str, proposed: str | None, inputs: Values) -> str:
        """End a FIFO queue's name in `.fifo`, within the 80 (pulumi-aws provider/resources.go)."""
        if proposed or not inputs.get("fifoQueue"):
            return super().generated(name, proposed, inputs)
        return super().generated(name[: 80 - 8 - len(_FIFO)], None, inputs) + _FIFO

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Without encryption the data key's reuse means nothing (sqs/queue.go, its DiffSuppressFunc)."""
        encrypted = inputs.get("kmsMasterKeyId") or inputs.get("sqsManagedSseEnabled")
        return True if name == "kmsDataKeyReusePeriodSeconds" and not encrypted else None

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse a FIFO queue without its suffix, FIFO's settings without FIFO, and a broken redrive policy."""
        fifo = known.get("fifoQueue")
        name = known.get("name", "")
        if name and fifo != name.endswith(".fifo"):
            yield Failure("name", f"invalid queue name: {name} (a FIFO queue's name, and no other, ends in .fifo)")
        if known.get("contentBasedDeduplication") and not fifo:
            yield Failure("contentBasedDeduplication", "content-based deduplication can only be set for FIFO queue")
        if "redrivePolicy" in known:
            yield from _redrive_failures(known["redrivePolicy"])

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateQueue with attributes and tags."""
        answer = aws.client("sqs").create_queue(
            QueueName=inputs["name"], Attributes=_attributes(inputs), tags=inputs["tagsAll"]
        )
        return str(answer["QueueUrl"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetQueueAttributes and ListQueueTags."""
        try:
            found = aws.client("sqs").get_queue_attributes(QueueUrl=identifier, AttributeNames=["All"])["Attributes"]
            tags = aws.client("sqs").list_queue_tags(QueueUrl=identifier).get("Tags", {})
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        state: Values = {
            key: convert(found[attribute])
            for key, (attribute, convert) in _ATTRIBUTES.items()
            if found.get(attribute) not in (None, "")
        }
        state.setdefault("kmsDataKeyReusePeriodSeconds", 300)
        state.setdefault("fifoQueue", False)
        state.setdefault("contentBasedDeduplication", False)
        return {
            **state,
            "arn": found["QueueArn"],
            "url": identifier,
            "name": identifier.rsplit("/", 1)[1],
            "tagsAll": tags,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """SetQueueAttributes with what changed; an attribute left out is emptied."""
        before, after = _attributes(old), _attributes(new)
        owned = {attribute for key, (attribute, _) in _ATTRIBUTES.items() if not self.properties[key].computed}
        cleared = {key: "" for key in before.keys() - after.keys() if key in owned}
        changed = {key: text for key, text in after.items() if before.get(key) != text and key != "FifoQueue"}
        client = aws.client("sqs")
        if cleared or changed:
            _set(aws, identifier, {**cleared, **changed})
        sync_tags(
            old,
            new,
            lambda tags: client.tag_queue(QueueUrl=identifier, Tags=tags),
            lambda keys: client.untag_queue(QueueUrl=identifier, TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteQueue, messages and all."""
        try:
            aws.client("sqs").delete_queue(QueueUrl=identifier)
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


def _redrive_failures(text: str) -> Iterable[Failure]:
    """Hold a redrive policy to its API.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html.
    """
    policy = json.loads(text) if text else {}
    if not policy:
        return
    receives = policy.get("maxReceiveCount")
    most = 1000
    # AWS takes the number as a number only: a string is a well-known way to a redrive policy that is refused.
    if not isinstance(receives, int) or not 1 <= receives <= most:
        yield Failure(
            "redrivePolicy", f"redrivePolicy.maxReceiveCount must be a number from 1 to {most}, got {receives!r}"
        )
    if not policy.get("deadLetterTargetArn"):
        yield Failure("redrivePolicy", "redrivePolicy has no deadLetterTargetArn")


class _QueueAttribute(Driver):
    """One attribute of a queue as a resource of its own. Its id is the queue's URL."""

    attribute: ClassVar[str]
    property: ClassVar[str]

    def create(self, aws: Aws, inputs: Values) -> str:
        """SetQueueAttributes."""
        _set(aws, inputs["queueUrl"], {self.attribute: inputs[self.property]})
        return str(inputs["queueUrl"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetQueueAttributes; without the attribute the resource does not exist."""
        try:
            found = aws.client("sqs").get_queue_attributes(QueueUrl=identifier, AttributeNames=["All"])
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        text = found.get("Attributes", {}).get(self.attribute)
        return {"queueUrl": identifier, self.property: text} if text else None

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """SetQueueAttributes."""
        _set(aws, identifier, {self.attribute: new[self.property]})

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Empty the attribute."""
        try:
            _set(aws, identifier, {self.attribute: ""})
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


class QueuePolicy(_QueueAttribute):
    """A queue's resource policy."""

    type_name = "aws:sqs/queuePolicy:QueuePolicy"
    source = "terraform-provider-aws internal/service/sqs/queue_policy.go"
    properties: ClassVar = {
        "queueUrl": Property(required=True, replaces=True),
        "policy": Property("policy", required=True),
    }
    attribute = "Policy"
    property = "policy"


class RedriveAllowPolicy(_QueueAttribute):
    """Which queues may name this one as their dead-letter queue."""

    type_name = "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"
    source = "terraform-provider-aws internal/service/sqs/queue_redrive_allow_policy.go"
    properties: ClassVar = {
        "queueUrl": Property(required=True, replaces=True),
        "redriveAllowPolicy": Property("json", required=True),
    }
    attribute = "RedriveAllowPolicy"
    property = "redriveAllowPolicy"

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Return what was set, while the queue is there: the embedded SQS does not say it back."""
        try:
            aws.client("sqs").get_queue_attributes(QueueUrl=identifier, AttributeNames=["QueueArn"])
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        text = known.get(self.property)
        return {"queueUrl": identifier, self.property: text} if text else None

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the permission to SQS's three values and the source queues to ten."""
        if "redriveAllowPolicy" not in known:
            return
        policy = json.loads(known["redriveAllowPolicy"])
        permission, sources = policy.get("redrivePermission"), policy.get("sourceQueueArns", [])
        most = 10
        if permission not in ("allowAll", "denyAll", "byQueue"):
            yield Failure(
                "redriveAllowPolicy", f"redrivePermission must be allowAll, denyAll or byQueue, got {permission!r}"
            )
        if (permission == "byQueue") != bool(sources) or len(sources) > most:
            yield Failure("redriveAllowPolicy", f"byQueue, and only it, names 1 to {most} sourceQueueArns")


DRIVERS: Final = (Queue, QueuePolicy, RedriveAllowPolicy)
