"""The provider as the engine and the real CLI speak to it, and its tables against the SDK's."""

import ast
import json
import re
from importlib import metadata, util
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2

from local.resources import DRIVERS, LIMITS
from local.resources.values import Archive, Asset, decode, encode
from tests.local.providing import REGION, Providing

pytest_plugins = ["tests.local.providing"]

QUEUE = "aws:sqs/queue:Queue"
SDK = Path(next(iter(util.find_spec("pulumi_aws").submodule_search_locations)))  # type: ignore[union-attr,arg-type]


def sdk_names(type_name: str) -> tuple[set[str], set[str]]:
    """Return the inputs and the state of a type as the SDK's classes declare them."""
    module, _, cls = type_name.removeprefix("aws:").partition("/")
    name = cls.split(":")[1]
    file = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
    folder = "lambda_" if module == "lambda" else module
    tree = ast.parse((SDK / folder / f"{file}.py").read_text())
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    found[node.name] = {camel(argument.arg) for argument in item.args.kwonlyargs}
    return found.get(f"{name}Args") or found[f"{name}InitArgs"], found[f"_{name}State"]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


@pytest.mark.parametrize("type_name", sorted(DRIVERS))
def test_every_name_of_a_driver_is_one_of_the_sdk(type_name: str):
    driver = DRIVERS[type_name]
    inputs, state = sdk_names(type_name)
    own = driver.table.keys() - ({"region"} if type_name.startswith("aws:iam/") else set())
    assert own <= inputs
    assert driver.outputs <= state


@pytest.mark.parametrize("type_name", sorted(DRIVERS))
def test_every_driver_says_where_its_replacements_are_written_and_uses_names_that_it_has(type_name: str):
    driver = DRIVERS[type_name]
    assert driver.source.startswith("terraform-provider-aws internal/service/")
    assert driver.autoname is None or driver.autoname[0] in driver.table
    assert driver.derived.keys() <= driver.outputs | {key for key, spec in driver.table.items() if spec.computed}
    assert {cause for causes in driver.derived.values() for cause in causes} <= driver.table.keys()


def test_every_module_says_what_it_does_not_prove():
    assert len(LIMITS) == 17
    assert all(LIMITS.values())


def test_the_handshake_takes_secrets_and_gives_the_sdk_s_version(providing: Providing):
    answer = providing.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    assert answer.accept_secrets
    assert not answer.accept_outputs
    providing.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    version = providing.stub.GetPluginInfo(empty_pb2.Empty()).version
    assert version == metadata.version("pulumi-aws")
    schema = json.loads(providing.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert schema["name"] == "aws"
    assert QUEUE in schema["resources"]


def test_credentials_in_the_configuration_are_refused_by_name(providing: Providing):
    news = encode({"region": REGION, "accessKey": "a", "regoin": "b"}, {"accessKey"})
    answer = providing.stub.CheckConfig(provider_pb2.CheckRequest(urn="urn", news=news))
    reasons = {failure.property: failure.reason for failure in answer.failures}
    assert "gives the provider its credentials" in reasons["accessKey"]
    assert "not a setting" in reasons["regoin"]
    assert set(reasons) == {"accessKey", "regoin"}


def test_another_account_than_the_allowed_one_is_refused(providing: Providing):
    args = encode({"region": REGION, "allowedAccountIds": json.dumps(["999999999999"])})
    with pytest.raises(grpc.RpcError, match="AWS account ID not allowed: 123456789012"):
        providing.stub.Configure(provider_pb2.ConfigureRequest(args=args, acceptSecrets=True))


def test_default_tags_of_the_configuration_are_set_and_kept_apart(providing: Providing):
    tags = {"tags": {"Project": "p", "Owner": "o"}}
    try:
        args = encode({"region": REGION, "defaultTags": json.dumps(tags)})
        assert providing.stub.Configure(provider_pb2.ConfigureRequest(args=args, acceptSecrets=True)).supportsPreview
        made = providing.create(QUEUE, {"name": "q", "tags": {"Owner": "me"}})
        assert made.outputs["tags"] == {"Owner": "me"}
        assert made.outputs["tagsAll"] == {"Project": "p", "Owner": "me"}
        assert not providing.diff(made, {"name": "q", "tags": {"Owner": "me"}}).changed
    finally:
        providing.stub.Configure(provider_pb2.ConfigureRequest(args=encode({"region": REGION}), acceptSecrets=True))
    assert providing.diff(made, {"name": "q", "tags": {"Owner": "me"}}).detailed == {"tagsAll.Project": "DELETE"}


def test_another_region_replaces_the_provider(providing: Providing):
    request = provider_pb2.DiffRequest(olds=encode({"region": "us-west-2"}), news=encode({"region": "eu-west-1"}))
    assert list(providing.stub.DiffConfig(request).replaces) == ["region"]


@pytest.mark.parametrize(
    ("function", "member", "value"),
    [
        ("aws:index/getCallerIdentity:getCallerIdentity", "accountId", "123456789012"),
        ("aws:index/getRegion:getRegion", "region", "us-west-2"),
        ("aws:index/getPartition:getPartition", "partition", "aws"),
    ],
)
def test_a_function_answers_where_the_program_runs(providing: Providing, function: str, member: str, value: str):
    answer = providing.stub.Invoke(provider_pb2.InvokeRequest(tok=function))
    assert decode(getattr(answer, "return"))[0][member] == value


def test_any_other_function_is_refused_by_name(providing: Providing):
    answer = providing.stub.Invoke(provider_pb2.InvokeRequest(tok="aws:ec2/getAmi:getAmi"))
    assert "aws:ec2/getAmi:getAmi is no function" in answer.failures[0].reason


def test_what_came_as_a_secret_goes_back_as_one(providing: Providing):
    made = providing.create(QUEUE, {"name": "q", "tags": {"a": "b"}}, secret={"tags"})
    assert "tags" in made.secrets
    assert "arn" not in made.secrets


def test_a_name_left_out_is_made_once_and_kept(providing: Providing):
    first = providing.checked(QUEUE, {}, name="thing")
    assert re.fullmatch(r"thing-[0-9a-f]{7}", first["name"])
    assert providing.checked(QUEUE, {}, name="thing", old=first)["name"] == first["name"]


def test_a_resource_that_could_not_be_made_has_no_id(providing: Providing):
    providing.client("secretsmanager").create_secret(Name="taken")
    with pytest.raises(grpc.RpcError, match="ResourceExistsException") as refused:
        providing.create("aws:secretsmanager/secret:Secret", {"name": "taken"})
    assert details(refused.value) is None


def test_a_resource_that_was_made_and_not_finished_is_told_with_its_id(
    providing: Providing, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MOTO_LAMBDA_CONCURRENCY_QUOTA", "1000")
    inputs = {
        "name": "f",
        "role": providing.role("r"),
        "code": Archive(assets={"app.py": Asset(text="")}),
        "handler": "app.handler",
        "runtime": "python3.13",
        "reservedConcurrentExecutions": 950,
    }
    with pytest.raises(grpc.RpcError, match="below its minimum value") as half:
        providing.create("aws:lambda/function:Function", inputs)
    detail = details(half.value)
    assert detail is not None
    assert detail.id == "f"
    assert decode(detail.properties)[0]["reservedConcurrentExecutions"] == 950
    assert providing.client("lambda").get_function(FunctionName="f")


def details(error: Any) -> Any:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            detail = provider_pb2.ErrorResourceInitFailed()
            assert status.details[0].Unpack(detail)
            return detail
    return None
