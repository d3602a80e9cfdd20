"""WorkerFlow: what one Flow becomes on AWS.

- dead-letter queue and queue: encrypted, long polling, TLS only; only this queue may redrive into those dead letters
- function with its role and log group, the flow's needs granted; none where there is no code yet
- event source mapping: partial batch failures, maximum concurrency
- alarms: dead letters, oldest message, backlog; errors, throttles, duration near the timeout of the function
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from components import iam
from components.alarms import Alarms, function_conditions, queue_conditions
from components.artefact import Artefact, BuiltImage
from components.flow import Flow
from components.function import Function, Grants, Platform
from components.iam import Grant
from components.needs import InspectFlow, Need, RedriveFlow, SendTo

LONG_POLLING = 20


@dataclass(frozen=True)
class Nodes:
    """What a flow made."""

    queue: aws.sqs.Queue
    dead_letter_queue: aws.sqs.Queue
    function: Function | None
    mapping: aws.lambda_.EventSourceMapping | None
    alarms: dict[str, aws.cloudwatch.MetricAlarm]


class WorkerFlow(pulumi.ComponentResource):
    """One worker flow, deployed.

    Parameters
    ----------
    flow
        The declaration; its key is the component's name.
    platform
        What the function shares with the stack's others.
    code
        The function's artefact; without one there are queues, grants and alarms, and neither function nor mapping.
    grants
        The components that own what the flow needs.
    alarms
        The topic that its alarms speak on.
    transform
        The escape hatch: called with each resource before it is made, and may return other properties or options for it
        (`pulumi.ResourceTransformationResult`). Example: ``lambda args: None`` changes nothing.
    """

    nodes: Nodes

    def __init__(
        self,
        flow: Flow,
        platform: Platform,
        code: Artefact | BuiltImage | None,
        *,
        alarms: Alarms,
        grants: Iterable[Grants] = (),
        transform: pulumi.ResourceTransformation | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        hatch = pulumi.ResourceOptions(transformations=[transform] if transform else [])
        super().__init__("worker-flows:index:WorkerFlow", flow.key, {}, pulumi.ResourceOptions.merge(opts, hatch))
        self.flow = flow
        self._platform = platform
        self._child = pulumi.ResourceOptions(parent=self)

        self._dead_letters = self._dead_letter_queue()
        self._queue = self._queue_above(self._dead_letters)
        self._admit_only(self._queue, self._dead_letters)
        function = None if code is None else self._function(code, grants)
        self.nodes = Nodes(
            queue=self._queue,
            dead_letter_queue=self._dead_letters,
            function=function,
            mapping=None if function is None else self._mapping(function),
            alarms=self._alarms(alarms, function),
        )
        self.register_outputs({"queue_name": self._queue.name, "deployed": self.deployed})

    @property
    def deployed(self) -> bool:
        """Whether the flow has its code, so that somebody works through the queue."""
        return self.nodes.function is not None

    def grant(self, need: Need) -> Grant | None:
        """Grant a producer sending to this flow, so that it learns the queue's name; or inspecting, or redriving it."""
        key, queue, dead_letters = self.flow.key, self._queue.arn, self._dead_letters.arn
        if need == SendTo(key):
            return Grant(iam.producer_statements(queue), {self.flow.variable: self._queue.name})
        if need == InspectFlow(key):
            function = self.nodes.function
            return Grant(iam.inspector_statements(queue, dead_letters, function.arn if function else None))
        if need == RedriveFlow(key):
            return Grant(iam.redriver_statements(queue, dead_letters))
        return None

    def _dead_letter_queue(self) -> aws.sqs.Queue:
        return aws.sqs.Queue(
            f"{self.flow.key}-dead-letters",
            name=self.flow.dead_letter_queue_name(self._platform.prefix),
            message_retention_seconds=self.flow.dead_letter_retention,
            receive_wait_time_seconds=LONG_POLLING,
            sqs_managed_sse_enabled=True,
            opts=self._child,
        )

    def _queue_above(self, dead_letters: aws.sqs.Queue) -> aws.sqs.Queue:
        return aws.sqs.Queue(
            f"{self.flow.key}-queue",
            name=self.flow.queue_name(self._platform.prefix),
            visibility_timeout_seconds=self.flow.visibility_timeout,
            message_retention_seconds=self.flow.retention,
            receive_wait_time_seconds=LONG_POLLING,
            sqs_managed_sse_enabled=True,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": self.flow.receives}, sort_keys=True
            ),
            opts=self._child,
        )

    def _admit_only(self, queue: aws.sqs.Queue, dead_letters: aws.sqs.Queue) -> None:
        for end, made in (("queue", queue), ("dead-letters", dead_letters)):
            aws.sqs.QueuePolicy(
                f"{self.flow.key}-{end}", queue_url=made.url, policy=iam.tls_only("sqs:*", made.arn), opts=self._child
            )
        # As an argument of the dead-letter queue it would need the queue, which needs the dead-letter queue.
        aws.sqs.RedriveAllowPolicy(
            f"{self.flow.key}-dead-letters",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}, sort_keys=True
            ),
            opts=self._child,
        )

    def _function(self, code: Artefact | BuiltImage, grants: Iterable[Grants]) -> Function:
        flow, platform = self.flow, self._platform
        # The worker has to know which delivery is its last, to say so before the message becomes a dead letter.
        receives = {f"{platform.variable_prefix}MAX_RECEIVES": str(flow.receives)}
        return Function(
            f"{flow.key}-function",
            flow.function_name(platform.prefix),
            replace(platform, variables={**platform.variables, **receives}),
            code,
            timeout=flow.timeout,
            memory=flow.memory,
            service=flow.key,
            handler=flow.handler,
            needs=flow.needs,
            # A flow may send to its own queue, as a dispatcher does.
            grants=[*grants, self],
            statements=iam.consumer_statements(self._queue.arn),
            ephemeral_storage=flow.ephemeral_storage,
            reserved_concurrency=flow.reserved_concurrency,
            opts=self._child,
        )

    def _mapping(self, function: Function) -> aws.lambda_.EventSourceMapping:
        return aws.lambda_.EventSourceMapping(
            f"{self.flow.key}-mapping",
            event_source_arn=self._queue.arn,
            function_name=function.name,
            batch_size=self.flow.batch_size,
            maximum_batching_window_in_seconds=self.flow.batch_window,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": self.flow.maximum_concurrency},
            opts=self._child,
        )

    def _alarms(self, alarms: Alarms, function: Function | None) -> dict[str, aws.cloudwatch.MetricAlarm]:
        conditions = queue_conditions(
            self._queue.name,
            self._dead_letters.name,
            oldest_message=self.flow.oldest_message_threshold,
            backlog=self.flow.backlog_threshold,
        )
        if function is not None:
            conditions += function_conditions(function.name, self.flow.duration_threshold)
        return alarms.watch(self.flow.key, self.flow.function_name(self._platform.prefix), conditions, parent=self)
