"""How each AWS resource type is checked, created, read, updated and deleted through boto3: one module a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from local.resources import (
    apigatewayv2,
    cloudwatch,
    ec2,
    events,
    iam,
    kms,
    lambda_,
    lambda_triggers,
    logs,
    rds,
    rds_groups,
    s3,
    s3_lifecycle,
    s3_settings,
    secretsmanager,
    sns,
    sqs,
)
from local.resources.driver import Driver

MODULES: Final = (
    apigatewayv2,
    cloudwatch,
    ec2,
    events,
    iam,
    kms,
    lambda_,
    lambda_triggers,
    logs,
    rds,
    rds_groups,
    s3,
    s3_lifecycle,
    s3_settings,
    secretsmanager,
    sns,
    sqs,
)

DRIVERS: Final[Mapping[str, Driver]] = {kind.type_name: kind() for module in MODULES for kind in module.DRIVERS}

#: What the drivers do not prove about AWS, by module.
LIMITS: Final[Mapping[str, tuple[str, ...]]] = {module.__name__.rpartition(".")[2]: module.LIMITS for module in MODULES}
