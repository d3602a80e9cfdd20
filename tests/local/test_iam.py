"""The evaluator behind moto: real clients, real requests, AWS's answers in each service's protocol."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from local.clock import Clock
from local.credentials import Credentials
from local.iam import Iam
from local.moto_server import MotoServer, install_clock

ACCOUNT, REGION = "123456789012", "us-west-2"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
BUCKET = "pictures"


class IamCloud:
    """moto and the evaluator, without the rest of the cloud; makes roles and clients."""

    def __init__(self):
        moto_api_backend.reset()
        self.clock = Clock()
        self.admin = Credentials.new("AKIA", session=False)
        self.iam = Iam(ACCOUNT, REGION, self.admin, self.clock)
        self._patches = [install_clock(self.clock), self.iam.install()]
        self._server = MotoServer(0)
        self.endpoint = self._server.endpoint
        self._clients: dict[Any, Any] = {}
        self._session = boto3.session.Session()
        self._roles = 0

    def close(self):
        self._server.stop()
        for patches in reversed(self._patches):
            patches.undo()

    def client(self, service, credentials=None, **config):
        credentials = credentials or self.admin
        key = (service, credentials.access_key_id, credentials.session_token, repr(config))
        if key not in self._clients:
            # one session for all: it reads each service's model once
            self._clients[key] = self._session.client(
                service,
                aws_access_key_id=credentials.access_key_id,
                aws_secret_access_key=credentials.secret_access_key,
                aws_session_token=credentials.session_token,
                region_name=REGION,
                endpoint_url=self.endpoint,
                config=Config(**{"signature_version": "s3v4"} | config)
                if service == "s3"
                else Config(retries={"total_max_attempts": 2}, **config),
            )
        return self._clients[key]

    def role(self, *statements, name=None):
        """A role with one inline policy; its name and credentials of a session `worker`."""
        self._roles += 1
        name = name or f"role{self._roles}"
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="flows", PolicyDocument=document(*statements))
        return name, self.iam.mint(arn, "worker")

    def as_role(self, service, *statements, **config):
        return self.client(service, self.role(*statements)[1], **config)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **rest):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **rest}


def deny(action, resource="*", **rest):
    return allow(action, resource, **rest) | {"Effect": "Deny"}


def refusal(call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def fetch(url, data=None, headers=None, method="GET"):
    answer = urllib3.request(method, url, body=data, headers=headers or {}, retries=False)
    return answer.status, answer.data


@pytest.fixture(scope="module")
def cloud():
    cloud = IamCloud()
    cloud.client("sqs").create_queue(QueueName="jobs")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=BUCKET, Key="books/1 ü.png", Body=b"picture")
    cloud.client("secretsmanager").create_secret(Name="app/database", SecretString="{}")
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def url(cloud):
    return cloud.client("sqs").get_queue_url(QueueName="jobs")["QueueUrl"]


REFUSALS = [
    (
        "sqs",
        "send_message",
        {"QueueUrl": "http://x/123456789012/jobs", "MessageBody": "x"},
        403,
        "AccessDenied",
        "sqs:sendmessage",
        QUEUE_ARN,
    ),
    (
        "sqs",
        "send_message_batch",
        {"QueueUrl": "http://x/1/jobs", "Entries": [{"Id": "a", "MessageBody": "x"}]},
        403,
        "AccessDenied",
        "sqs:sendmessage",
        QUEUE_ARN,
    ),
    ("sqs", "receive_message", {"QueueUrl": "http://x/1/jobs"}, 403, "AccessDenied", "sqs:receivemessage", QUEUE_ARN),
    (
        "s3",
        "get_object",
        {"Bucket": BUCKET, "Key": "a"},
        403,
        "AccessDenied",
        "s3:GetObject",
        '"arn:aws:s3:::pictures/a"',
    ),
    (
        "s3",
        "put_object",
        {"Bucket": BUCKET, "Key": "a"},
        403,
        "AccessDenied",
        "s3:PutObject",
        '"arn:aws:s3:::pictures/a"',
    ),
    (
        "s3",
        "delete_object",
        {"Bucket": BUCKET, "Key": "a"},
        403,
        "AccessDenied",
        "s3:DeleteObject",
        '"arn:aws:s3:::pictures/a"',
    ),
    ("s3", "list_objects_v2", {"Bucket": BUCKET}, 403, "AccessDenied", "s3:ListBucket", '"arn:aws:s3:::pictures"'),
    (
        "s3",
        "get_bucket_encryption",
        {"Bucket": BUCKET},
        403,
        "AccessDenied",
        "s3:GetEncryptionConfiguration",
        '"arn:aws:s3:::pictures"',
    ),
    (
        "s3",
        "create_multipart_upload",
        {"Bucket": BUCKET, "Key": "a"},
        403,
        "AccessDenied",
        "s3:PutObject",
        '"arn:aws:s3:::pictures/a"',
    ),
    (
        "lambda",
        "invoke",
        {"FunctionName": "f"},
        403,
        "AccessDeniedException",
        "lambda:InvokeFunction",
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
    ),
    (
        "lambda",
        "get_function",
        {"FunctionName": "f"},
        403,
        "AccessDeniedException",
        "lambda:GetFunction",
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
    ),
    ("lambda", "list_functions", {}, 403, "AccessDeniedException", "lambda:ListFunctions", "*"),
    (
        "secretsmanager",
        "get_secret_value",
        {"SecretId": "nowhere"},
        400,
        "AccessDeniedException",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:nowhere",
    ),
    (
        "rds",
        "describe_db_instances",
        {},
        403,
        "AccessDenied",
        "rds:DescribeDBInstances",
        f"arn:aws:rds:{REGION}:{ACCOUNT}:db:*",
    ),
    (
        "logs",
        "describe_log_groups",
        {},
        400,
        "AccessDeniedException",
        "logs:DescribeLogGroups",
        f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*:log-stream:",
    ),
    (
        "cloudwatch",
        "put_metric_data",
        {"Namespace": "n", "MetricData": [{"MetricName": "m"}]},
        403,
        "AccessDenied",
        "cloudwatch:PutMetricData",
        "*",
    ),
    (
        "sns",
        "publish",
        {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:t", "Message": "x"},
        403,
        "AuthorizationError",
        "SNS:Publish",
        f"arn:aws:sns:{REGION}:{ACCOUNT}:t",
    ),
    (
        "events",
        "put_events",
        {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]},
        400,
        "AccessDeniedException",
        "events:PutEvents",
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
    ),
    (
        "kms",
        "encrypt",
        {"KeyId": "k", "Plaintext": b"x"},
        400,
        "AccessDeniedException",
        "kms:Encrypt",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k",
    ),
    (
        "xray",
        "put_trace_segments",
        {"TraceSegmentDocuments": ["{}"]},
        403,
        "AccessDeniedException",
        "xray:PutTraceSegments",
        "*",
    ),
]


@pytest.mark.parametrize("row", REFUSALS, ids=[f"{row[0]}.{row[1]}" for row in REFUSALS])
def test_a_role_without_permission_reads_awss_error(cloud, row):
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    service, method, parameters, status, code, action, resource = row
    name, credentials = cloud.role()
    answer = refusal(getattr(cloud.client(service, credentials), method), **parameters)
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/worker"
    message = (
        f"User: {session} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    assert answer == (status, code, message)


def test_a_queue_that_may_not_be_looked_up_does_not_exist(cloud):
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html
    sqs = cloud.as_role("sqs", allow("sqs:SendMessage", QUEUE_ARN))
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="jobs")
    assert refusal(sqs.get_queue_url, QueueName="jobs") == (
        400,
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist or you do not have access to it.",
    )


def test_what_a_role_is_granted_it_may_do(cloud, url):
    sqs = cloud.as_role("sqs", allow(["sqs:SendMessage", "sqs:ReceiveMessage"], QUEUE_ARN))
    sqs.send_message(QueueUrl=url, MessageBody="a")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "b", "MessageBody": "b"}])
    assert sqs.receive_message(QueueUrl=url)["Messages"]


def test_a_grant_on_one_queue_is_none_on_another(cloud):
    other = cloud.client("sqs").create_queue(QueueName="other")["QueueUrl"]
    sqs = cloud.as_role("sqs", allow("sqs:*", QUEUE_ARN))
    assert refusal(sqs.purge_queue, QueueUrl=other)[1] == "AccessDenied"


def test_attached_policies_count_from_the_moment_they_are_attached(cloud, url):
    name, credentials = cloud.role()
    sqs, iam = cloud.client("sqs", credentials), cloud.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=document(allow("sqs:SendMessage", QUEUE_ARN)))["Policy"][
        "Arn"
    ]
    assert refusal(sqs.send_message, QueueUrl=url, MessageBody="x")[1] == "AccessDenied"
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(deny("sqs:*")), SetAsDefault=True)
    assert (
        "with an explicit deny in an identity-based policy"
        in refusal(sqs.send_message, QueueUrl=url, MessageBody="x")[2]
    )


def test_a_deleted_role_may_do_nothing(cloud, url):
    name, credentials = cloud.role(allow("sqs:*"))
    cloud.client("iam").delete_role_policy(RoleName=name, PolicyName="flows")
    cloud.client("iam").delete_role(RoleName=name)
    assert refusal(cloud.client("sqs", credentials).send_message, QueueUrl=url, MessageBody="x")[1] == "AccessDenied"


def test_credentials_of_no_role_are_not_made(cloud):
    with pytest.raises(LookupError, match="no role"):
        cloud.iam.mint(f"arn:aws:iam::{ACCOUNT}:role/none")


@pytest.mark.parametrize(
    ("service", "method", "code"),
    [
        ("sqs", "list_queues", "InvalidClientTokenId"),
        ("rds", "describe_db_instances", "InvalidClientTokenId"),
        ("lambda", "list_functions", "UnrecognizedClientException"),
        ("secretsmanager", "list_secrets", "UnrecognizedClientException"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
    ],
)
def test_an_unknown_key_is_refused(cloud, service, method, code):
    assert refusal(getattr(cloud.client(service, Credentials.new("AKIA", session=False)), method))[1] == code


def test_a_sessions_key_without_its_token_is_refused(cloud):
    _, minted = cloud.role(allow("*"))
    without = Credentials(minted.access_key_id, minted.secret_access_key)
    assert refusal(cloud.client("sqs", without).list_queues)[1] == "InvalidClientTokenId"


def test_an_unsigned_request_is_refused(cloud):
    assert refusal(cloud.client("s3", signature_version=UNSIGNED).list_buckets)[1] == "AccessDenied"
    # a scheme that is not SigV4, whose scope still tells moto the service
    headers = {
        "Authorization": "AWS4-ECDSA-P256-SHA256 Credential=AKIA/20250101/us-west-2/sqs/aws4_request, Signature=0",
        "X-Amz-Target": "AmazonSQS.ListQueues",
        "Content-Type": "application/x-amz-json-1.0",
    }
    status, body = fetch(cloud.endpoint, b"{}", headers, "POST")
    assert (status, b"Request is missing Authentication Token" in body) == (403, True)


def test_motos_control_routes_are_closed(cloud):
    assert fetch(f"{cloud.endpoint}/moto-api/reset", method="POST")[0] == 404
    assert cloud.client("s3").list_buckets()["Buckets"]


def test_the_caller_may_always_ask_who_it_is(cloud):
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    name, credentials = cloud.role(deny("*"))
    identity = cloud.client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/worker"


def test_an_action_that_is_not_modelled_is_refused_by_name(cloud):
    _, code, message = refusal(cloud.as_role("lambda", allow("*")).list_layers)
    assert code == "EmbeddedCloudUnsupported"
    assert "lambda:ListLayers is not modelled" in message


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (allow("sqs:*", Condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "1"}}), "NumericLessThan"),
        (allow("sqs:*", Condition={"StringEquals": {"aws:userid": "x"}}), "aws:userid"),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "NotAction"),
    ],
)
def test_a_policy_that_is_not_modelled_is_refused_by_name(cloud, url, statement, named):
    _, code, message = refusal(cloud.as_role("sqs", statement).send_message, QueueUrl=url, MessageBody="x")
    assert code == "EmbeddedCloudUnsupported"
    assert named in message


def test_the_metrics_namespace_is_held_to_its_condition(cloud):
    condition = {"StringEquals": {"cloudwatch:namespace": "worker"}}
    metrics = cloud.as_role("cloudwatch", allow("cloudwatch:PutMetricData", Condition=condition))
    metrics.put_metric_data(Namespace="worker", MetricData=[{"MetricName": "m", "Value": 1}])
    assert refusal(metrics.put_metric_data, Namespace="api", MetricData=[{"MetricName": "m"}])[1] == "AccessDenied"


def test_a_secret_is_one_resource_by_whichever_name(cloud):
    admin = cloud.client("secretsmanager")
    arn = admin.describe_secret(SecretId="app/database")["ARN"]
    secrets = cloud.as_role("secretsmanager", allow("secretsmanager:GetSecretValue", arn))
    for secret_id in ("app/database", arn, arn.rsplit("-", 1)[0]):
        assert secrets.get_secret_value(SecretId=secret_id)["ARN"] == arn
    assert refusal(secrets.describe_secret, SecretId=arn)[1] == "AccessDeniedException"


# Resource policies


def tls_only(resource):
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_a_tls_only_policy_lets_the_local_endpoint_through(cloud):
    sqs, s3 = cloud.client("sqs"), cloud.client("s3")
    queue = sqs.create_queue(QueueName="tls", Attributes={"Policy": document(tls_only("*"))})["QueueUrl"]
    s3.create_bucket(Bucket="tls-only", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_policy(
        Bucket="tls-only", Policy=document(tls_only(["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"]))
    )
    s3.put_object(Bucket="tls-only", Key="k", Body=b"x")
    _, role = cloud.role(allow(["sqs:SendMessage", "s3:GetObject"]))
    cloud.client("sqs", role).send_message(QueueUrl=queue, MessageBody="x")
    assert cloud.client("s3", role).get_object(Bucket="tls-only", Key="k")["Body"].read() == b"x"


def test_a_queue_policy_alone_allows_a_role_of_the_account(cloud):
    name, credentials = cloud.role()
    statement = allow("sqs:SendMessage", "*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/{name}"})
    queue = cloud.client("sqs").create_queue(QueueName="shared", Attributes={"Policy": document(statement)})["QueueUrl"]
    cloud.client("sqs", credentials).send_message(QueueUrl=queue, MessageBody="x")


def test_a_bucket_policys_deny_wins(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="closed", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="closed", Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket="closed", Policy=document(deny("s3:GetObject", "arn:aws:s3:::closed/*", Principal="*")))
    role = cloud.as_role("s3", allow("s3:*"))
    assert refusal(role.get_object, Bucket="closed", Key="k")[2].endswith(
        "with an explicit deny in a resource-based policy"
    )
    s3.get_object(Bucket="closed", Key="k")


def test_only_a_functions_policy_lets_a_service_invoke_it(cloud):
    role_arn = cloud.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions = cloud.client("lambda")
    arn = functions.create_function(
        FunctionName="sweeper", Role=role_arn, Runtime="python3.13", Handler="h.h", Code={"ZipFile": b"x"}
    )["FunctionArn"]
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/sweep"
    may = lambda source: cloud.iam.service_may("events.amazonaws.com", "lambda:InvokeFunction", arn, source).allowed  # noqa: E731
    assert not may(rule)
    functions.add_permission(
        FunctionName="sweeper",
        StatementId="sweep",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    assert may(rule)
    assert not may(rule + "2")


# S3


def test_a_missing_object_is_told_only_to_those_who_may_list(cloud):
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    reader = cloud.as_role("s3", allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"))
    lister = cloud.as_role(
        "s3", allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"), allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
    )
    status, code, message = refusal(reader.get_object, Bucket=BUCKET, Key="none")
    assert (status, code) == (403, "AccessDenied")
    assert "s3:ListBucket" in message
    assert refusal(reader.head_object, Bucket=BUCKET, Key="none")[0] == 403
    assert refusal(lister.get_object, Bucket=BUCKET, Key="none")[1] == "NoSuchKey"
    assert refusal(lister.head_object, Bucket=BUCKET, Key="none")[0] == 404


def test_a_grant_by_prefix_ends_with_the_prefix(cloud):
    role = cloud.as_role("s3", allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/books/*"))
    assert role.get_object(Bucket=BUCKET, Key="books/1 ü.png")["Body"].read() == b"picture"
    assert refusal(role.get_object, Bucket=BUCKET, Key="bookshelf")[1] == "AccessDenied"


def test_a_copy_needs_to_read_its_source(cloud):
    write = allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/out/*")
    source = {"Bucket": BUCKET, "Key": "books/1 ü.png"}
    copy = {"Bucket": BUCKET, "Key": "out/c", "CopySource": source}
    assert '"arn:aws:s3:::pictures/books/1 ü.png"' in refusal(cloud.as_role("s3", write).copy_object, **copy)[2]
    cloud.as_role("s3", write, allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/books/*")).copy_object(**copy)


def test_deleting_many_refuses_each_object_by_itself(cloud):
    admin = cloud.client("s3")
    for key in ("out/1", "books/keep"):
        admin.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    role = cloud.as_role("s3", allow("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/out/*"))
    answer = role.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "out/1"}, {"Key": "books/keep"}]})
    assert [d["Key"] for d in answer["Deleted"]] == ["out/1"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("books/keep", "AccessDenied")]
    assert admin.head_object(Bucket=BUCKET, Key="books/keep")


def test_a_presigned_url_acts_as_its_signer(cloud):
    signer = cloud.as_role("s3", allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/books/*"))
    at = lambda key: signer.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, 900)  # noqa: E731
    assert fetch(at("books/1 ü.png")) == (200, b"picture")
    assert fetch(at("secret"))[0] == 403
    status, body = fetch(at("books/1 ü.png").replace("books", "secret"))
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in body) == (403, True)


def test_a_presigned_url_ends_with_its_time(cloud):
    url = cloud.client("s3").generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "books/1 ü.png"}, 60)
    assert fetch(url)[0] == 200
    cloud.clock.advance(61)
    status, body = fetch(url)
    assert (status, b"Request has expired" in body) == (403, True)


def test_a_presigned_put_writes_what_its_signer_may(cloud):
    signer = cloud.as_role("s3", allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/out/*"))
    url = signer.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "out/put"}, 10_000)
    assert fetch(url, b"x", {"Content-Type": ""}, "PUT")[0] == 200
    assert fetch(url)[0] == 403


def test_signature_version_2_is_refused(cloud):
    # https://docs.aws.amazon.com/AmazonS3/latest/API/specify_signature_version.html
    old = cloud.client("s3", signature_version="s3")
    url = old.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "books/1 ü.png"}, 10_000)
    status, body = fetch(url)
    assert (status, b"Please use AWS4-HMAC-SHA256" in body) == (400, True)


def upload(cloud, signer, content, *, change=None, seconds=10_000):
    fields = {"Content-Type": "image/png"}
    post = signer.generate_presigned_post(
        BUCKET, "uploads/1.png", fields, [fields, ["content-length-range", 1, 100]], seconds
    )
    body, kind = urllib3.encode_multipart_formdata(post["fields"] | (change or {}) | {"file": ("photo.png", content)})
    return fetch(post["url"], body, {"Content-Type": kind}, "POST")


@pytest.fixture(scope="module")
def uploader(cloud):
    return cloud.as_role("s3", allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/uploads/*"))


def test_a_presigned_post_stores_the_file_with_its_type(cloud, uploader):
    assert upload(cloud, uploader, b"png")[0] == 204
    stored = cloud.client("s3").get_object(Bucket=BUCKET, Key="uploads/1.png")
    assert (stored["Body"].read(), stored["ContentType"]) == (b"png", "image/png")


@pytest.mark.parametrize(
    "row",
    [
        (b"x" * 101, {}, 400, b"EntityTooLarge"),
        (b"", {}, 400, b"EntityTooSmall"),
        (b"x", {"key": "uploads/2.png"}, 403, b"AccessDenied"),
        (b"x", {"Content-Type": "text/html"}, 403, b"AccessDenied"),
        (b"x", {"acl": "public-read"}, 403, b"AccessDenied"),
        (b"x", {"x-amz-signature": "0"}, 403, b"SignatureDoesNotMatch"),
    ],
    ids=["too large", "empty", "another key", "another type", "a field too many", "another signature"],
)
def test_a_presigned_post_is_held_to_its_policy(cloud, uploader, row):
    content, change, status, code = row
    answer = upload(cloud, uploader, content, change=change)
    assert answer[0] == status
    assert b"<Code>" + code + b"</Code>" in answer[1]


def test_a_presigned_post_needs_its_signers_permission(cloud):
    signer = cloud.as_role("s3", allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/elsewhere/*"))
    status, body = upload(cloud, signer, b"x")
    assert (status, b"s3:PutObject" in body) == (403, True)


# The record


def test_every_decision_is_recorded_with_what_decided_it(cloud, url):
    name, credentials = cloud.role(allow("sqs:SendMessage", QUEUE_ARN, Sid="Send"))
    sqs = cloud.client("sqs", credentials)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    refusal(sqs.purge_queue, QueueUrl=url)
    recorded = [d for d in cloud.iam.decisions if d.role == name]
    assert [(d.action, d.resource, d.allowed, d.statement) for d in recorded] == [
        ("sqs:SendMessage", QUEUE_ARN, True, "inline policy flows#Send"),
        ("sqs:PurgeQueue", QUEUE_ARN, False, None),
    ]


def test_the_clouds_own_key_is_not_recorded(cloud):
    before = len(cloud.iam.decisions)
    cloud.client("sqs").list_queues()
    assert len(cloud.iam.decisions) == before


def test_decisions_of_many_threads_are_all_there(cloud):
    before = len(cloud.iam.decisions)
    role_arn = cloud.client("iam").create_role(RoleName="many", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cloud.iam.authorize(role_arn, "sqs:SendMessage", f"{QUEUE_ARN}{n}"), range(200)))
    assert len({d.resource for d in cloud.iam.decisions[before:]}) == 200


def test_credentials_do_not_show_their_secret():
    credentials = Credentials.new("ASIA", session=True)
    assert credentials.secret_access_key not in repr(credentials)
    assert str(credentials.session_token) not in repr(credentials)
