"""What the plan gate refuses and what it lets pass, rule by rule."""

import json

import pytest

from ops.errors import UserError
from ops.guard import judge, parse_preview, parse_state
from tests.unit.guard.plans import (
    FUNCTION,
    INSTANCE,
    POLICY,
    ROLE,
    SECRET,
    UNKNOWN,
    VERSION,
    allow,
    document,
    preview,
    step,
    urn,
)

MASKED = "[secret]"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BLOCKED = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PERMISSION = "aws:lambda/permission:Permission"
KEY = "aws:kms/key:Key"
OWN_KEY = document(allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::123456789012:root"}))
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
SEND, RECEIVE = document(allow("sqs:SendMessage")), document(allow(["sqs:SendMessage", "sqs:ReceiveMessage"]))
TRUST = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
TRUST_ALL = document({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
PUBLIC = document(allow("sqs:SendMessage", Principal="*"))
PUBLIC_FROM_TOPIC = document(
    allow("sqs:SendMessage", Principal="*", Condition={"ArnEquals": {"aws:SourceArn": "arn:aws:sns:r:1:t"}})
)
TLS_ONLY = document(
    {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": "arn:aws:sqs:r:1:q",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
)


def reads(*arns):
    return {"policy": document(allow("secretsmanager:GetSecretValue", list(arns)))}


def variables(**given):
    return {"environment": {"variables": given}}


REFUSED = {
    "a password that changes behind the mask": (
        {"credential-change"},
        step("update", INSTANCE, old={"password": MASKED}, new={"password": MASKED}, diff=["password"]),
    ),
    "a password whose difference the provider does not detail": (
        {"credential-change"},
        step("update", INSTANCE, old={"password": MASKED}, new={"password": MASKED}),
    ),
    "a cluster's password": (
        {"credential-change"},
        step("update", "aws:rds/cluster:Cluster", diff=["masterPassword"]),
    ),
    "switching on the management of the password": (
        {"credential-change"},
        step("update", INSTANCE, new={"manageMasterUserPassword": True}, diff=["manageMasterUserPassword"]),
    ),
    "another user": ({"credential-change"}, step("update", INSTANCE, diff=["username"])),
    "an instance that would be made with a password": (
        {"credential-change"},
        step("create", INSTANCE, new={"password": MASKED}),
    ),
    "an import that brings a password": (
        {"credential-change", "database-import"},
        step("import", INSTANCE, new={"password": MASKED}, diff=["password"]),
    ),
    "the secret's value": (
        {"credential-change"},
        step("update", VERSION, old={"secretString": MASKED}, new={"secretString": MASKED}, diff=["secretString"]),
    ),
    "a new version of the secret beside a database that is there": (
        {"credential-change"},
        step("create", VERSION, new={"secretString": MASKED}),
    ),
    "replacing the database": ({"database-loss"}, step("replace", INSTANCE, diff=["allocatedStorage"])),
    "deleting the database": ({"database-loss"}, step("delete", INSTANCE)),
    "deleting its secret": ({"database-loss"}, step("delete", SECRET)),
    "taking the protection off the database": (
        {"database-loss"},
        step("same", INSTANCE, protect=(True, False)),
    ),
    "deleting what is protected": (
        {"protected-loss"},
        step("delete", "aws:s3/bucket:Bucket", above="", protect=(True, False)),
    ),
    "taking the protection off a bucket": (
        {"protected-loss"},
        step("update", "aws:s3/bucket:Bucket", above="", protect=(True, False), diff=["tags"]),
    ),
    "a function that would read another secret": (
        {"reader-moves-alone"},
        step(
            "update",
            FUNCTION,
            old=variables(X_DATABASE_SECRET_ARN="a"),
            new=variables(X_DATABASE_SECRET_ARN="b"),
            diff=["environment.variables.X_DATABASE_SECRET_ARN"],
        ),
    ),
    "a role that may no longer read the secret": (
        {"reader-moves-alone", "iam-widened"},
        step("update", POLICY, old=reads("arn:old"), new=reads("arn:new"), diff=["policy"]),
    ),
    "a further action": ({"iam-widened"}, step("update", POLICY, old={"policy": SEND}, new={"policy": RECEIVE})),
    "a wider resource": (
        {"iam-widened"},
        step("update", POLICY, old={"policy": SEND}, new={"policy": document(allow("sqs:SendMessage", "*"))}),
    ),
    "a condition that is gone": (
        {"iam-widened"},
        step(
            "update",
            POLICY,
            old={"policy": document(allow("sqs:SendMessage", Condition={"Bool": {"aws:SecureTransport": "true"}}))},
            new={"policy": SEND},
        ),
    ),
    "a masked document": (
        {"iam-widened"},
        step("update", POLICY, old={"policy": MASKED}, new={"policy": MASKED}, diff=["policy"]),
    ),
    "a document that only the deployment knows": (
        {"iam-widened"},
        step("update", POLICY, old={"policy": SEND}, new={"policy": UNKNOWN}, diff=["policy"]),
    ),
    "NotAction": (
        {"iam-widened"},
        step(
            "update",
            POLICY,
            old={"policy": SEND},
            new={"policy": document({"Effect": "Allow", "NotAction": "s3:*", "Resource": "arn:x"})},
        ),
    ),
    "trusting others with a role": (
        {"iam-widened"},
        step("update", ROLE, old={"assumeRolePolicy": TRUST}, new={"assumeRolePolicy": TRUST_ALL}),
    ),
    "a new role that trusts others": ({"iam-widened"}, step("create", ROLE, new={"assumeRolePolicy": TRUST_ALL})),
    "a boundary that is gone": (
        {"iam-widened"},
        step("update", ROLE, old={"permissionsBoundary": "arn:b"}, new={}, diff=["permissionsBoundary"]),
    ),
    "a policy attached to a role that is there": (
        {"iam-widened"},
        step("create", ATTACHMENT, new={"role": "api", "policyArn": UNKNOWN}),
    ),
    "a new key that another role may use": (
        {"iam-widened"},
        step("create", KEY, new={"policy": document(allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::1:role/x"}))}),
    ),
    "an old key that another account may use": (
        {"iam-widened"},
        step("update", KEY, old={"policy": document()}, new={"policy": OWN_KEY}),
    ),
    "a queue that no longer demands TLS": (
        {"iam-widened"},
        step("delete", QUEUE_POLICY, old={"policy": TLS_ONLY}),
    ),
    "a queue open to everybody": (
        {"iam-widened", "public-exposure"},
        step("update", QUEUE_POLICY, old={"policy": TLS_ONLY}, new={"policy": PUBLIC}),
    ),
    "a public database": (
        {"public-exposure"},
        step("update", INSTANCE, new={"publiclyAccessible": True}, diff=["publiclyAccessible"]),
    ),
    "a bucket's block taken away": ({"public-exposure"}, step("delete", BLOCK, old=BLOCKED)),
    "a bucket's block opened": (
        {"public-exposure"},
        step("update", BLOCK, old=BLOCKED, new={**BLOCKED, "blockPublicPolicy": False}),
    ),
    "a port open to every address": ({"public-exposure"}, step("create", INGRESS, new={"cidrIpv4": "0.0.0.0/0"})),
    "a port open to every address, written in the group": (
        {"public-exposure"},
        step("update", "aws:ec2/securityGroup:SecurityGroup", new={"ingress": [{"ipv6CidrBlocks": ["::/0"]}]}),
    ),
    "a function that everybody may invoke": (
        {"public-exposure"},
        step("create", PERMISSION, new={"principal": "*", "sourceArn": "arn:x"}),
    ),
    "a function that a service may invoke for anybody": (
        {"public-exposure"},
        step("create", PERMISSION, new={"principal": "sns.amazonaws.com"}),
    ),
    "a function's own address": (
        {"public-exposure"},
        step("create", "aws:lambda/functionUrl:FunctionUrl", new={"authorizationType": "NONE"}),
    ),
}

PASSES = {
    "nothing": (),
    "another instance class": (step("update", INSTANCE, old={"password": None}, diff=["instanceClass"]),),
    "a database made anew with its signpost": (
        step("create", INSTANCE, new={"manageMasterUserPassword": True, "username": "owner"}),
        step("create", SECRET),
        step("create", VERSION, new={"secretString": UNKNOWN}),
    ),
    "an unprotected thing deleted": (step("delete", "aws:sqs/queue:Queue", above=""),),
    "another secret's new value": (step("update", VERSION, above="", diff=["secretString"]),),
    "less than before": (step("update", POLICY, old={"policy": RECEIVE}, new={"policy": SEND}),),
    "the same under a wildcard": (
        step("update", POLICY, old={"policy": document(allow("sqs:*", "*"))}, new={"policy": SEND}),
    ),
    "a new role with its policy": (
        step("create", ROLE, new={"name": "worker", "assumeRolePolicy": TRUST}),
        step("create", POLICY, new={"policy": UNKNOWN}),
        step("create", ATTACHMENT, new={"role": "worker", "policyArn": UNKNOWN}),
    ),
    "a new role whose name only the deployment knows": (
        step("create", ROLE, new={"assumeRolePolicy": TRUST}),
        step("create", ATTACHMENT, new={"role": UNKNOWN}),
    ),
    "a new queue that demands TLS": (step("create", QUEUE_POLICY, new={"policy": TLS_ONLY}),),
    "a new key as KMS makes it": (step("create", KEY, new={"policy": OWN_KEY}),),
    "a policy's tags": (step("update", POLICY, old={"policy": MASKED}, new={"policy": MASKED}, diff=["tags.a"]),),
    "a topic's own permission": (step("create", PERMISSION, new={"principal": "sns.amazonaws.com", "sourceArn": "a"}),),
    "a port open to one group": (step("create", INGRESS, new={"referencedSecurityGroupId": "sg-1"}),),
    "a function's timeout": (
        step(
            "update",
            FUNCTION,
            old={**variables(X_DATABASE_SECRET_ARN="a"), "timeout": 1},
            new={**variables(X_DATABASE_SECRET_ARN="a"), "timeout": 2},
            diff=["timeout"],
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_gate_refuses(name):
    rules, refused = REFUSED[name]
    report = judge(parse_preview(preview(refused)))
    assert {finding.rule for finding in report.refused} == rules
    assert not report.passed
    assert all(finding.urn == refused["urn"] for finding in report.refused)


@pytest.mark.parametrize("name", PASSES)
def test_the_gate_lets_pass(name):
    report = judge(parse_preview(preview(*PASSES[name])))
    assert report.refused == ()
    assert report.passed


def test_everybody_from_one_source_is_wider_but_not_everybody():
    changed = step("update", QUEUE_POLICY, old={"policy": TLS_ONLY}, new={"policy": PUBLIC_FROM_TOPIC})
    assert {finding.rule for finding in judge(parse_preview(preview(changed))).refused} == {"iam-widened"}


def test_a_reader_may_move_together_with_the_database():
    moved = step("update", FUNCTION, old=variables(X_DATABASE_SECRET_ARN="a"), new=variables(X_DATABASE_SECRET_ARN="b"))
    assert not judge(parse_preview(preview(moved))).passed
    assert judge(parse_preview(preview(moved, step("create", SECRET)))).passed


def test_the_state_tells_what_is_protected_where_the_preview_does_not():
    bucket = step("delete", "aws:s3/bucket:Bucket", above="")
    export = {"urn": bucket["urn"], "type": "aws:s3/bucket:Bucket", "protect": True}
    state = parse_state(json.dumps({"version": 3, "deployment": {"resources": [export]}}))
    assert judge(parse_preview(preview(bucket))).passed
    assert {finding.rule for finding in judge(parse_preview(preview(bucket)), state).refused} == {"protected-loss"}


IMPORT = step("import", INSTANCE, "restored", new={"username": "owner"}, protect=(False, True))


def holding(*resources):
    listed = [{"urn": urn(type_, name), "type": type_, "protect": True} for type_, name in resources]
    return parse_state(json.dumps({"version": 3, "deployment": {"resources": listed}}))


def test_a_database_is_taken_into_a_program_that_has_none():
    assert judge(parse_preview(preview(IMPORT)), holding()).passed
    assert judge(parse_preview(preview(IMPORT)), holding((SECRET, "it"), (FUNCTION, "api"))).passed


@pytest.mark.parametrize("type_", [INSTANCE, "aws:rds/cluster:Cluster", "aws:rds/clusterInstance:ClusterInstance"])
@pytest.mark.parametrize("name", ["restored", "another"])
@pytest.mark.parametrize("op", ["import", "import-replacement"])
def test_a_database_is_not_taken_in_while_the_state_has_one(op, name, type_):
    report = judge(parse_preview(preview({**IMPORT, "op": op})), holding((type_, name)))
    (finding,) = [each for each in report.refused if each.rule == "database-import"]
    assert finding.urn == urn(INSTANCE, "restored")
    assert f"still has {name!r}" in finding.reason
    with pytest.raises(UserError, match="cannot be allowed"):
        judge(parse_preview(preview(IMPORT)), holding((type_, name)), {"database-import": "restored"})


def test_a_database_is_not_taken_in_unless_the_state_was_given():
    (finding,) = judge(parse_preview(preview(IMPORT))).refused
    assert finding.rule == "database-import"
    assert "--state state.json" in finding.fix


def test_a_refusal_names_property_reason_and_the_rotation_and_holds_no_value():
    changed = step("update", INSTANCE, "db", old={"password": "old-1"}, new={"password": "not-used"}, diff=["password"])
    report = judge(parse_preview(preview(changed)))
    (finding,) = report.refused
    assert finding.what == "password"
    assert finding.urn == urn(INSTANCE, "db")
    assert "would change password" in finding.reason
    assert "./bmx db rotate" in finding.fix
    for told in ("\n".join(report.lines()), report.markdown(), str(report.to_json()), repr(report)):
        assert "not-used" not in told
        assert "old-1" not in told
