"""The thread that writes the metrics and evaluates the alarms, each minute of the embedded cloud's clock.

A jump of the clock over several minutes writes the metrics of all of them and evaluates the alarms once, at its end.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from local import cloudwatch, sns
from local.alarm_actions import AlarmActions
from local.alarm_state import AlarmForm, Datapoint, UnsupportedAlarmError, Verdict, alarm_form, evaluate
from local.background import Background
from local.clock import Clock
from local.metrics import Metrics
from local.patching import Patches
from local.roles import Iam

_MINUTE = 60
_TICK_SECONDS = 0.5


class Monitoring:
    """Metrics and alarms of one account and region.

    Parameters
    ----------
    iam
        Decides whom topics and keys let in.
    clock : Clock
        The embedded cloud's clock.
    log : pathlib.Path
        Where state changes and deliveries are written.
    background : Background
        Keeps the thread going.
    """

    def __init__(self, account: str, region: str, iam: Iam, clock: Clock, log: Path, *, background: Background) -> None:
        self._account, self._region, self._clock = account, region, clock
        self.metrics = Metrics(account, region, clock)
        self.actions = AlarmActions(iam, account, region, log, clock.now)
        self._done = int(clock.now() // _MINUTE)
        self._refused: dict[str, str] = {}
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._patches: list[Patches] = []
        self._background = background
        self._thread = background.thread("monitoring", self._run, self._stop)

    def install(self) -> None:
        """Count what is done with queues, and mend what moto lacks, until `stop`."""
        self._patches = [cloudwatch.install(), sns.install(), self.metrics.install()]

    def start(self) -> None:
        """Begin to write and to evaluate."""
        self._thread.start()

    def stop(self) -> None:
        """Evaluate nothing more, and give back to moto what was taken; twice does no harm."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        while self._patches:
            self._patches.pop().undo()

    def tick(self) -> None:
        """Write the minutes that have ended, and evaluate every alarm if one has; what the thread does by itself."""
        with self._one:
            minute = int(self._clock.now() // _MINUTE)
            if minute == self._done:
                return
            self._done = minute
            # a metric that cannot be written must not end all alarms
            with self._background.guarded("writing the metrics"):
                self.metrics.write()
            self._evaluate(cloudwatch_backends[self._account][self._region], minute * _MINUTE)

    def _run(self) -> None:
        while not self._clock.wait(_TICK_SECONDS, self._stop):
            self.tick()

    def _evaluate(self, backend: CloudWatchBackend, now: float) -> None:
        forms = [(alarm, form) for alarm in list(backend.alarms.values()) if (form := self._form(alarm))]
        points = _datapoints(backend, [form for _, form in forms], now)
        for alarm, form in forms:
            with self._background.guarded(f"alarm {form.name}"):
                self._decide(alarm, form, points[form.name], now)

    def _decide(self, alarm: Any, form: AlarmForm, points: Sequence[Datapoint], now: float) -> None:
        verdict = evaluate(form, points, now)
        if verdict is not None and verdict.state != alarm.state_value:
            before = alarm.state_value
            alarm.update_state(verdict.reason, _reason_data(form, verdict, now), verdict.state)
            self.actions.changed(alarm, before)

    def _form(self, alarm: Any) -> AlarmForm | None:
        """The alarm in our form; one of another form is complained of once, and keeps its state."""
        try:
            return alarm_form(described(alarm))
        except UnsupportedAlarmError as error:
            if self._refused.get(alarm.name) != str(error):
                self._refused[alarm.name] = str(error)
                self.actions.problem(alarm.name, str(error))
            return None


def described(alarm: Any) -> dict[str, Any]:
    """What DescribeAlarms answers of moto's alarm, as far as evaluating it needs."""
    return {
        "AlarmName": alarm.name,
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric_name,
        "Dimensions": [{"Name": each.name, "Value": each.value} for each in alarm.dimensions],
        "Statistic": alarm.statistic,
        "ExtendedStatistic": alarm.extended_statistic,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "TreatMissingData": alarm.treat_missing_data,
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile,
        "ThresholdMetricId": alarm.threshold_metric_id,
        "Metrics": alarm.metric_data_queries,
        "AlarmRule": alarm.rule,
        "Unit": alarm.unit,
    }


def _reason_data(form: AlarmForm, verdict: Verdict, now: float) -> str:
    data = {
        "version": "1.0",
        "queryDate": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "statistic": form.statistic,
        "period": form.period,
        "recentDatapoints": [each.value for each in verdict.datapoints],
        "threshold": form.threshold,
    }
    return json.dumps(data)


def _datapoints(backend: CloudWatchBackend, forms: Sequence[AlarmForm], now: float) -> dict[str, list[Datapoint]]:
    """Each alarm's metric over its evaluation range, periods counted back from the last whole minute, by its name."""
    end = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
    # one pass over the metrics for all alarms whose periods begin together
    together = defaultdict(list)
    for form in forms:
        together[form.period, form.window].append(form)
    found = {}
    for (_, window), group in together.items():
        for start in range(0, len(group), cloudwatch.MOST_QUERIES):
            chunk = group[start : start + cloudwatch.MOST_QUERIES]
            results = backend.get_metric_data([_query(form) for form in chunk], end - timedelta(seconds=window), end)
            for form, result in zip(chunk, results, strict=True):
                values = zip(result["timestamps"], result["values"], strict=True)
                found[form.name] = [Datapoint(at.replace(tzinfo=UTC).timestamp(), value) for at, value in values]
    return found


def _query(form: AlarmForm) -> dict[str, Any]:
    metric = {
        "Namespace": form.namespace,
        "MetricName": form.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in form.dimensions],
    }
    return {"Id": "m", "MetricStat": {"Metric": metric, "Period": form.period, "Stat": form.statistic}}
