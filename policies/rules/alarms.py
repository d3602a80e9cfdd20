"""Alarms: every dead-letter queue has one, and every alarm somebody who hears it."""

from collections.abc import Iterator

from policies.documents import statements
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.rules.queues import with_dead_letters
from policies.tokens import ALARM, SUBSCRIPTION, TOPIC, TOPIC_POLICY

DEAD_LETTERS_METRIC = "ApproximateNumberOfMessagesVisible"


@rule(
    "alarm-has-action",
    ALARM,
    asks="An alarm has an action, and its actions are on.",
    why="An alarm that tells nobody is a line in a console.",
    fix="Set alarmActions to the alarms' topic, and leave actionsEnabled on.",
    checkov=("CKV_AWS_319",),
)
def has_action(resource: Resource) -> Iterator[Finding]:
    """Report no action, and actions that are off."""
    if not resource.get("alarmActions"):
        yield Finding(resource, "alarmActions", "is empty")
    if resource.get("actionsEnabled", default=True) not in {True, UNKNOWN}:
        yield Finding(resource, "actionsEnabled", "is false")


def watches(stack: Stack, alarm: Resource, target: Resource) -> bool:
    """Tell whether an alarm's dimensions name a resource, or, in a preview, are made from it."""
    dimensions = alarm.get("dimensions", default={})
    values = set() if dimensions is UNKNOWN else set(dimensions.values())
    if UNKNOWN in values or dimensions is UNKNOWN:
        return target.urn in alarm.depends.get("dimensions", ())
    return target.get("name") in values


@rule(
    "dead-letters-alarm",
    asks="Every dead-letter queue has an alarm on its visible messages.",
    why="Five flows had one alarm between them; what one of the others gave up was found by its users.",
    fix=f"Make a MetricAlarm on {DEAD_LETTERS_METRIC} of that queue, threshold 1.",
)
def dead_letters_alarm(stack: Stack) -> Iterator[Finding]:
    """Report dead letters that no alarm watches from the first message on."""
    alarms = [alarm for alarm in stack.of(ALARM) if alarm.get("metricName") in {DEAD_LETTERS_METRIC, UNKNOWN}]
    alarms = [alarm for alarm in alarms if alarm.get("threshold") in {0, 1, UNKNOWN}]
    for _, letters in with_dead_letters(stack):
        if letters is not None and not any(watches(stack, alarm, letters) for alarm in alarms):
            yield Finding(letters, f"an alarm on {DEAD_LETTERS_METRIC}", "is missing")


@rule(
    "alarm-topic-heard",
    asks="Every topic that alarms speak on has a subscriber.",
    why="The one alarm there was spoke on a topic with no subscriber.",
    fix="Make a TopicSubscription on it; alarmEmails in the stack's configuration makes one an address.",
)
def topic_heard(stack: Stack) -> Iterator[Finding]:
    """Report a topic among alarms' actions that nobody subscribed to."""
    for topic in stack.of(TOPIC):
        if stack.pointing_at(topic, "topic", SUBSCRIPTION):
            continue
        arn = topic.get("arn")
        spoken = [a for a in stack.of(ALARM) if topic.urn in a.depends.get("alarmActions", ()) or _names(a, arn)]
        if spoken:
            yield Finding(topic, "a TopicSubscription", f"is missing, and {len(spoken)} alarms speak on it")


def _names(alarm: Resource, arn: object) -> bool:
    actions = alarm.get("alarmActions", default=())
    return actions is not UNKNOWN and arn is not UNKNOWN and arn in actions


@rule(
    "topic-encrypted",
    TOPIC,
    asks="A topic is encrypted with a key of our own.",
    why="Alarms name queues and functions; AWS's own key (alias/aws/sns) would keep CloudWatch out.",
    fix="Set kmsMasterKeyId to a key whose policy lets cloudwatch.amazonaws.com use it.",
    fsbp=("SNS.1",),
    checkov=("CKV_AWS_26",),
)
def topic_encrypted(resource: Resource) -> Iterator[Finding]:
    """Report no key, and AWS's own."""
    key = resource.get("kmsMasterKeyId")
    if key is None or key == "":
        yield Finding(resource, "kmsMasterKeyId", "is missing")
    elif isinstance(key, str) and key.endswith("alias/aws/sns"):
        yield Finding(resource, "kmsMasterKeyId", "is AWS's own key, which CloudWatch may not use")


@rule(
    "topic-closed",
    TOPIC_POLICY,
    asks="A topic's policy opens it to nobody.",
    why="Whoever may publish may raise alarms; whoever may subscribe reads them.",
    fix="Name principals, or bind them by aws:SourceAccount.",
    fsbp=("SNS.4",),
    checkov=("CKV_AWS_169",),
)
def topic_closed(resource: Resource) -> Iterator[Finding]:
    """Report a document that allows anybody."""
    if any(statement.open_to_anybody for statement in statements(resource.get("policy"))):
        yield Finding(resource, "policy", "allows anybody")


RULES = (has_action, dead_letters_alarm, topic_heard, topic_encrypted, topic_closed)
