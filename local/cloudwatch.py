"""CloudWatch as moto does not have it: GetMetricData by the minute, and the state that an alarm begins in and keeps.

moto's GetMetricData walks every datapoint once for each query and period, tells namespaces apart only where there are
no dimensions, and begins its periods at any second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, Statistics

from local.alarm_state import INITIAL_REASON
from local.patching import Patches

MOST_QUERIES = 500
"""Queries that one GetMetricData takes."""
_STATE = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history")


def install() -> Patches:
    """Put both in moto's place, until undone."""
    patches = Patches()
    get, put = CloudWatchBackend.get_metric_data, CloudWatchBackend.put_metric_alarm

    def get_metric_data(
        backend: CloudWatchBackend,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        if len(queries) > MOST_QUERIES:
            raise ValidationError(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html (StartTime)
        start = start_time.replace(second=0, microsecond=0)
        if start >= end_time or any("MetricStat" not in query for query in queries):
            # moto has the refusals, and the little of metric math that it knows
            return list(get(backend, queries, start, end_time, scan_by))
        return _results(backend.get_all_metrics(), queries, start, end_time, scan_by)

    def put_metric_alarm(backend: CloudWatchBackend, name: str, *args: Any, **kwargs: Any) -> Any:
        before = backend.alarms.get(name)
        alarm = put(backend, name, *args, **kwargs)
        if before is None:
            alarm.state_value, alarm.state_reason = "INSUFFICIENT_DATA", INITIAL_REASON
        else:
            # "When you update an existing alarm, its state is left unchanged" (PutMetricAlarm)
            for attribute in _STATE:
                setattr(alarm, attribute, getattr(before, attribute))
        return alarm

    patches.set(CloudWatchBackend, "get_metric_data", get_metric_data)
    patches.set(CloudWatchBackend, "put_metric_alarm", put_metric_alarm)
    return patches


def _results(
    data: Sequence[Any], queries: Sequence[Mapping[str, Any]], start: datetime, end: datetime, scan_by: str
) -> list[dict[str, Any]]:
    by_metric = defaultdict(list)
    asked_for = {query["MetricStat"]["Metric"]["MetricName"] for query in queries}
    for datum in data:
        if datum.name in asked_for and start <= datum.timestamp < end:
            dimensions = frozenset((each.name, each.value) for each in datum.dimensions)
            by_metric[datum.namespace, datum.name, dimensions].append(datum)
    results = []
    for query in queries:
        if query.get("ReturnData") is False:
            continue
        asked = query["MetricStat"]
        metric, name = asked["Metric"], asked["Stat"]
        dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions") or [])
        values = _values(by_metric[metric["Namespace"], metric["MetricName"], dimensions], asked, start)
        ordered = sorted(values, reverse=scan_by == "TimestampDescending")
        results.append(
            {
                "id": query["Id"],
                "label": query.get("Label") or f"{metric['MetricName']} {name}",
                "values": [values[at] for at in ordered],
                "timestamps": ordered,
                "status_code": "Complete",
            }
        )
    return results


def _values(data: Sequence[Any], asked: Mapping[str, Any], start: datetime) -> dict[datetime, float]:
    """The statistic of each period that has data, by the period's begin."""
    period = int(asked["Period"])
    periods: dict[datetime, Statistics] = {}
    for datum in data:
        if asked.get("Unit") in (None, datum.unit):
            begin = start + timedelta(seconds=(datum.timestamp - start).total_seconds() // period * period)
            periods.setdefault(begin, Statistics([asked["Stat"]], begin)).metric_data.append(datum)
    found = {begin: each.get_statistics_for_type(asked["Stat"]) for begin, each in periods.items()}
    return {begin: float(value) for begin, value in found.items() if value is not None}
