"""In which order a resource is replaced and deleted: the provider's order, and what AWS refuses on the way.

Held against terraform-provider-aws, pulumi-terraform-bridge and pulumi-aws as they are named at each test.
"""

import json

import grpc
import pytest

from local.resources import DRIVERS, driver
from local.resources.values import Values
from tests.local.providing import DATABASE, TRUST, Providing

pytest_plugins = ["tests.local.providing"]

QUEUE = "aws:sqs/queue:Queue"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY = "aws:kms/key:Key"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
INSTANCE = "aws:rds/instance:Instance"
RULE = "aws:cloudwatch/eventRule:EventRule"

MANAGED: Values = DATABASE | {"manageMasterUserPassword": True}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PATIENCE", 0.0)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        # pulumi-terraform-bridge, pkg/tfbridge/schema.go nameRequiresDeleteBeforeReplace
        (QUEUE, {"name": "q"}, {"name": "r"}),
        (QUEUE, {"name": "q.fifo", "fifoQueue": True}, {"name": "q"}),
        (ROLE, {"name": "r", "assumeRolePolicy": TRUST}, {"name": "r", "assumeRolePolicy": TRUST, "path": "/x/"}),
        (GROUP, {"name": "g", "description": "one"}, {"name": "g", "description": "two"}),
        (GROUP, {"name": "g"}, {"name": "h"}),
        (PARAMETERS, {"name": "p16", "family": "postgres16"}, {"name": "p17", "family": "postgres17"}),
    ],
)
def test_what_the_program_named_is_deleted_before_it_is_replaced(providing: Providing, kind, before, after):
    difference = providing.diff(providing.create(kind, before), after)
    assert difference.replaces
    assert difference.before


def test_what_is_updated_in_place_is_not_deleted_first(providing: Providing):
    difference = providing.diff(providing.create(QUEUE, {"name": "q"}), {"name": "q", "delaySeconds": 5})
    assert difference.replaces == []
    assert not difference.before


def test_what_has_a_generated_name_gets_another_one_and_is_created_first(providing: Providing):
    # pkg/tfbridge/schema.go: the engine checks a replacement again without the old inputs.
    made = providing.create(ROLE, {"assumeRolePolicy": TRUST})
    difference = providing.diff(made, {"assumeRolePolicy": TRUST, "path": "/x/"})
    assert difference.replaces == ["path"]
    assert not difference.before
    again = providing.checked(ROLE, {"assumeRolePolicy": TRUST, "path": "/x/"})
    assert again["name"] != made.inputs["name"]


def test_a_name_that_the_program_takes_back_is_not_kept_for_it(providing: Providing):
    # pkg/tfbridge/schema.go applyDefaults: the old value counts only where it was a default.
    made = providing.create(QUEUE, {"name": "q"})
    difference = providing.diff(made, {})
    assert difference.replaces == ["name"]
    assert not difference.before


def test_a_generated_name_survives_a_refresh(providing: Providing):
    made = providing.create(QUEUE, {})
    again = providing.read(made)
    assert again is not None
    assert not providing.diff(again, {}).changed


def test_an_imported_name_counts_as_given(providing: Providing):
    providing.role("r")
    found = providing.imported(ROLE, "r")
    assert found is not None
    assert providing.diff(found, {"name": "r", "assumeRolePolicy": TRUST, "path": "/x/"}).before


def test_an_attachment_is_always_deleted_first_whatever_changed(providing: Providing):
    # pulumi-aws provider/resource_overrides.go: aws_iam_role_policy_attachment, DeleteBeforeReplace
    role = providing.create(ROLE, {"name": "r", "assumeRolePolicy": TRUST})
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}],
    }
    policies = [
        providing.create(POLICY, {"name": name, "policy": json.dumps(document)}, name=name).outputs["arn"]
        for name in ("one", "two")
    ]
    made = providing.create(ATTACHMENT, {"role": role.id, "policyArn": policies[0]})
    assert providing.diff(made, {"role": role.id, "policyArn": policies[1]}).before


