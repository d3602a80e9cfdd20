"""SNS: topics, their policies and subscriptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, sync_tags, unpaired
from local.resources.schema import Difference, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Nothing published to a topic leaves the machine; e-mail subscriptions stay pending and are never confirmed.",
    "FIFO topics, delivery feedback, archives and data protection are refused by name.",
)

_MISSING: Final = ("NotFound", "NotFoundException", "ResourceNotFound")


def _attributes(aws: Aws, arn: str) -> dict[str, str] | None:
    try:
        return dict(aws.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"])
    except ClientError as error:
        if gone(error, *_MISSING):
            return None
        raise


class Topic(Driver):
    """A topic. Its id is its ARN; imported by it."""

    type_name = "aws:sns/topic:Topic"
    source = "terraform-provider-aws internal/service/sns/topic.go"
    members: ClassVar = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId", "policy": "Policy"}
    properties: ClassVar = {
        "displayName": Property(longest=100),
        "kmsMasterKeyId": Property(),
        "name": Property(replaces=True, longest=256, pattern=r"[A-Za-z0-9_-]+"),
        "policy": Property("policy", computed=True, longest=30_720),
    }
    outputs = frozenset({"arn", "owner", "tagsAll"})
    autoname = ("name", 80)
    taggable = True

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateTopic with attributes and tags."""
        wanted = {api: inputs[key] for key, api in self.members.items() if inputs.get(key)}
        answer = aws.client("sns").create_topic(Name=inputs["name"], Attributes=wanted, Tags=pairs(inputs["tagsAll"]))
        return str(answer["TopicArn"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetTopicAttributes and tags."""
        found = _attributes(aws, identifier)
        if found is None:
            return None
        tags = aws.client("sns").list_tags_for_resource(ResourceArn=identifier)["Tags"]
        return {
            **{key: found.get(api) or None for key, api in self.members.items()},
            "arn": found["TopicArn"],
            "name": found["TopicArn"].rsplit(":", 1)[1],
            "owner": found["Owner"],
            "tagsAll": unpaired(tags),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """SetTopicAttributes, one at a time as the API wants it, and tags."""
        client = aws.client("sns")
        for key, api in self.members.items():
            if old.get(key) == new.get(key) or (key not in new and self.properties[key].computed):
                continue
            client.set_topic_attributes(TopicArn=identifier, AttributeName=api, AttributeValue=new.get(key, ""))
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(ResourceArn=identifier, Tags=pairs(tags)),
            lambda keys: client.untag_resource(ResourceArn=identifier, TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteTopic."""
        try:
            aws.client("sns").delete_topic(TopicArn=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


class TopicPolicy(Driver):
    """A topic's resource policy. Its id is the topic's ARN; imported by it."""

    type_name = "aws:sns/topicPolicy:TopicPolicy"
    source = "terraform-provider-aws internal/service/sns/topic_policy.go"
    properties: ClassVar = {
        "arn": Property(required=True, replaces=True, pattern=r"arn:aws[a-z-]*:sns:.+"),
        "policy": Property("policy", required=True, longest=30_720),
    }
    outputs = frozenset({"owner"})

    def create(self, aws: Aws, inputs: Values) -> str:
        """SetTopicAttributes."""
        self._set(aws, inputs["arn"], inputs["policy"])
        return str(inputs["arn"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetTopicAttributes."""
        found = _attributes(aws, identifier)
        return None if found is None else {"arn": identifier, "policy": found.get("Policy"), "owner": found["Owner"]}

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """SetTopicAttributes."""
        self._set(aws, identifier, new["policy"])

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Put back what a topic has at first: its own account may use it (resourceTopicPolicyDelete)."""
        try:
            self._set(aws, identifier, _default_policy(identifier))
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise

    def _set(self, aws: Aws, arn: str, policy: str) -> None:
        aws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def _default_policy(arn: str) -> str:
    actions = "AddPermission DeleteTopic GetTopicAttributes ListSubscriptionsByTopic Publish Receive RemovePermission"
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in [*actions.split(), "SetTopicAttributes", "Subscribe"]],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": arn.split(":")[4]}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


class TopicSubscription(Driver):
    """A subscription. Its id is its ARN; imported by it."""

    type_name = "aws:sns/topicSubscription:TopicSubscription"
    source = "terraform-provider-aws internal/service/sns/topic_subscription.go"
    members: ClassVar = {
        "filterPolicy": "FilterPolicy",
        "filterPolicyScope": "FilterPolicyScope",
        "redrivePolicy": "RedrivePolicy",
    }
    properties: ClassVar = {
        "confirmationTimeoutInMinutes": Property("integer", default=1, written_only=True),
        "endpoint": Property(required=True, replaces=True),
        "endpointAutoConfirms": Property("boolean", default=False, written_only=True),
        "filterPolicy": Property("json"),
        "filterPolicyScope": Property(computed=True, choices=("MessageAttributes", "MessageBody")),
        "protocol": Property(
            required=True,
            replaces=True,
            choices=("application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"),
        ),
        "rawMessageDelivery": Property("boolean", default=False),
        "redrivePolicy": Property("json"),
        "topic": Property(required=True, replaces=True, pattern=r"arn:aws[a-z-]*:sns:.+"),
    }
    outputs = frozenset({"arn", "confirmationWasAuthenticated", "ownerId", "pendingConfirmation"})

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse an address that is none, and the scope of no filter (topic_subscription.go, CustomizeDiff)."""
        if "filterPolicyScope" in given and "filterPolicy" not in given:
            yield Failure("filterPolicyScope", "filter_policy is required when filter_policy_scope is set")
        if known.get("protocol", "").startswith("email") and "@" not in known.get("endpoint", "@"):
            yield Failure(
                "endpoint", f"api error InvalidParameter: Invalid parameter: Email address: {known['endpoint']}"
            )

    def _scoped(self, inputs: Values) -> Values:
        """Give a filter without a scope the one that AWS gives it."""
        return {"filterPolicyScope": "MessageAttributes", **inputs} if inputs.get("filterPolicy") else inputs

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Compare; a scope that goes while the filter stays is set back (topic_subscription.go, CustomizeDiff)."""
        return super().diff(aws, state, self._scoped(new) if state.get("filterPolicyScope") else new, ignored)

    def create(self, aws: Aws, inputs: Values) -> str:
        """Subscribe."""
        answer = aws.client("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            Attributes=self._wanted(inputs),
            ReturnSubscriptionArn=True,
        )
        return str(answer["SubscriptionArn"])

    def _wanted(self, inputs: Values) -> dict[str, str]:
        wanted = {api: inputs[key] for key, api in self.members.items() if inputs.get(key)}
        return {**wanted, **({"RawMessageDelivery": "true"} if inputs["rawMessageDelivery"] else {})}

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetSubscriptionAttributes."""
        try:
            found = aws.client("sns").get_subscription_attributes(SubscriptionArn=identifier)["Attributes"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            **{key: found.get(api) or None for key, api in self.members.items()},
            "arn": identifier,
            "topic": found["TopicArn"],
            "protocol": found["Protocol"],
            "endpoint": found["Endpoint"],
            "ownerId": found.get("Owner"),
            "rawMessageDelivery": found.get("RawMessageDelivery") == "true",
            "pendingConfirmation": found.get("PendingConfirmation") == "true",
            "confirmationWasAuthenticated": found.get("ConfirmationWasAuthenticated") == "true",
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """SetSubscriptionAttributes, one at a time."""
        before, after = self._wanted(old), self._wanted(self._scoped(new))
        cleared: dict[str, Any] = {"RawMessageDelivery": "false", "FilterPolicy": "{}"}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                aws.client("sns").set_subscription_attributes(
                    SubscriptionArn=identifier,
                    AttributeName=name,
                    AttributeValue=after.get(name, cleared.get(name, "")),
                )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Unsubscribe."""
        try:
            aws.client("sns").unsubscribe(SubscriptionArn=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


DRIVERS: Final = (Topic, TopicPolicy, TopicSubscription)
