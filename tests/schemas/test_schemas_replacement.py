"""What forces a replacement: each driver's table against ``createOnlyProperties`` of AWS's resource schemas.

For how a plan behaves Terraform's AWS provider is the authority, and the drivers follow it. So every difference stands
below with what the provider does, and none is mended by following the schema.
"""

from local.resources import DRIVERS
from local.resources.driver import REGION
from tests.schemas.published import schema
from tests.schemas.translation import NO_TYPE, OWNER, TABLES, Not, To

# Properties that no program gives, and so no table has, where CloudFormation calls them otherwise.
CALLED = {
    "cidrIpv4": ("CidrIp",),
    "customerMasterKeySpec": ("KeySpec",),
    "prefixListId": ("DestinationPrefixListId", "SourcePrefixListId"),
}

_RULE = "a rule changes in place there, by ModifySecurityGroupRules (vpc_security_group_rule.go)"
_NONE = "CloudFormation has no such property; the provider forces new"
_FIXED = "AWS changes it never, and the provider forces new; CloudFormation's handler refuses the update instead"
_SETTING = "names whose setting it is; the provider forces new"

DIFFERENCES: dict[str, dict[str, str]] = {
    "aws:apigatewayv2/integration:Integration": {"integrationType": "forces new in the provider (integration.go)"},
    "aws:cloudwatch/eventTarget:EventTarget": {"targetId": "forces new in the provider (target.go)"},
    "aws:cloudwatch/logGroup:LogGroup": {"logGroupClass": _FIXED},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"policyArn": "the pair of role and policy is the resource"},
    "aws:kms/key:Key": {"customerMasterKeySpec": _FIXED, "keyUsage": _FIXED, "multiRegion": _FIXED},
    "aws:lambda/permission:Permission": {"qualifier": _NONE, "statementId": _NONE},
    "aws:rds/instance:Instance": {
        "dbSubnetGroupName": "changes in place in the provider: ModifyDBInstance moves it to another VPC",
        "identifier": "changes in place in the provider since v5: ModifyDBInstance renames",
    },
    "aws:s3/bucket:Bucket": {"objectLockEnabled": "forces new in the provider (bucket.go)"},
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": {"expectedBucketOwner": _NONE},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {"expectedBucketOwner": _NONE},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "expectedBucketOwner": _NONE
    },
    "aws:s3/bucketVersioning:BucketVersioning": {"expectedBucketOwner": _NONE},
    "aws:secretsmanager/secretVersion:SecretVersion": {
        "secretBinary": "a version has one value for ever: another value is another version",
        "secretString": "a version has one value for ever: another value is another version",
        "secretStringWoVersion": "by it the provider learns that a value it does not keep is another one",
    },
    "aws:sns/topicPolicy:TopicPolicy": {"arn": _SETTING},
    "aws:sqs/queuePolicy:QueuePolicy": {"queueUrl": _SETTING},
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": dict.fromkeys(
        ("cidrIpv4", "cidrIpv6", "fromPort", "ipProtocol", "prefixListId", "referencedSecurityGroupId", "toPort"), _RULE
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": dict.fromkeys(
        ("cidrIpv4", "cidrIpv6", "fromPort", "ipProtocol", "prefixListId", "referencedSecurityGroupId", "toPort"), _RULE
    ),
}
"""By type: properties of which the driver and the schema say different things, with the reason."""


def called(type_: str, name: str) -> str | None:
    """Return CloudFormation's name of a driver's property, or None where it has none."""
    to = TABLES[type_].properties.get(name)
    if to is None:
        meant = {name.lower(), *(each.lower() for each in CALLED.get(name, ()))}
        return next((each for each in schema(TABLES[type_].type)["properties"] if each.lower() in meant), None)
    return None if isinstance(to, Not) else to.path if isinstance(to, To) else to


def different(type_: str) -> set[str]:
    """Return the properties of a driver of which the schema says otherwise.

    What CloudFormation replaces only under a condition, such as an instance's place in a cluster, is no difference.
    """
    said = schema(TABLES[type_].type)
    once, maybe = (
        {path.removeprefix("/properties/") for path in said.get(which, ())}
        for which in ("createOnlyProperties", "conditionalCreateOnlyProperties")
    )
    found = set()
    for name, spec in DRIVERS[type_].table.items():
        # A stack of CloudFormation lies in one region as a whole, and a part that is a property there names no owner.
        if name in REGION or TABLES[type_].properties.get(name) is OWNER:
            continue
        if called(type_, name) not in maybe and spec.replaces != (called(type_, name) in once):
            found.add(name)
    return found


def test_drivers_and_schemas_agree_on_what_forces_a_replacement_but_where_the_provider_differs():
    found = {type_: different(type_) for type_ in DRIVERS.keys() & TABLES.keys()}
    assert {type_: names for type_, names in found.items() if names} == {
        type_: set(reasons) for type_, reasons in DIFFERENCES.items()
    }


def test_every_driver_is_compared_but_for_types_without_a_schema():
    assert DRIVERS.keys() - TABLES.keys() == NO_TYPE.keys()


def test_the_names_that_no_table_has_are_cloudformations():
    known = {name for table in TABLES.values() for name in schema(table.type)["properties"]}
    assert {name for names in CALLED.values() for name in names} <= known
