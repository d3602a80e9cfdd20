"""Queues: encrypted, TLS only, with dead letters that outlive them and are theirs alone."""

from collections.abc import Iterator, Mapping

from components.flow import RECEIVES
from policies.documents import parsed, statements
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.tokens import QUEUE, QUEUE_POLICY, REDRIVE_ALLOW

# "Amazon SQS message quotas": what a queue keeps when it is not told.
DEFAULT_RETENTION = 4 * 24 * 60 * 60


@rule(
    "queue-encrypted",
    QUEUE,
    asks="A queue is encrypted at rest.",
    why="Message bodies name books and pictures; no queue had an encryption setting before.",
    fix="Set sqsManagedSseEnabled to true, or kmsMasterKeyId.",
    fsbp=("SQS.1",),
    checkov=("CKV_AWS_27",),
)
def encrypted(resource: Resource) -> Iterator[Finding]:
    """Report a queue with neither."""
    if resource.get("kmsMasterKeyId") is None and resource.get("sqsManagedSseEnabled") not in {True, UNKNOWN}:
        yield Finding(resource, "sqsManagedSseEnabled", "is not true, and there is no kmsMasterKeyId")


@rule(
    "queue-receives",
    QUEUE,
    asks=f"A message is tried at least {RECEIVES} times before it is given up.",
    why="With two or three receives, deliveries that were only throttled reached the dead letters unprocessed.",
    fix=f"Set maxReceiveCount in redrivePolicy to {RECEIVES} or more.",
)
def receives(resource: Resource) -> Iterator[Finding]:
    """Report a redrive policy with too few, or one that cannot be read."""
    given = resource.get("redrivePolicy")
    if given is None:
        return
    policy = parsed(given)
    if policy is UNKNOWN:
        return
    count = policy.get("maxReceiveCount") if isinstance(policy, Mapping) else None
    if count is None or int(count) < RECEIVES:
        yield Finding(resource, "redrivePolicy", f"has maxReceiveCount {count}, below {RECEIVES}")


@rule(
    "queue-policy-closed",
    QUEUE_POLICY,
    asks="A queue's policy denies what does not come over TLS and opens it to nobody.",
    why="Without the denial SQS takes plain HTTP; a policy that allows everybody makes the queue the world's.",
    fix='Deny "sqs:*" to everybody under aws:SecureTransport false (components/iam.py, tls_only); name principals.',
    fsbp=("SQS.3",),
    checkov=("CKV_AWS_168", "CKV_AWS_387"),
)
def policy_closed(resource: Resource) -> Iterator[Finding]:
    """Report a document without the denial, or that allows anybody; an unknown one is read when it is known."""
    if resource.get("policy") is UNKNOWN:
        return
    said = statements(resource.get("policy"))
    if not any(s.denies_plain_http and {"sqs:*", "*"} & set(s.actions) for s in said):
        yield Finding(resource, "policy", "does not deny plain HTTP")
    if any(s.open_to_anybody for s in said):
        yield Finding(resource, "policy", "allows anybody")


@rule(
    "queue-has-policy",
    asks="Every queue has a policy.",
    why="A queue that nobody gave one takes plain HTTP.",
    fix="Make a QueuePolicy whose queueUrl is the queue's.",
)
def has_policy(stack: Stack) -> Iterator[Finding]:
    """Report a queue that no QueuePolicy refers to."""
    for queue in stack.of(QUEUE):
        if not stack.pointing_at(queue, "queueUrl", QUEUE_POLICY):
            yield Finding(queue, "a QueuePolicy", "is missing")


def dead_letters_of(stack: Stack, queue: Resource) -> Resource | None:
    """Return the dead-letter queue of a queue, known by its ARN or by what the redrive policy was made from."""
    policy = parsed(queue.get("redrivePolicy"))
    arn = policy.get("deadLetterTargetArn") if isinstance(policy, Mapping) else None
    others = [other for other in stack.of(QUEUE) if other is not queue]
    made_from = queue.depends.get("redrivePolicy", frozenset())
    return next((o for o in others if arn is not None and o.props.get("arn") == arn), None) or next(
        (o for o in others if o.urn in made_from), None
    )


def with_dead_letters(stack: Stack) -> Iterator[tuple[Resource, Resource | None]]:
    """Pair each queue that is nobody's dead-letter queue with its own."""
    pairs = [(queue, dead_letters_of(stack, queue)) for queue in stack.of(QUEUE)]
    dead = {letters.urn for _, letters in pairs if letters}
    return ((queue, letters) for queue, letters in pairs if queue.urn not in dead)


@rule(
    "queue-has-dead-letters",
    asks="Every queue has a dead-letter queue, which keeps messages longer than it does.",
    why="A dead letter keeps the age that it had: where both are kept as long, it vanishes before anybody looks.",
    fix="Set redrivePolicy to a queue of this stack, and that queue's messageRetentionSeconds above its own.",
)
def has_dead_letters(stack: Stack) -> Iterator[Finding]:
    """Report a queue without, and dead letters that are not kept longer."""
    for queue, letters in with_dead_letters(stack):
        if letters is None:
            yield Finding(queue, "redrivePolicy", "leads to no dead-letter queue of this stack")
            continue
        kept, dead = (each.get("messageRetentionSeconds", default=DEFAULT_RETENTION) for each in (queue, letters))
        if UNKNOWN not in {kept, dead} and dead <= kept:
            yield Finding(letters, "messageRetentionSeconds", f"is {dead}, not above the {kept} of {queue.name!r}")


@rule(
    "dead-letters-admit-own-queue",
    asks="Only its own queue may redrive into a dead-letter queue.",
    why="AWS's default lets every queue of the account and region name it.",
    fix='Make a RedriveAllowPolicy on it: redrivePermission "byQueue", sourceQueueArns the one queue.',
)
def admits_own_queue(stack: Stack) -> Iterator[Finding]:
    """Report dead letters without a RedriveAllowPolicy, or with one that is wider."""
    for _, letters in with_dead_letters(stack):
        if letters is None:
            continue
        found = stack.pointing_at(letters, "queueUrl", REDRIVE_ALLOW)
        if not found:
            yield Finding(letters, "a RedriveAllowPolicy", "is missing")
        for allow in found:
            policy = parsed(allow.get("redriveAllowPolicy"))
            if policy is not UNKNOWN and (policy or {}).get("redrivePermission") != "byQueue":
                yield Finding(allow, "redriveAllowPolicy", "does not say byQueue")


RULES = (encrypted, receives, policy_closed, has_policy, has_dead_letters, admits_own_queue)
