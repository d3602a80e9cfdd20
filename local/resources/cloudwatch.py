"""CloudWatch: metric alarms and dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, enumerated, gone, pairs, sync_tags, unpaired
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Alarms on one metric at or above a threshold, or below it, are evaluated each minute where `treatMissingData` is "
    "breaching, notBreaching or ignore; any other keeps its state, and the log names it.",
    "Metrics of SQS and Lambda are written; any other only exists where something puts it.",
    "Metric math, anomaly detection and composite alarms are refused by name.",
)

_MISSING: Final = ("ResourceNotFoundException", "ResourceNotFound")
_DAY: Final = 86_400
_MOST_WIDGETS: Final = 500

# Input property and the member of PutMetricAlarm and DescribeAlarms that it is.
_ALARM: Final = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}


# cloudwatch/metric_alarm.go, validEC2AutomateARN and the pattern of extended_statistic
_ACTION: Final = rf"{ARN}|arn:[a-z-]+:automate:[a-z0-9-]+:ec2:(reboot|recover|stop|terminate)"
_NUMBER: Final = r"\d{1,10}(\.\d{0,10})?"
_EXTENDED: Final = (
    rf"((p|tm|tc|ts|wm)(\d{{1,2}}(\.\d{{0,10}})?|100)|IQM|(TM|TC|TS|WM|PR)\(({_NUMBER}%?)?:({_NUMBER}%?)?\))"
)


class MetricAlarm(Driver):
    """An alarm on one metric. Its id is its name; imported by it."""

    type_name = "aws:cloudwatch/metricAlarm:MetricAlarm"
    source = "terraform-provider-aws internal/service/cloudwatch/metric_alarm.go"
    properties: ClassVar = {
        "actionsEnabled": Property("boolean", default=True),
        "alarmActions": Property("strings", unordered=True, longest=5, each=_ACTION),
        "alarmDescription": Property(longest=1024),
        "comparisonOperator": Property(
            required=True,
            choices=(
                "GreaterThanOrEqualToThreshold",
                "GreaterThanThreshold",
                "LessThanThreshold",
                "LessThanOrEqualToThreshold",
            ),
        ),
        "datapointsToAlarm": Property("integer", minimum=1),
        "dimensions": Property("string_map", longest=30),
        "evaluateLowSampleCountPercentiles": Property(computed=True, choices=("evaluate", "ignore")),
        "evaluationPeriods": Property("integer", required=True, minimum=1),
        "extendedStatistic": Property(conflicts=("statistic",), pattern=_EXTENDED),
        "insufficientDataActions": Property("strings", unordered=True, longest=5, each=_ACTION),
        "metricName": Property(longest=255),
        "name": Property(replaces=True, longest=255),
        "namespace": Property(longest=255, pattern=r"[^:].*"),
        "okActions": Property("strings", unordered=True, longest=5, each=_ACTION),
        "period": Property("integer"),
        "statistic": Property(
            conflicts=("extendedStatistic",), choices=("SampleCount", "Average", "Sum", "Minimum", "Maximum")
        ),
        "threshold": Property("number"),
        "treatMissingData": Property(default="missing", choices=("breaching", "notBreaching", "ignore", "missing")),
        "unit": Property(),
    }
    outputs = frozenset({"arn", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the alarm to what PutMetricAlarm takes."""
        if known.get("unit") and known["unit"] not in enumerated("cloudwatch", "StandardUnit"):
            yield Failure("unit", f"expected unit to be one of CloudWatch's, got {known['unit']!r}")
        for key in ("metricName", "namespace", "period", "threshold"):
            if key not in given:
                yield Failure(key, f"missing {key}: an alarm on one metric needs it")
        if not given & {"statistic", "extendedStatistic"}:
            yield Failure("statistic", "one of statistic and extendedStatistic must be set for a given metric_name")
        period = known.get("period", 60)
        minute = 60
        if period not in (10, 20, 30) and period % minute:
            yield Failure("period", f"expected 10, 20, 30 or a multiple of {minute}, got {period}")
        periods = known.get("evaluationPeriods", 1)
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html: one
        # day, seven from an hour on.
        if period * periods > (_DAY * 7 if period >= _DAY / 24 else _DAY):
            message = (
                f"ValidationError: Metrics cannot be checked across more than a day (EvaluationPeriods {periods} * "
                f"Period {period})"
            )
            yield Failure("evaluationPeriods", message)
        if known.get("datapointsToAlarm", 0) > periods:
            yield Failure("datapointsToAlarm", f"datapointsToAlarm is above evaluationPeriods ({periods})")

    def create(self, aws: Aws, inputs: Values) -> str:
        """PutMetricAlarm."""
        aws.client("cloudwatch").put_metric_alarm(Tags=pairs(inputs["tagsAll"]), **_alarm(inputs))
        return str(inputs["name"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeAlarms by name."""
        client = aws.client("cloudwatch")
        found = client.describe_alarms(AlarmNames=[identifier], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        if not found:
            return None
        alarm = found[0]
        state = {key: alarm[api] for key, api in _ALARM.items() if alarm.get(api) not in (None, [], "")}
        return {
            **state,
            "name": alarm["AlarmName"],
            "arn": alarm["AlarmArn"],
            "dimensions": unpaired(alarm.get("Dimensions"), "Name") or None,
            "actionsEnabled": alarm.get("ActionsEnabled", True),
            "treatMissingData": alarm.get("TreatMissingData") or "missing",
            "tagsAll": unpaired(client.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutMetricAlarm, which replaces the whole of it, and tags, which it then leaves alone."""
        client = aws.client("cloudwatch")
        client.put_metric_alarm(**_alarm(new))
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(ResourceARN=old["arn"], Tags=pairs(tags)),
            lambda keys: client.untag_resource(ResourceARN=old["arn"], TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteAlarms."""
        try:
            aws.client("cloudwatch").delete_alarms(AlarmNames=[identifier])
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _alarm(inputs: Values) -> dict[str, Any]:
    wanted = {api: inputs[key] for key, api in _ALARM.items() if key in inputs}
    return {**wanted, "AlarmName": inputs["name"], "Dimensions": pairs(inputs.get("dimensions", {}), "Name")}


class Dashboard(Driver):
    """A dashboard. Its id is its name; imported by it."""

    type_name = "aws:cloudwatch/dashboard:Dashboard"
    source = "terraform-provider-aws internal/service/cloudwatch/dashboard.go"
    properties: ClassVar = {
        "dashboardBody": Property("json", required=True),
        "dashboardName": Property(required=True, replaces=True, longest=255, pattern=r"[A-Za-z0-9_-]+"),
    }
    outputs = frozenset({"dashboardArn"})

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse a body of more widgets than a dashboard takes.

        Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
        """
        if "dashboardBody" not in known:
            return
        widgets = json.loads(known["dashboardBody"]).get("widgets", [])
        if len(widgets) > _MOST_WIDGETS:
            message = f"api error InvalidParameterInput: {len(widgets)} widgets; a dashboard takes {_MOST_WIDGETS}"
            yield Failure("dashboardBody", message)

    def create(self, aws: Aws, inputs: Values) -> str:
        """PutDashboard."""
        self._put(aws, inputs)
        return str(inputs["dashboardName"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetDashboard."""
        try:
            found = aws.client("cloudwatch").get_dashboard(DashboardName=identifier)
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            "dashboardName": found["DashboardName"],
            "dashboardArn": found["DashboardArn"],
            "dashboardBody": found["DashboardBody"],
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutDashboard, which replaces the whole of it."""
        self._put(aws, new)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteDashboards."""
        try:
            aws.client("cloudwatch").delete_dashboards(DashboardNames=[identifier])
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise

    def _put(self, aws: Aws, inputs: Values) -> None:
        aws.client("cloudwatch").put_dashboard(
            DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"]
        )


DRIVERS: Final = (MetricAlarm, Dashboard)
