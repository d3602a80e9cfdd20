"""What a grant may be limited to, and the actions that AWS does not limit: plain data, read by the policy pack too."""

import re
from collections.abc import Mapping

#: What every function's own running takes.
RUNNING_ACTIONS: Mapping[str, str] = {
    "ec2:AssignPrivateIpAddresses": "Lambda names its interfaces itself (AWSLambdaVPCAccessExecutionRole)",
    "ec2:CreateNetworkInterface": "Lambda asks for it on all resources before any interface exists (VPC permissions)",
    "ec2:DeleteNetworkInterface": "Lambda's interfaces have no name that is known beforehand (VPC permissions)",
    "ec2:DescribeNetworkInterfaces": "EC2 supports no resource for Describe actions (Service Authorization Reference)",
    "ec2:DescribeSubnets": "EC2 supports no resource for Describe actions (Service Authorization Reference)",
    "ec2:UnassignPrivateIpAddresses": "Lambda names its interfaces itself (AWSLambdaVPCAccessExecutionRole)",
    "xray:PutTelemetryRecords": "X-Ray supports no resource for it (Service Authorization Reference)",
    "xray:PutTraceSegments": "X-Ray supports no resource for it (Service Authorization Reference)",
}
#: What looking at flows takes besides.
INSPECTING_ACTIONS: Mapping[str, str] = {
    "cloudwatch:GetMetricData": "CloudWatch supports no resource for it (Service Authorization Reference)",
    "lambda:ListEventSourceMappings": "Lambda supports no resource for it (Service Authorization Reference)",
}
#: Nothing else may be granted on ``*``.
UNSCOPED_ACTIONS: Mapping[str, str] = {**RUNNING_ACTIONS, **INSPECTING_ACTIONS}

#: A resource is one thing, the log streams of one group, or the objects of one folder in one bucket.
LIMITED = re.compile(r"[^*?]+|[^*?]+:log-group:[^*?:]+:\*|[^*?]+:::[^*?/]+/[^*?]+/\*")
