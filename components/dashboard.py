"""Dashboard: one page of graphs over all flows, a row each.

- CloudWatch dashboard; `body` is plain data, made from the declarations alone
"""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.flow import Flow
from components.refused import RefusedError

# "CloudWatch service quotas": widgets of a dashboard.
MOST_WIDGETS = 500
# The grid of "Dashboard body structure and syntax" is 24 columns wide.
WIDTH = 6
HEIGHT = 6
PERIOD = 300


class Dashboard(pulumi.ComponentResource):
    """One CloudWatch dashboard.

    Parameters
    ----------
    name
        Name of the component in the program.
    prefix
        Prefix of the stack's names, and the dashboard's name on AWS.
    flows
        What is shown, in order.
    """

    def __init__(
        self, name: str, prefix: str, flows: Sequence[Flow], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("worker-flows:index:Dashboard", name, {}, opts)
        region = aws.get_region_output().region
        self.dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=prefix,
            dashboard_body=pulumi.Output.json_dumps(region.apply(lambda known: body(prefix, flows, known))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"dashboard": self.dashboard.dashboard_name})


def body(prefix: str, flows: Sequence[Flow], region: str) -> dict[str, Any]:
    """Lay out the graphs of all flows: waiting, age of the oldest, dead letters, and the function, left to right.

    Parameters
    ----------
    prefix
        Prefix of the stack's names.
    flows
        One row each, in order.
    region
        Where their metrics are.

    Returns
    -------
    dict
        As in "Dashboard body structure and syntax" of the CloudWatch API reference.

    Raises
    ------
    RefusedError
        More graphs than a dashboard takes.
    """
    widgets = [
        {
            "type": "metric",
            "x": column * WIDTH,
            "y": row * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": {
                "title": f"{flow.key}: {title}",
                "region": region,
                "view": "timeSeries",
                "period": PERIOD,
                "metrics": metrics,
                **({"annotations": {"horizontal": [{"label": "alarm", "value": alarm}]}} if alarm else {}),
            },
        }
        for row, flow in enumerate(flows)
        for column, (title, metrics, alarm) in enumerate(_graphs(prefix, flow))
    ]
    if len(widgets) > MOST_WIDGETS:
        raise RefusedError(
            f"{len(flows)} flows make {len(widgets)} graphs and a dashboard takes {MOST_WIDGETS}; show fewer of each."
        )
    return {"widgets": widgets}


def _graphs(prefix: str, flow: Flow) -> list[tuple[str, list[list[Any]], int | None]]:
    """Title, metrics, and the line at which an alarm goes off, of each of a flow's graphs."""
    queue, dead_letters = flow.queue_name(prefix), flow.dead_letter_queue_name(prefix)
    function = flow.function_name(prefix)

    def sqs(metric: str, name: str, statistic: str) -> list[Any]:
        return ["AWS/SQS", metric, "QueueName", name, {"stat": statistic}]

    def lambda_(metric: str, statistic: str) -> list[Any]:
        return ["AWS/Lambda", metric, "FunctionName", function, {"stat": statistic}]

    waiting, flight = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"
    return [
        ("messages", [sqs(waiting, queue, "Maximum"), sqs(flight, queue, "Maximum")], flow.backlog_threshold),
        (
            "oldest message, s",
            [sqs("ApproximateAgeOfOldestMessage", queue, "Maximum")],
            flow.oldest_message_threshold,
        ),
        ("dead letters", [sqs(waiting, dead_letters, "Maximum")], None),
        ("function", [lambda_(name, "Sum") for name in ("Invocations", "Errors", "Throttles")], None),
    ]
