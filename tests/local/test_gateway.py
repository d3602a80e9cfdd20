"""The gateway: payload format 2.0 both ways, and API Gateway's own refusals."""

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.gateway import Gateway
from local.gateway_events import find_route, function_arn, response
from tests.local.lambda_cloud import ACCOUNT, REGION, LambdaCloud, lambda_cloud

# Answers with the event, or does what the query says.
API = """
    import base64, json, os, time
    def handler(event, context):
        query = event.get("queryStringParameters", {})
        if "sleep" in query:
            time.sleep(float(query["sleep"]))
        if "meet" in query:
            open(os.path.join(query["meet"], context.aws_request_id), "x").close()
            while len(os.listdir(query["meet"])) < 3:
                time.sleep(0.02)
        if "crash" in query:
            raise RuntimeError("crash")
        if "answer" in query:
            return json.loads(base64.b64decode(query["answer"]))
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
    """


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with lambda_cloud(tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(cloud):
    made = Gateway(cloud.runtime, cloud.home / "logs" / "gateway.log")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def api(cloud, gateway):
    function = cloud.function("api", API)
    found = make_api(cloud, function, "GET /books/{id}", "ANY /api/v1/{proxy+}", "POST /api/v1/books", "GET /")
    permit(cloud, "api", found)
    return found


def make_api(cloud: LambdaCloud, function: str, *routes: str, **settings) -> str:
    client = cloud.client("apigatewayv2")
    made = client.create_api(Name="books", ProtocolType="HTTP", **settings)["ApiId"]
    integration = client.create_integration(
        ApiId=made,
        IntegrationType="AWS_PROXY",
        IntegrationUri=function,
        PayloadFormatVersion="2.0",
        TimeoutInMillis=30_000,
    )["IntegrationId"]
    for route in routes:
        client.create_route(ApiId=made, RouteKey=route, Target=f"integrations/{integration}")
    client.create_stage(ApiId=made, StageName="$default", AutoDeploy=True)
    return str(made)


def set_timeout(cloud: LambdaCloud, api: str, milliseconds: int) -> None:
    client = cloud.client("apigatewayv2")
    integration = client.get_integrations(ApiId=api)["Items"][0]["IntegrationId"]
    client.update_integration(ApiId=api, IntegrationId=integration, TimeoutInMillis=milliseconds)


def permit(cloud: LambdaCloud, function: str, api: str) -> None:
    cloud.client("lambda").add_permission(
        FunctionName=function,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*/*",
    )


def call(gateway: Gateway, method: str, path: str, body: bytes = b"", headers: list[tuple[str, str]] = []):  # noqa: B006
    """Status, headers (as sent) and body."""
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    connection.putrequest(method, path)
    for name, value in [*headers, ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.getheaders(), content


def event(gateway: Gateway, *arguments, **settings):
    status, _, body = call(gateway, *arguments, **settings)
    assert status == 200, body
    return json.loads(body)


def asked(answer: object) -> str:
    return "/api/v1/x?answer=" + base64.urlsafe_b64encode(json.dumps(answer).encode()).decode()


def test_the_event_is_in_payload_format_2(api, gateway):
    headers = [
        ("X-Two", "a"), ("X-Two", "b"), ("Cookie", "one=1; two=2"), ("Content-Type", "application/json"),
        ("User-Agent", "test"),
    ]  # fmt: skip
    path = "/api/v1/books/7/images?q=a&q=b%20c&empty="
    found = event(gateway, "PUT", path, body=b'{"a": "\xc3\xa9"}', headers=headers)
    assert found["version"] == "2.0" and found["routeKey"] == "ANY /api/v1/{proxy+}"
    assert found["rawPath"] == "/api/v1/books/7/images" and found["rawQueryString"] == "q=a&q=b%20c&empty="
    assert found["queryStringParameters"] == {"q": "a,b c", "empty": ""}
    assert found["pathParameters"] == {"proxy": "books/7/images"}
    assert found["headers"]["x-two"].replace(" ", "") == "a,b" and "cookie" not in found["headers"]
    assert found["cookies"] == ["one=1", "two=2"]
    assert found["body"] == '{"a": "é"}' and found["isBase64Encoded"] is False
    context = found["requestContext"]
    assert context["http"] == {
        "method": "PUT", "path": "/api/v1/books/7/images", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
        "userAgent": "test",
    }  # fmt: skip
    assert context["apiId"] == api and context["accountId"] == ACCOUNT and context["stage"] == "$default"
    assert context["routeKey"] == found["routeKey"] and context["requestId"]


def test_a_body_that_is_no_text_comes_as_base64(api, gateway):
    found = event(gateway, "POST", "/api/v1/x", body=b"\xff\xd8\xff", headers=[("Content-Type", "image/jpeg")])
    assert found["isBase64Encoded"] is True and base64.b64decode(found["body"]) == b"\xff\xd8\xff"


def test_a_request_without_body_has_none(api, gateway):
    assert "body" not in event(gateway, "GET", "/api/v1/x")


def test_an_answer_keeps_status_headers_cookies_and_binary_body(api, gateway):
    answer = {
        "statusCode": 201,
        "headers": {"X-Own": "1", "content-type": "image/png"},
        "cookies": ["a=1; Secure", "b=2"],
        "body": base64.b64encode(b"\x89PNG").decode(),
        "isBase64Encoded": True,
    }
    status, headers, body = call(gateway, "GET", asked(answer))
    assert (status, body) == (201, b"\x89PNG")
    assert ("X-Own", "1") in headers and [v for n, v in headers if n == "Set-Cookie"] == ["a=1; Secure", "b=2"]
    assert [v for n, v in headers if n.lower() == "content-type"] == ["image/png"]


def test_an_answer_without_status_code_is_the_body_itself(api, gateway):
    status, headers, body = call(gateway, "GET", asked({"id": 7}))
    assert (status, json.loads(body)) == (200, {"id": 7}) and ("Content-Type", "application/json") in headers


@pytest.mark.parametrize("answer", [{"statusCode": 999}, {"statusCode": "x"}, {"statusCode": 200, "body": {"a": 1}}])
def test_a_malformed_answer_is_an_internal_server_error(api, gateway, answer):
    status, _, body = call(gateway, "GET", asked(answer))
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_a_function_error_is_an_internal_server_error_without_its_text(api, gateway):
    status, _, body = call(gateway, "GET", "/api/v1/x?crash=1")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/books/1"), ("GET", "/books/1/2")])
def test_a_path_without_route_is_not_found(api, gateway, method, path):
    status, _, body = call(gateway, method, path)
    assert (status, json.loads(body)) == (404, {"message": "Not Found"})


def test_no_cors_headers_are_added_by_the_gateway(api, gateway):
    _, headers, _ = call(gateway, "GET", "/api/v1/x", headers=[("Origin", "https://example.org")])
    assert not [name for name, _ in headers if name.lower().startswith("access-control")]


def test_a_body_above_10_mb_is_refused_and_the_caller_sees_it(api, gateway):
    status, _, body = call(gateway, "POST", "/api/v1/x", body=b"x" * (10 * 1024 * 1024 + 1))
    assert (status, json.loads(body)) == (413, {"message": "Request Entity Too Large"})


def test_an_event_above_lambdas_6_mb_is_refused(api, gateway):
    status, _, _ = call(gateway, "POST", "/api/v1/x", body=b"\xff" * (5 * 1024 * 1024))
    assert status == 413


def test_neither_query_nor_headers_are_logged(api, gateway, cloud):
    call(gateway, "GET", "/api/v1/secretless?key=in-the-query", headers=[("X-API-Key", "in-the-header")])
    log = (cloud.home / "logs" / "gateway.log").read_text()
    assert "GET /api/v1/secretless 200 " in log and "in-the-query" not in log and "in-the-header" not in log


def test_requests_at_once_run_at_once(api, gateway, tmp_path):
    # Each waits until all three have begun: one after the other, the first would run into its timeout.
    with ThreadPoolExecutor(3) as pool:
        path = f"/api/v1/x?meet={tmp_path}"
        assert [status for status, _, _ in pool.map(lambda _: call(gateway, "GET", path), range(3))] == [200] * 3


class Api:
    def __init__(self, *routes: str, stages: tuple[str, ...] = ("$default",)) -> None:
        self.routes = {key: type("Route", (), {"route_key": key, "target": key}) for key in routes}
        self.stages = {name: type("Stage", (), {"name": name, "stage_variables": {}}) for name in stages}


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/3", "GET /pets/{proxy+}"),
        ("POST", "/pets/dog/4", "ANY /pets/dog/{id}"),
        ("POST", "/test/5", "$default"),
    ],
)
def test_the_most_specific_route_is_taken(method, path, route):
    # The example of https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    api = Api(
        "$default", "GET /pets/{proxy+}", "ANY /pets/dog/{id}", "GET /pets/dog/{id}", "GET /pets/dog/1", "ANY /{x}"
    )
    found = find_route(api, method, path)
    assert found is not None and found.route_key == route


def test_the_source_that_the_resource_policy_sees_names_stage_method_and_route():
    found = find_route(Api("ANY /api/{proxy+}"), "GET", "/api/x")
    assert found is not None and found.source == "$default/GET/api/{proxy+}"


def test_a_named_stage_is_taken_off_the_path():
    found = find_route(Api("GET /x", stages=("dev",)), "GET", "/dev/x")
    assert found is not None and found.stage == "dev"
    assert find_route(Api("GET /x", stages=("dev",)), "GET", "/x") is None


def test_an_integrations_uri_may_be_the_functions_arn_or_its_invoke_arn():
    function = "arn:aws:lambda:us-west-2:123456789012:function:api"
    invoke = f"arn:aws:apigateway:us-west-2:lambda:path/2015-03-31/functions/{function}/invocations"
    assert function_arn(function) == function_arn(invoke) == function


def test_a_taken_port_is_an_error(cloud, gateway):
    with pytest.raises(OSError, match="in use"):
        Gateway(cloud.runtime, cloud.home / "logs" / "second.log", port=int(gateway.url.rsplit(":", 1)[1]))


def test_invalid_base64_is_refused():
    with pytest.raises(ValueError, match="base64"):
        response(b'{"statusCode": 200, "body": "%%%", "isBase64Encoded": true}')


@pytest.fixture
def alone(tmp_path: Path):
    """A cloud and gateway without any API."""
    with lambda_cloud(tmp_path) as made:
        gateway = Gateway(made.runtime, tmp_path / "logs" / "gateway.log")
        gateway.start()
        yield made, gateway
        gateway.stop()


def test_refusals_that_need_an_api_of_their_own(alone):
    cloud, gateway = alone
    assert call(gateway, "GET", "/")[0] == 404, "no API yet"
    function = cloud.function("f", API)
    cors = {"AllowOrigins": ["https://books.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-api-key"]}
    api = make_api(cloud, function, "$default", CorsConfiguration=cors)
    assert call(gateway, "GET", "/")[0] == 500, "without the function's permission"
    permit(cloud, "f", api)
    assert call(gateway, "GET", "/")[0] == 200

    # Only for this call: a cold start may take longer than a second, and has to be waited for in the others.
    set_timeout(cloud, api, 1000)
    status, _, body = call(gateway, "GET", "/?sleep=3")
    assert (status, json.loads(body)) == (503, {"message": "Service Unavailable"}), "integration timeout"
    set_timeout(cloud, api, 30_000)

    origin = ("Origin", "https://books.example")
    status, headers, _ = call(gateway, "OPTIONS", "/", headers=[origin, ("Access-Control-Request-Method", "GET")])
    assert status == 204 and ("Access-Control-Allow-Methods", "GET") in headers
    assert ("Access-Control-Allow-Origin", origin[1]) in call(gateway, "GET", "/", headers=[origin])[1]
    _, headers, _ = call(gateway, "GET", "/", headers=[("Origin", "https://other.example")])
    assert not [name for name, _ in headers if name.startswith("Access-Control")]

    cloud.client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert call(gateway, "GET", "/")[0] == 503, "throttled"