def test_a_type_whose_name_is_not_generated_is_created_first(providing: Providing):
    body = json.dumps({"widgets": []})
    kind = "aws:cloudwatch/dashboard:Dashboard"
    made = providing.create(kind, {"dashboardName": "d", "dashboardBody": body})
    difference = providing.diff(made, {"dashboardName": "e", "dashboardBody": body})
    assert difference.replaces == ["dashboardName"]
    assert not difference.before
    assert DRIVERS[kind].autoname is None


def test_a_key_is_disabled_after_every_other_change_and_enabled_before(providing: Providing):
    # kms/key.go resourceKeyUpdate
    made = providing.create(KEY, {"description": "one"})
    off = {"description": "two", "isEnabled": False, "enableKeyRotation": True}
    disabled = providing.update(made, off)
    assert (disabled.outputs["isEnabled"], disabled.outputs["enableKeyRotation"]) == (False, True)
    on = providing.update(disabled, {"description": "three", "isEnabled": True, "enableKeyRotation": False})
    assert (on.outputs["isEnabled"], on.outputs["enableKeyRotation"]) == (True, False)


def test_a_group_with_its_rules_revoked_at_deletion_goes_although_another_names_it(providing: Providing):
    # ec2/vpc_security_group.go resourceSecurityGroupDelete, forceRevokeSecurityGroupRules
    peer = {"ipProtocol": "tcp", "fromPort": 1, "toPort": 1}
    server = providing.create(GROUP, {"name": "server"}, name="server")
    clients = providing.create(GROUP, {"name": "clients", "revokeRulesOnDelete": True}, name="clients")
    providing.create(INGRESS, {**peer, "securityGroupId": server.id, "referencedSecurityGroupId": clients.id})
    providing.create(INGRESS, {**peer, "securityGroupId": clients.id, "cidrIpv4": "10.0.0.0/8"}, name="other")
    providing.delete(clients)
    rules = providing.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    assert not [rule for rule in rules if rule["GroupId"] == server.id and rule.get("ReferencedGroupInfo")]


def test_another_group_as_a_rule_s_peer_is_changed_in_place(providing: Providing):
    rule = {"ipProtocol": "tcp", "fromPort": 1, "toPort": 1}
    groups = [providing.create(GROUP, {"name": name}, name=name).id for name in ("server", "one", "two")]
    made = providing.create(INGRESS, {**rule, "securityGroupId": groups[0], "referencedSecurityGroupId": groups[1]})
    wanted = {**rule, "securityGroupId": groups[0], "referencedSecurityGroupId": groups[2]}
    assert providing.diff(made, wanted).replaces == []
    assert providing.update(made, wanted).outputs["referencedSecurityGroupId"] == groups[2]


def database(providing: Providing, **inputs: object) -> None:
    """Make an instance in a subnet group `s` under a parameter group `p`, with a security group."""
    ec2 = providing.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    providing.create(SUBNETS, {"name": "s", "subnetIds": subnets})
    providing.create(PARAMETERS, {"name": "p", "family": "postgres16"})
    group = providing.create(GROUP, {"name": "g"})
    lies = {"dbSubnetGroupName": "s", "parameterGroupName": "p", "vpcSecurityGroupIds": [group.id]}
    providing.create(INSTANCE, {**MANAGED, **lies, **inputs}, name="database")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (PARAMETERS, "InvalidDBParameterGroupState"),
        (SUBNETS, "InvalidDBSubnetGroupStateFault"),
        (GROUP, "DependencyViolation"),
    ],
)
def test_a_group_that_an_instance_uses_is_not_deleted(providing: Providing, kind: str, code: str):
    database(providing)
    ec2 = providing.client("ec2")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["g"]}])["SecurityGroups"]
    made = providing.imported(kind, {PARAMETERS: "p", SUBNETS: "s", GROUP: group["GroupId"]}[kind])
    assert made is not None
    with pytest.raises(grpc.RpcError, match=code):
        providing.delete(made)
    providing.client("rds").delete_db_instance(DBInstanceIdentifier="db", SkipFinalSnapshot=True)
    providing.delete(made)


