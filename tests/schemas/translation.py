"""The program's resources as CloudFormation says them: one table a type, plain data.

A table names the CloudFormation type and, for each property that the program gives, where it lies there. What is a
resource of its own in Terraform and a property in CloudFormation (a bucket's settings) is joined to its owner.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.engine.state import ResourceState
from local.engine.values import unwrap

FORMS: dict[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "dimensions": lambda value: [{"Name": name, "Value": each} for name, each in value.items()],
    "json": json.loads,
    "list": lambda value: [value],
    "map": lambda value: value,
    "only": lambda value: value[0],
    "parameters": lambda value: {each["name"]: each["value"] for each in value},
    # The provider makes up the id of a target that the program gives none.
    "target": lambda value: [{"Arn": value, "Id": "terraform-20261128000000000000000001"}],
    "tags": lambda value: [{"Key": name, "Value": each} for name, each in value.items()],
    "text": str,
    # A package that the provider uploads itself: CloudFormation takes such a one from a bucket only.
    "uploaded": lambda value: {"S3Bucket": "uploaded-by-the-provider", "S3Key": "package.zip"},
}
"""What becomes of a value: names and values to a list, a text to the document in it, a member to a list of one."""


@dataclass(frozen=True)
class Not:
    """A property that CloudFormation does not have, with the reason."""

    reason: str


@dataclass(frozen=True)
class To:
    """A property that lies elsewhere or has another form.

    Attributes
    ----------
    path
        Names from the resource's properties downwards, dots between them.
    form
        One of `FORMS`.
    """

    path: str
    form: str = ""


@dataclass(frozen=True)
class Table:
    """One type of the provider.

    Attributes
    ----------
    type
        The CloudFormation type.
    properties
        The program's property to CloudFormation's. Members of objects are called as in CloudFormation but for the first
        letter's case, or are in `members`.
    members
        Names of members of objects that differ by more than that; None: its members stand in its place.
    texts
        Names of members that are names and values of our own, left as they are.
    joins
        The property that names the owner, and the owner's output that it equals, where this is no resource of its own.
    """

    type: str
    properties: Mapping[str, str | To | Not]
    members: Mapping[str, str | None] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    joins: tuple[str, str] | None = None


OWNER = Not("names the owner that this is joined to")
NO_TAGS = Not("CloudFormation gives this type no tags; the provider tags it by EC2's CreateTags")
TAGS = To("Tags", "tags")
BUCKET = ("bucket", "bucket")
REPOSITORY = ("repository", "name")

NO_TYPE: dict[str, str] = {
    "aws:lambda/invocation:Invocation": "A call and no resource: CloudFormation has no such type.",
}
"""Types of the program that no schema describes, with the reason."""

TABLES: dict[str, Table] = {
    "aws:apigatewayv2/api:Api": Table(
        "AWS::ApiGatewayV2::Api", {"name": "Name", "protocolType": "ProtocolType", "tags": To("Tags", "map")}
    ),
    "aws:apigatewayv2/integration:Integration": Table(
        "AWS::ApiGatewayV2::Integration",
        {
            "apiId": "ApiId",
            "integrationMethod": "IntegrationMethod",
            "integrationType": "IntegrationType",
            "integrationUri": "IntegrationUri",
            "payloadFormatVersion": "PayloadFormatVersion",
            "timeoutMilliseconds": "TimeoutInMillis",
        },
    ),
    "aws:apigatewayv2/route:Route": Table(
        "AWS::ApiGatewayV2::Route", {"apiId": "ApiId", "routeKey": "RouteKey", "target": "Target"}
    ),
    "aws:apigatewayv2/stage:Stage": Table(
        "AWS::ApiGatewayV2::Stage",
        {
            "accessLogSettings": "AccessLogSettings",
            "apiId": "ApiId",
            "autoDeploy": "AutoDeploy",
            "defaultRouteSettings": "DefaultRouteSettings",
            "name": "StageName",
            "tags": To("Tags", "map"),
        },
    ),
    "aws:cloudwatch/dashboard:Dashboard": Table(
        "AWS::CloudWatch::Dashboard", {"dashboardBody": "DashboardBody", "dashboardName": "DashboardName"}
    ),
    "aws:cloudwatch/eventRule:EventRule": Table(
        "AWS::Events::Rule", {"name": "Name", "scheduleExpression": "ScheduleExpression", "tags": TAGS}
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Table(
        "AWS::Events::Rule",
        {"arn": To("Targets", "target"), "rule": OWNER},
        joins=("rule", "name"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": Table(
        "AWS::Logs::LogGroup", {"name": "LogGroupName", "retentionInDays": "RetentionInDays", "tags": TAGS}
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Table(
        "AWS::CloudWatch::Alarm",
        {
            "alarmActions": "AlarmActions",
            "alarmDescription": "AlarmDescription",
            "comparisonOperator": "ComparisonOperator",
            "dimensions": To("Dimensions", "dimensions"),
            "evaluationPeriods": "EvaluationPeriods",
            "metricName": "MetricName",
            "name": "AlarmName",
            "namespace": "Namespace",
            "okActions": "OKActions",
            "period": "Period",
            "statistic": "Statistic",
            "tags": TAGS,
            "threshold": "Threshold",
            "treatMissingData": "TreatMissingData",
        },
    ),
    "aws:ec2/securityGroup:SecurityGroup": Table(
        "AWS::EC2::SecurityGroup",
        {"description": "GroupDescription", "name": "GroupName", "tags": TAGS, "vpcId": "VpcId"},
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Table(
        "AWS::ECR::Repository",
        {"policy": "LifecyclePolicy.LifecyclePolicyText", "repository": OWNER},
        joins=REPOSITORY,
    ),
    "aws:ecr/repository:Repository": Table(
        "AWS::ECR::Repository",
        {
            "encryptionConfigurations": To("EncryptionConfiguration", "only"),
            "imageScanningConfiguration": "ImageScanningConfiguration",
            "imageTagMutability": "ImageTagMutability",
            "name": "RepositoryName",
            "tags": TAGS,
        },
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": Table(
        "AWS::ECR::Repository", {"policy": To("RepositoryPolicyText", "json"), "repository": OWNER}, joins=REPOSITORY
    ),
    "aws:iam/policy:Policy": Table(
        "AWS::IAM::ManagedPolicy",
        {
            "name": "ManagedPolicyName",
            "policy": To("PolicyDocument", "json"),
            "tags": Not("the schema knows no tags of managed policies; IAM's CreatePolicy takes them"),
        },
    ),
    "aws:iam/role:Role": Table(
        "AWS::IAM::Role", {"assumeRolePolicy": To("AssumeRolePolicyDocument", "json"), "name": "RoleName", "tags": TAGS}
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Table(
        "AWS::IAM::Role", {"policyArn": To("ManagedPolicyArns", "list"), "role": OWNER}, joins=("role", "name")
    ),
    "aws:kms/alias:Alias": Table("AWS::KMS::Alias", {"name": "AliasName", "targetKeyId": "TargetKeyId"}),
    "aws:kms/key:Key": Table(
        "AWS::KMS::Key",
        {
            "deletionWindowInDays": "PendingWindowInDays",
            "description": "Description",
            "enableKeyRotation": "EnableKeyRotation",
            "policy": To("KeyPolicy", "json"),
            "tags": TAGS,
        },
    ),
    "aws:lambda/eventSourceMapping:EventSourceMapping": Table(
        "AWS::Lambda::EventSourceMapping",
        {
            "batchSize": "BatchSize",
            "eventSourceArn": "EventSourceArn",
            "functionName": "FunctionName",
            "functionResponseTypes": "FunctionResponseTypes",
            "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
            "scalingConfig": "ScalingConfig",
            "tags": TAGS,
        },
    ),
    "aws:lambda/function:Function": Table(
        "AWS::Lambda::Function",
        {
            "architectures": "Architectures",
            "code": To("Code", "uploaded"),
            "environment": "Environment",
            "ephemeralStorage": "EphemeralStorage",
            "handler": "Handler",
            "imageUri": "Code.ImageUri",
            "memorySize": "MemorySize",
            "name": "FunctionName",
            "packageType": "PackageType",
            "role": "Role",
            "runtime": "Runtime",
            "s3Bucket": "Code.S3Bucket",
            "s3Key": "Code.S3Key",
            "sourceCodeHash": Not("by it the provider sees that a package changed; Lambda is not told"),
            "tags": TAGS,
            "timeout": "Timeout",
            "tracingConfig": "TracingConfig",
            "vpcConfig": "VpcConfig",
        },
        texts=("variables",),
    ),
    "aws:lambda/permission:Permission": Table(
        "AWS::Lambda::Permission",
        {"action": "Action", "function": "FunctionName", "principal": "Principal", "sourceArn": "SourceArn"},
    ),
    "aws:rds/instance:Instance": Table(
        "AWS::RDS::DBInstance",
        {
            "allocatedStorage": To("AllocatedStorage", "text"),
            "allowMajorVersionUpgrade": "AllowMajorVersionUpgrade",
            "applyImmediately": "ApplyImmediately",
            "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
            "backupRetentionPeriod": "BackupRetentionPeriod",
            "copyTagsToSnapshot": "CopyTagsToSnapshot",
            "dbName": "DBName",
            "dbSubnetGroupName": "DBSubnetGroupName",
            "deletionProtection": "DeletionProtection",
            "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
            "engine": "Engine",
            "engineVersion": "EngineVersion",
            "finalSnapshotIdentifier": Not("given to DeleteDBInstance; CloudFormation's DeletionPolicy does that"),
            "identifier": "DBInstanceIdentifier",
            "instanceClass": "DBInstanceClass",
            "manageMasterUserPassword": "ManageMasterUserPassword",
            "maxAllocatedStorage": "MaxAllocatedStorage",
            "multiAz": "MultiAZ",
            "parameterGroupName": "DBParameterGroupName",
            "port": To("Port", "text"),
            "publiclyAccessible": "PubliclyAccessible",
            "skipFinalSnapshot": Not("given to DeleteDBInstance; CloudFormation's DeletionPolicy does that"),
            "storageEncrypted": "StorageEncrypted",
            "tags": TAGS,
            "username": "MasterUsername",
            "vpcSecurityGroupIds": "VPCSecurityGroups",
        },
    ),
    "aws:rds/parameterGroup:ParameterGroup": Table(
        "AWS::RDS::DBParameterGroup",
        {
            "description": "Description",
            "family": "Family",
            "name": "DBParameterGroupName",
            "parameters": To("Parameters", "parameters"),
            "tags": TAGS,
        },
    ),
    "aws:rds/subnetGroup:SubnetGroup": Table(
        "AWS::RDS::DBSubnetGroup",
        {
            "description": "DBSubnetGroupDescription",
            "name": "DBSubnetGroupName",
            "subnetIds": "SubnetIds",
            "tags": TAGS,
        },
    ),
    "aws:s3/bucket:Bucket": Table("AWS::S3::Bucket", {"bucket": "BucketName", "tags": TAGS}),
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": Table(
        "AWS::S3::Bucket",
        {"bucket": OWNER, "corsRules": "CorsConfiguration.CorsRules"},
        members={"maxAgeSeconds": "MaxAge"},
        joins=BUCKET,
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Table(
        "AWS::S3::Bucket",
        {"bucket": OWNER, "rules": "LifecycleConfiguration.Rules"},
        members={"filter": None},
        joins=BUCKET,
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Table(
        "AWS::S3::Bucket", {"bucket": OWNER, "rule": To("OwnershipControls.Rules", "list")}, joins=BUCKET
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Table(
        "AWS::S3::BucketPolicy", {"bucket": "Bucket", "policy": To("PolicyDocument", "json")}
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Table(
        "AWS::S3::Bucket",
        {
            "blockPublicAcls": "PublicAccessBlockConfiguration.BlockPublicAcls",
            "blockPublicPolicy": "PublicAccessBlockConfiguration.BlockPublicPolicy",
            "bucket": OWNER,
            "ignorePublicAcls": "PublicAccessBlockConfiguration.IgnorePublicAcls",
            "restrictPublicBuckets": "PublicAccessBlockConfiguration.RestrictPublicBuckets",
        },
        joins=BUCKET,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Table(
        "AWS::S3::Bucket",
        {"bucket": OWNER, "rules": "BucketEncryption.ServerSideEncryptionConfiguration"},
        members={
            "applyServerSideEncryptionByDefault": "ServerSideEncryptionByDefault",
            "sseAlgorithm": "SSEAlgorithm",
            "kmsMasterKeyId": "KMSMasterKeyID",
        },
        joins=BUCKET,
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Table(
        "AWS::S3::Bucket", {"bucket": OWNER, "versioningConfiguration": "VersioningConfiguration"}, joins=BUCKET
    ),
    "aws:secretsmanager/secret:Secret": Table(
        "AWS::SecretsManager::Secret", {"description": "Description", "name": "Name", "tags": TAGS}
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Table(
        "AWS::SecretsManager::Secret", {"secretId": OWNER, "secretString": "SecretString"}, joins=("secretId", "arn")
    ),
    "aws:sns/topic:Topic": Table(
        "AWS::SNS::Topic", {"kmsMasterKeyId": "KmsMasterKeyId", "name": "TopicName", "tags": TAGS}
    ),
    "aws:sns/topicPolicy:TopicPolicy": Table(
        "AWS::SNS::TopicPolicy", {"arn": To("Topics", "list"), "policy": To("PolicyDocument", "json")}
    ),
    "aws:sns/topicSubscription:TopicSubscription": Table(
        "AWS::SNS::Subscription", {"endpoint": "Endpoint", "protocol": "Protocol", "topic": "TopicArn"}
    ),
    "aws:sqs/queue:Queue": Table(
        "AWS::SQS::Queue",
        {
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "name": "QueueName",
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "redrivePolicy": To("RedrivePolicy", "json"),
            "sqsManagedSseEnabled": "SqsManagedSseEnabled",
            "tags": TAGS,
            "visibilityTimeoutSeconds": "VisibilityTimeout",
        },
    ),
    "aws:sqs/queuePolicy:QueuePolicy": Table(
        "AWS::SQS::QueuePolicy", {"policy": To("PolicyDocument", "json"), "queueUrl": To("Queues", "list")}
    ),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": Table(
        "AWS::SQS::Queue",
        {"queueUrl": OWNER, "redriveAllowPolicy": To("RedriveAllowPolicy", "json")},
        joins=("queueUrl", "url"),
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Table(
        "AWS::EC2::SecurityGroupEgress",
        {
            "cidrIpv4": "CidrIp",
            "description": "Description",
            "fromPort": "FromPort",
            "ipProtocol": "IpProtocol",
            "referencedSecurityGroupId": "DestinationSecurityGroupId",
            "securityGroupId": "GroupId",
            "tags": NO_TAGS,
            "toPort": "ToPort",
        },
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Table(
        "AWS::EC2::SecurityGroupIngress",
        {
            "description": "Description",
            "fromPort": "FromPort",
            "ipProtocol": "IpProtocol",
            "referencedSecurityGroupId": "SourceSecurityGroupId",
            "securityGroupId": "GroupId",
            "tags": NO_TAGS,
            "toPort": "ToPort",
        },
    ),
}


class UntranslatedError(Exception):
    """A type without a table, a property that its table does not have, or a part whose owner is not there."""


def translate(states: Iterable[ResourceState]) -> dict[str, dict[str, Any]]:
    """Write resources of the provider as a CloudFormation template has them: name to type and properties.

    Raises
    ------
    UntranslatedError
        What the tables do not say.
    """
    ours = [state for state in states if state.type.startswith(("aws:", "docker"))]
    if unknown := sorted({state.type for state in ours} - TABLES.keys() - NO_TYPE.keys()):
        raise UntranslatedError(f"no table in tests/schemas/translation.py for {', '.join(unknown)}")
    made: dict[str, dict[str, Any]] = {}
    owners: list[tuple[ResourceState, dict[str, Any]]] = []
    for state in sorted(ours, key=lambda state: state.type in TABLES and TABLES[state.type].joins is not None):
        if state.type in NO_TYPE:
            continue
        table = TABLES[state.type]
        if table.joins is None:
            made[state.urn] = {"Type": table.type, "Properties": {}}
            owners.append((state, made[state.urn]))
            written = made[state.urn]
        else:
            written = _owner(state, table, owners)
        _write(state, table, written["Properties"])
    return made


def _owner(state: ResourceState, table: Table, owners: list[tuple[ResourceState, dict[str, Any]]]) -> dict[str, Any]:
    assert table.joins is not None
    given, output = table.joins
    named = unwrap(state.inputs)[given]
    for owner, written in owners:
        if written["Type"] == table.type and unwrap(owner.outputs).get(output) == named:
            return written
    raise UntranslatedError(f"{state.type} {state.name}: no {table.type} here whose {output} is {named!r}")


def _write(state: ResourceState, table: Table, properties: dict[str, Any]) -> None:
    for name, value in unwrap(state.inputs).items():
        if name not in table.properties:
            raise UntranslatedError(f"{state.type} {state.name}: its table does not have {name!r}")
        to = table.properties[name]
        if isinstance(to, Not):
            continue
        path, form = (to.path, to.form) if isinstance(to, To) else (to, "")
        *folders, last = path.split(".")
        place = properties
        for folder in folders:
            place = place.setdefault(folder, {})
        new = FORMS[form](value)
        # Documents and names of our own are as they are; objects' members are called as CloudFormation calls them.
        place[last] = _again(
            place.get(last), _renamed(new, table) if form in ("", "list", "only") else new, path, state
        )


def _again(before: Any, new: Any, path: str, state: ResourceState) -> Any:
    if before is None:
        return new
    if isinstance(before, list) and isinstance(new, list):
        return [*before, *new]
    raise UntranslatedError(f"{state.type} {state.name}: {path} is given twice")


def _renamed(value: Any, table: Table) -> Any:
    if isinstance(value, list):
        return [_renamed(each, table) for each in value]
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for name, each in value.items():
        called = table.members.get(name, name[:1].upper() + name[1:])
        new = each if name in table.texts else _renamed(each, table)
        renamed |= new if called is None else {called: new}
    return renamed
