"""Lambda functions: from a zip made here, a zip in S3, or an image by digest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.lambda_limits import environment_refusals
from local.resources import archives
from local.resources.driver import Aws, AwsError, Driver, enumerated, gone
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Archive, Values, contains_unknown
from local.wire import UNKNOWN

LIMITS: Final = (
    "loggingConfig is kept in state and not by the embedded Lambda: functions log as plain text.",
    "Changes of tracingConfig, ephemeralStorage, imageConfig, kmsKeyArn and architectures in place are "
    "refused: the embedded "
    "Lambda keeps what the function was made with.",
    "Layers, code signing, file systems, VPC interfaces and the unreserved concurrency of an account are not modelled.",
    "Permissions, mappings and functions take effect at once, without AWS's seconds of delay.",
)

MISSING: Final = ("ResourceNotFoundException", "ResourceNotFound", "404")
# quotas: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_UNZIPPED_BYTES: Final = 262_144_000
_ZIPPED_BYTES: Final = 52_428_800
_CODE: Final = ("code", "s3Bucket", "s3Key", "s3ObjectVersion", "imageUri", "sourceCodeHash")
_NOT_PUBLISHED: Final = {"publish", "reservedConcurrentExecutions", "skipDestroy", "tags", "tagsAll"}
_NO_CONTENT: Final = ("environment", "imageConfig", "vpcConfig")
# What the embedded Lambda does not change on UpdateFunctionConfiguration.
_FIXED_HERE: Final = ("tracingConfig", "ephemeralStorage", "imageConfig", "kmsKeyArn", "architectures")


def invalid(operation: str, message: str) -> AwsError:
    """Return Lambda's most common refusal."""
    return AwsError(f"Lambda: {operation}", "InvalidParameterValueException", message)