def test_a_group_that_a_function_or_a_rule_uses_is_not_deleted(providing: Providing):
    ec2, lambda_ = providing.client("ec2"), providing.client("lambda")
    groups = [providing.create(GROUP, {"name": name}, name=name) for name in ("used", "named", "naming")]
    providing.create(
        INGRESS, {"ipProtocol": "-1", "securityGroupId": groups[2].id, "referencedSecurityGroupId": groups[1].id}
    )
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    lambda_.create_function(
        FunctionName="f",
        Role=providing.role("f"),
        Runtime="python3.13",
        Handler="a.b",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [groups[0].id]},
    )
    for group in groups[:2]:
        with pytest.raises(grpc.RpcError, match=r"DependencyViolation: resource sg-\w+ has a dependent object"):
            providing.delete(group)
    lambda_.delete_function(FunctionName="f")
    providing.delete(groups[0])
    providing.delete(groups[2])
    providing.delete(groups[1])


def test_a_rule_with_targets_is_not_deleted(providing: Providing):
    # events/rule.go resourceRuleDelete
    made = providing.create(RULE, {"name": "r", "scheduleExpression": "rate(1 hour)"})
    events = providing.client("events")
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": "arn:aws:sqs:us-west-2:123456789012:q"}])
    with pytest.raises(grpc.RpcError, match="since it has targets"):
        providing.delete(made)
    events.remove_targets(Rule="r", Ids=["t"])
    providing.delete(made)


def test_an_instance_is_not_moved_to_another_subnet_group_of_its_vpc(providing: Providing):
    database(providing)
    made = providing.imported(INSTANCE, "db")
    assert made is not None
    subnets = [subnet["SubnetId"] for subnet in providing.client("ec2").describe_subnets()["Subnets"]][:2]
    providing.create(SUBNETS, {"name": "t", "subnetIds": subnets}, name="t")
    with pytest.raises(grpc.RpcError, match="You cannot move DB instance db to subnet group t"):
        providing.update(made, {**MANAGED, "dbSubnetGroupName": "t"})


def test_a_subnet_group_that_is_changed_in_place_is_still_there(providing: Providing):
    subnets = [subnet["SubnetId"] for subnet in providing.client("ec2").describe_subnets()["Subnets"]]
    made = providing.create(SUBNETS, {"name": "s", "subnetIds": subnets[:2]})
    updated = providing.update(made, {"name": "s", "subnetIds": subnets[:3]})
    assert sorted(updated.outputs["subnetIds"]) == sorted(subnets[:3])


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"engineVersion": "17", "parameterGroupName": "q"}, "AllowMajorVersionUpgrade flag must be present"),
        ({"engineVersion": "17", "allowMajorVersionUpgrade": True}, "Use a parameter group with .* postgres17"),
        ({"parameterGroupName": "q"}, "Use a parameter group with .* postgres16"),
    ],
)
def test_a_major_version_needs_its_flag_and_its_parameter_group(providing: Providing, wanted: Values, reason: str):
    database(providing)
    providing.create(PARAMETERS, {"name": "q", "family": "postgres17"}, name="q")
    made = providing.imported(INSTANCE, "db")
    assert made is not None
    with pytest.raises(grpc.RpcError, match=reason):
        providing.update(made, {**MANAGED, "parameterGroupName": "p", **wanted})
    both = {"engineVersion": "17", "allowMajorVersionUpgrade": True, "parameterGroupName": "q"}
    assert providing.update(made, {**MANAGED, **both}).outputs["engineVersionActual"].startswith("17")