class Function(Driver):
    """A function. Its id is its name; imported by it."""

    type_name = "aws:lambda/function:Function"
    source = "terraform-provider-aws internal/service/lambda/function.go"
    properties: ClassVar = {
        "architectures": Property("strings", computed=True, longest=1, each="x86_64|arm64"),
        "code": Property("archive", written_only=True, conflicts=("imageUri", "s3Bucket")),
        "codeSha256": Property(computed=True),
        "description": Property(longest=256),
        "environment": Property("object", fields={"variables": Property("string_map")}),
        "ephemeralStorage": Property(
            "object", computed=True, fields={"size": Property("integer", computed=True, minimum=512, maximum=10_240)}
        ),
        "handler": Property(shortest=1, longest=128),
        "imageConfig": Property(
            "object",
            fields={
                "commands": Property("strings"),
                "entryPoints": Property("strings"),
                "workingDirectory": Property(),
            },
        ),
        "imageUri": Property(conflicts=("code", "s3Bucket")),
        "kmsKeyArn": Property(pattern=ARN),
        "layers": Property("strings", longest=5, each=ARN),
        "loggingConfig": Property(
            "object",
            computed=True,
            written_only=True,
            fields={
                "applicationLogLevel": Property(choices=("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")),
                "logFormat": Property(required=True, choices=("JSON", "Text")),
                "logGroup": Property(computed=True, longest=512, pattern=r"[.\-_/#A-Za-z0-9]+"),
                "systemLogLevel": Property(choices=("", "DEBUG", "INFO", "WARN")),
            },
        ),
        "memorySize": Property("integer", default=128, minimum=128, maximum=10_240),
        "name": Property(replaces=True, longest=64, pattern=r"[A-Za-z0-9_-]+"),
        "packageType": Property(default="Zip", replaces=True, choices=("Zip", "Image")),
        "publish": Property("boolean", default=False, written_only=True),
        "reservedConcurrentExecutions": Property("integer", default=-1, minimum=-1),
        "role": Property(required=True, pattern=r"arn:aws[a-z-]*:iam::\d{12}:role/.+"),
        "runtime": Property(),
        "s3Bucket": Property(written_only=True, conflicts=("code", "imageUri")),
        "s3Key": Property(written_only=True),
        "s3ObjectVersion": Property(written_only=True, conflicts=("code", "imageUri")),
        "skipDestroy": Property("boolean", default=False, written_only=True),
        "sourceCodeHash": Property(computed=True, written_only=True),
        "timeout": Property("integer", default=3, minimum=1, maximum=900),
        "tracingConfig": Property(
            "object", computed=True, fields={"mode": Property(required=True, choices=("Active", "PassThrough"))}
        ),
        "vpcConfig": Property(
            "object",
            fields={
                "ipv6AllowedForDualStack": Property("boolean", default=False),
                "securityGroupIds": Property("strings", required=True, unordered=True),
                "subnetIds": Property("strings", required=True, unordered=True),
                "vpcId": Property(computed=True),
            },
        ),
    }
    outputs = frozenset(
        [
            "arn",
            "invokeArn",
            "lastModified",
            "qualifiedArn",
            "qualifiedInvokeArn",
            "responseStreamingInvokeArn",
            "sourceCodeSize",
            "tagsAll",
            "version",
        ]
    )
    derived: ClassVar = {
        "codeSha256": _CODE,
        "sourceCodeHash": _CODE,
        "sourceCodeSize": _CODE,
        "lastModified": _CODE,
    }
    autoname = ("name", 64)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold code, package type and environment to what Lambda takes."""
        sources = sorted(given & {"code", "imageUri", "s3Bucket"})
        if len(sources) != 1:
            yield Failure("code", f"one of `code,imageUri,s3Bucket` must be specified, got {sources or 'none'}")
        if ("s3Bucket" in given) != ("s3Key" in given):
            yield Failure("s3Key", "s3Bucket and s3Key belong together")
        image = known.get("packageType") == "Image"
        if image != ("imageUri" in given) and sources:
            yield Failure("packageType", f"packageType {known.get('packageType')} does not go with {sources[0]}")
        if known.get("runtime") and known["runtime"] not in enumerated("lambda", "Runtime"):
            yield Failure("runtime", f"expected runtime to be one of Lambda's, got {known['runtime']!r}")
        missing = [key for key in ("handler", "runtime") if key not in given]
        if not image and missing:
            yield Failure(missing[0], f"handler and runtime must be set when packageType is Zip; missing: {missing}")
        for refusal in environment_refusals(known.get("environment", {}).get("variables", {})):
            yield Failure("environment", f"InvalidParameterValueException: {refusal}")

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Compare an archive by the digest of the zip that it makes with the digest of what Lambda has."""
        if name == "sourceCodeHash" and name not in inputs:
            return True
        if name in _NO_CONTENT and name not in state and name in inputs and not _content(inputs[name]):
            return True  # function.go: a block without content is no change where there was none
        archive = inputs.get("code")
        if name != "code" or not isinstance(archive, Archive):
            return None
        held = state.get("code")
        if isinstance(held, Archive) and held.hash and archive.hash:
            return held.hash == archive.hash  # as the engine has it; what was changed outside is not looked for
        if archive == Archive():
            # The Pulumi CLI asks for a difference with hashes alone (ElideAssetContents in its
            # sdk/go/common/resource/plugin/provider_plugin.go).
            before = state.get("code")
            return isinstance(before, Archive) and before.hash == archive.hash != ""
        return not contains_unknown(archive.assets) and archives.sha256(
            archives.pack(archive, aws.folder)
        ) == state.get("codeSha256")

    def planned(self, inputs: Values, aws: Aws, state: Values | None = None, changed: Iterable[str] = ()) -> Values:
        """Promise no version where another one will be published, also of a changed configuration (function.go)."""
        changed = list(changed)
        promised = super().planned(inputs, aws, state, changed)
        tops = {path.split(".")[0].split("[")[0] for path in changed}
        if inputs.get("publish") and tops - _NOT_PUBLISHED:
            promised |= dict.fromkeys(("version", "qualifiedArn", "qualifiedInvokeArn"), UNKNOWN)
        return promised

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateFunction."""
        wanted: dict[str, Any] = {**_configuration(inputs), "Code": _code(aws, inputs, "CreateFunction")}
        _resolve_image_config(wanted, inputs)
        extra = {
            "Architectures": inputs.get("architectures"),
            "PackageType": inputs["packageType"],
            "Publish": inputs["publish"],
            "Tags": inputs["tagsAll"],
            "EphemeralStorage": {"Size": inputs.get("ephemeralStorage", {}).get("size", 512)},
            "TracingConfig": {"Mode": inputs.get("tracingConfig", {}).get("mode", "PassThrough")},
            "KMSKeyArn": inputs.get("kmsKeyArn"),
        }
        wanted.update({key: value for key, value in extra.items() if value not in (None, [])})
        # Left empty, a member means "take it away", which only an update needs.
        kept = {key: value for key, value in wanted.items() if value not in ("", [], {"Variables": {}})}
        if not inputs.get("vpcConfig"):
            kept.pop("VpcConfig", None)
        aws.client("lambda").create_function(FunctionName=inputs["name"], **kept)
        return str(inputs["name"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """PutFunctionConcurrency, where a number is reserved."""
        _reserve(aws, identifier, inputs["reservedConcurrentExecutions"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetFunction; reserved concurrency comes with it."""
        try:
            found = aws.client("lambda").get_function(FunctionName=identifier)
            reserved = aws.client("lambda").get_function_concurrency(FunctionName=identifier)
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        return {**_state(aws, found), "reservedConcurrentExecutions": _reserved(reserved)}

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateFunctionConfiguration, UpdateFunctionCode where the code changed, concurrency and tags."""
        client = aws.client("lambda")
        fixed = [key for key in _FIXED_HERE if key in new and _plain(old.get(key)) != _plain(new[key])]
        if fixed:
            message = f"the embedded Lambda cannot change {', '.join(fixed)} in place: replace the function"
            raise AwsError("Lambda: UpdateFunctionConfiguration", "NotImplemented", message)
        client.update_function_configuration(FunctionName=identifier, **_configuration(new))
        same_code = all(self._code_same(aws, key, old, new) for key in _CODE)
        if same_code and new["publish"] and _configuration(old) != _configuration(new):
            client.publish_version(FunctionName=identifier)
        if not same_code:
            code = _code(aws, new, "UpdateFunctionCode")
            client.update_function_code(FunctionName=identifier, Publish=new["publish"], **code)
        if old.get("reservedConcurrentExecutions") != new["reservedConcurrentExecutions"]:
            _reserve(aws, identifier, new["reservedConcurrentExecutions"])
        before, after = old.get("tagsAll", {}), new["tagsAll"]
        if removed := sorted(before.keys() - after.keys()):
            client.untag_resource(Resource=old["arn"], TagKeys=removed)
        if after and after != before:
            client.tag_resource(Resource=old["arn"], Tags=after)

    def _code_same(self, aws: Aws, key: str, old: Values, new: Values) -> bool:
        verdict = self.unchanged(aws, key, old, new)
        return old.get(key) == new.get(key) if verdict is None else verdict

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteFunction."""
        if state.get("skipDestroy"):
            return
        try:
            aws.client("lambda").delete_function(FunctionName=identifier)
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


def _content(value: Any) -> bool:
    """Whether anything is said inside a value; false says nothing."""
    if isinstance(value, dict):
        return any(_content(item) for item in value.values())
    return value not in (None, "", [], False)


def _plain(value: Any) -> Any:
    return None if value in (None, "", [], {}, UNKNOWN) else value


def _configuration(inputs: Values) -> dict[str, Any]:
    network = inputs.get("vpcConfig") or {}
    wanted: dict[str, Any] = {
        "Role": inputs["role"],
        "Description": inputs.get("description", ""),
        "MemorySize": inputs["memorySize"],
        "Timeout": inputs["timeout"],
        "Environment": {"Variables": (inputs.get("environment") or {}).get("variables", {})},
        "VpcConfig": {
            "SubnetIds": network.get("subnetIds", []),
            "SecurityGroupIds": network.get("securityGroupIds", []),
        },
    }
    optional = {"Handler": inputs.get("handler"), "Runtime": inputs.get("runtime"), "Layers": inputs.get("layers")}
    return {**wanted, **{key: value for key, value in optional.items() if value is not None}}


def _resolve_image_config(wanted: dict[str, Any], inputs: Values) -> None:
    config = inputs.get("imageConfig")
    if config:
        names = {"commands": "Command", "entryPoints": "EntryPoint", "workingDirectory": "WorkingDirectory"}
        wanted["ImageConfig"] = {names[key]: value for key, value in config.items() if value}


def _code(aws: Aws, inputs: Values, operation: str) -> dict[str, Any]:
    """Return the code as the API takes it, held to Lambda's sizes."""
    archive = inputs.get("code")
    if isinstance(archive, Archive):
        if archives.unpacked_size(archive, aws.folder) > _UNZIPPED_BYTES:
            raise invalid(operation, f"Unzipped size must be smaller than {_UNZIPPED_BYTES} bytes")
        content = archives.pack(archive, aws.folder)
        if len(content) > _ZIPPED_BYTES:
            message = (
                f"Request must be smaller than 70167211 bytes for the {operation} operation ({len(content)} bytes of "
                "code)"
            )
            raise AwsError(f"Lambda: {operation}", "RequestEntityTooLargeException", message)
        return {"ZipFile": content}
    names = {"imageUri": "ImageUri", "s3Bucket": "S3Bucket", "s3Key": "S3Key", "s3ObjectVersion": "S3ObjectVersion"}
    return {api: inputs[key] for key, api in names.items() if inputs.get(key)}


def _reserve(aws: Aws, identifier: str, number: int) -> None:
    client = aws.client("lambda")
    if number < 0:
        client.delete_function_concurrency(FunctionName=identifier)
    else:
        client.put_function_concurrency(FunctionName=identifier, ReservedConcurrentExecutions=number)


def _reserved(answer: Any) -> int:
    number = answer.get("ReservedConcurrentExecutions")
    return -1 if number is None else int(number)


def _state(aws: Aws, found: Any) -> Values:
    config = found["Configuration"]
    arn = config["FunctionArn"]
    gateway = f"arn:{aws.partition}:apigateway:{aws.region}:lambda:path"
    variables = config.get("Environment", {}).get("Variables")
    image = config.get("ImageConfigResponse", {}).get("ImageConfig") or {}
    return {
        "name": config["FunctionName"],
        "arn": arn,
        "qualifiedArn": f"{arn}:{config['Version']}",
        "invokeArn": f"{gateway}/2015-03-31/functions/{arn}/invocations",
        "qualifiedInvokeArn": f"{gateway}/2015-03-31/functions/{arn}:{config['Version']}/invocations",
        "responseStreamingInvokeArn": f"{gateway}/2021-11-15/functions/{arn}/response-streaming-invocations",
        "version": config["Version"],
        "lastModified": config["LastModified"],
        "codeSha256": config["CodeSha256"],
        "sourceCodeHash": config["CodeSha256"],
        "sourceCodeSize": config["CodeSize"],
        "role": config["Role"],
        "description": config.get("Description") or None,
        "handler": config.get("Handler"),
        "runtime": config.get("Runtime"),
        "memorySize": config["MemorySize"],
        "timeout": config["Timeout"],
        "packageType": config["PackageType"],
        "architectures": config.get("Architectures"),
        "environment": {"variables": variables} if variables else None,
        "ephemeralStorage": {"size": config["EphemeralStorage"]["Size"]},
        "tracingConfig": {"mode": config["TracingConfig"]["Mode"]},
        "kmsKeyArn": config.get("KMSKeyArn") or None,
        "layers": [layer["Arn"] for layer in config.get("Layers", [])] or None,
        "imageUri": found.get("Code", {}).get("ImageUri"),
        "imageConfig": {
            key: image[api]
            for key, api in (
                ("commands", "Command"),
                ("entryPoints", "EntryPoint"),
                ("workingDirectory", "WorkingDirectory"),
            )
            if image.get(api)
        }
        or None,
        "vpcConfig": _network(aws, config.get("VpcConfig")),
        "tagsAll": found.get("Tags", {}),
    }


def _network(aws: Aws, config: Any) -> Values | None:
    """Read the VPC of a function; the embedded Lambda makes its id up, so it comes from the subnets."""
    if not config or not config.get("SubnetIds"):
        return None
    subnets = aws.client("ec2").describe_subnets(SubnetIds=config["SubnetIds"][:1])["Subnets"]
    return {
        "subnetIds": config["SubnetIds"],
        "securityGroupIds": config["SecurityGroupIds"],
        "vpcId": subnets[0]["VpcId"],
        "ipv6AllowedForDualStack": False,
    }


DRIVERS: Final = (Function,)
