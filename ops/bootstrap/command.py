"""`./bmx bootstrap`: state bucket, key, trust in GitHub, roles; made where they are missing, else put right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ops import stack_yaml
from ops.bootstrap.roles import ISSUER, ROLES, Mode, Role, policies, role_name, trust
from ops.display import console_for
from ops.errors import UserError
from ops.paths import ROOT

_REPOSITORY = re.compile(
    r"(?P<owner>[A-Za-z0-9][A-Za-z0-9-]*)(?:@(?P<owner_id>[0-9]+))?/(?P<name>[A-Za-z0-9._-]+)(?:@(?P<id>[0-9]+))?"
)
_MISSING = frozenset(
    {"404", "NoSuchBucket", "NoSuchEntity", "NotFoundException", "NoSuchPublicAccessBlockConfiguration"}
)
_UNSET = frozenset({"NoSuchBucketPolicy", "ServerSideEncryptionConfigurationNotFoundError", *_MISSING})
_CLOSED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
_AUDIENCE = "sts.amazonaws.com"
_WITHOUT_IDS = """\
  If {repository} was made, renamed or transferred after 15 July 2026, no workflow of it is trusted yet. Then run this
  again with the ids, as --repository OWNER@ID/NAME@ID, which this prints:
    gh api repos/{repository} --jq '"\\(.owner.login)@\\(.owner.id)/\\(.name)@\\(.id)"'"""


@dataclass(frozen=True)
class Repository:
    """A repository of GitHub's; its ids and its owner's do not change, and are known or not together."""

    owner: str
    name: str
    owner_id: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def immutable(self) -> str | None:
        """As GitHub writes it into the subjects of repositories that were made or renamed since 15 July 2026.

        Source: GitHub's changelog of 23 April 2026, "Immutable subject claims for GitHub Actions OIDC tokens".
        """
        return f"{self.owner}@{self.owner_id}/{self.name}@{self.id}" if self.id else None

    @property
    def values(self) -> dict[str, str]:
        """What the roles' trust policies are filled with."""
        named = {"REPOSITORY": str(self)}
        if self.immutable is None or self.id is None:
            return named
        return {**named, "IMMUTABLE_REPOSITORY": self.immutable, "REPOSITORY_ID": self.id}


@dataclass(frozen=True)
class Plan:
    """What is known of the environment before AWS is asked: from its stack's file."""

    environment: str
    repository: Repository
    region: str
    prefix: str
    mode: Mode
    accounts: tuple[str, ...]


def plan(environment: str, repository: str, folder: Path = ROOT) -> Plan:
    """Read ``Pulumi.ENVIRONMENT.yaml``.

    Raises
    ------
    UserError
        No such file, or it lacks what is needed; no ``OWNER/NAME``.
    """
    named = _REPOSITORY.fullmatch(repository)
    if named is None or bool(named["owner_id"]) != bool(named["id"]):
        raise UserError(
            f"{repository!r} is no repository.",
            "Write --repository OWNER/NAME, or OWNER@ID/NAME@ID with both ids, as GitHub spells it.",
        )
    file = folder / f"Pulumi.{environment}.yaml"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", environment) or environment == "local" or not file.is_file():
        raise UserError(f"There is no environment {environment!r} on AWS: no {file.name} here.")
    try:
        config = stack_yaml.read(file)["config"]
        mode = config["bluemoxon:database"]["mode"]
        found = Plan(
            environment,
            Repository(**named.groupdict()),
            config["aws:region"],
            config["bluemoxon:prefix"],
            mode,
            tuple(str(account) for account in config["aws:allowedAccountIds"]),
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{file.name} does not say region, prefix, accounts and the database's mode: {error}") from None
    if mode not in get_args(Mode):
        raise UserError(f"{file.name}: the database's mode is {mode!r}; it is one of {', '.join(get_args(Mode))}.")
    return found


def run(environment: str, repository: str, *, dry_run: bool) -> int:
    """Make what is missing, say what was made and what comes next; 0.

    Raises
    ------
    UserError
        The environment is not known, the credentials are another account's, or AWS refused.
    """
    import boto3  # noqa: PLC0415  takes a second to import
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    console = console_for()
    wanted = plan(environment, repository)
    try:
        Bootstrap(
            wanted,
            lambda service: boto3.client(service, region_name=wanted.region),  # type: ignore[call-overload]
            lambda what: console.print(what, markup=False, soft_wrap=True),
            dry_run=dry_run,
        ).run()
    except (BotoCoreError, ClientError) as error:
        raise UserError(
            f"AWS refused: {error}", "Mend that and run it again: what is made stays.", exit_code=1
        ) from error
    return 0


class Bootstrap:
    """One environment's.

    Parameters
    ----------
    wanted
        The environment.
    client
        Makes boto3's client of a service.
    say
        Told of every change and of what comes next.
    dry_run
        Whether to only look.
    """

    def __init__(
        self, wanted: Plan, client: Callable[[str], Any], say: Callable[[str], None], *, dry_run: bool = False
    ) -> None:
        self.plan, self.say, self.dry_run = wanted, say, dry_run
        self.s3, self.kms, self.iam = client("s3"), client("kms"), client("iam")
        self.account = str(client("sts").get_caller_identity()["Account"])
        if self.account not in wanted.accounts:
            raise UserError(
                f"These credentials are of the account {self.account}; {wanted.environment} lies in "
                f"{', '.join(wanted.accounts)}.",
                "Choose that account's credentials, for instance by AWS_PROFILE.",
            )
        # Neither begins with the prefix: what does, the deployment may change.
        self.bucket = f"bmx-{wanted.prefix}-state-{self.account}"
        self.alias = f"alias/bmx-{wanted.prefix}-state"
        self.changes = 0

    def run(self) -> None:
        """Make and hold everything to form, then say what comes next."""
        key = self._key()
        self._bucket(key)
        self._provider()
        if self.plan.mode == "managed":
            self._role_of_rds()
        values = {
            "ACCOUNT": self.account,
            "REGION": self.plan.region,
            "PREFIX": self.plan.prefix,
            "STATE_BUCKET": self.bucket,
            "STATE_KEY": key,
            **self.plan.repository.values,
        }
        for role in ROLES:
            self._role(role, values)
        if not self.changes:
            self.say("everything is there, as it should be")
        self._next()

    def _change(self, what: str, work: Callable[[], Any]) -> Any:
        self.changes += 1
        self.say(f"{'would be made' if self.dry_run else 'made'}: {what}")
        return None if self.dry_run else work()

    def _found(self, read: Callable[[], Any], missing: frozenset[str] = _MISSING) -> Any:
        """What `read` gives, or None where AWS says that there is none."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            return read()
        except ClientError as error:
            if error.response["Error"]["Code"] in missing:
                return None
            raise

    def _hold(self, what: str, is_so: object, should_be: object, work: Callable[[], Any]) -> None:
        if is_so != should_be:
            self._change(what, work)

    def _key(self) -> str:
        described = self._found(lambda: self.kms.describe_key(KeyId=self.alias))
        if described is None:
            made = self._change(
                f"KMS key {self.alias}",
                lambda: self.kms.create_key(Description=f"State of {self.plan.prefix}: its bucket and its secrets"),
            )
            if made is None:
                self._change("rotation of the key", lambda: None)
                return "the-new-key"
            described = made
            self.kms.create_alias(AliasName=self.alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
        key = str(described["KeyMetadata"]["KeyId"])
        rotates = self.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
        self._hold("rotation of the key", rotates, True, lambda: self.kms.enable_key_rotation(KeyId=key))
        return key

    def _bucket(self, key: str) -> None:
        name: dict[str, str] = {"Bucket": self.bucket}
        if self._found(lambda: self.s3.head_bucket(**name)) is None:
            where = {"CreateBucketConfiguration": {"LocationConstraint": self.plan.region}}
            home = {} if self.plan.region == "us-east-1" else where
            self._change(f"bucket {self.bucket}", lambda: self.s3.create_bucket(**name, **home))
        versioning = {"Status": "Enabled"}
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        sealed = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]}
        policy = self._tls_only()
        is_so = self._found(lambda: self.s3.get_bucket_versioning(**name)) or {}
        self._hold(
            "versions of the bucket",
            is_so.get("Status"),
            "Enabled",
            lambda: self.s3.put_bucket_versioning(**name, VersioningConfiguration=versioning),
        )
        is_so = self._found(lambda: self.s3.get_bucket_encryption(**name), _UNSET) or {
            "ServerSideEncryptionConfiguration": {}
        }
        self._hold(
            "encryption of the bucket",
            [
                each.get("ApplyServerSideEncryptionByDefault")
                for each in is_so["ServerSideEncryptionConfiguration"].get("Rules", [])
            ],
            [rule],
            lambda: self.s3.put_bucket_encryption(**name, ServerSideEncryptionConfiguration=sealed),
        )
        is_so = self._found(lambda: self.s3.get_public_access_block(**name), _UNSET) or {}
        self._hold(
            "the bucket's block of public access",
            is_so.get("PublicAccessBlockConfiguration"),
            _CLOSED,
            lambda: self.s3.put_public_access_block(**name, PublicAccessBlockConfiguration=_CLOSED),
        )
        is_so = self._found(lambda: self.s3.get_bucket_policy(**name), _UNSET) or {"Policy": "null"}
        self._hold(
            "the bucket's policy (TLS only)",
            json.loads(is_so["Policy"]),
            policy,
            lambda: self.s3.put_bucket_policy(**name, Policy=json.dumps(policy)),
        )

    def _tls_only(self) -> dict[str, Any]:
        arn = f"arn:aws:s3:::{self.bucket}"
        statement = {
            "Sid": "OnlyByTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    def _provider(self) -> None:
        arn = f"arn:aws:iam::{self.account}:oidc-provider/{ISSUER}"
        found = self._found(lambda: self.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))
        if found is None:
            # No thumbprint: IAM trusts GitHub by its own list of authorities.
            self._change(
                f"identity provider {ISSUER}",
                lambda: self.iam.create_open_id_connect_provider(Url=f"https://{ISSUER}", ClientIDList=[_AUDIENCE]),
            )
        elif _AUDIENCE not in found["ClientIDList"]:
            self._change(
                f"audience {_AUDIENCE} of {ISSUER}",
                lambda: self.iam.add_client_id_to_open_id_connect_provider(
                    OpenIDConnectProviderArn=arn, ClientID=_AUDIENCE
                ),
            )

    def _role_of_rds(self) -> None:
        # RDS makes it for the account's first instance if the caller may; the deployment may make no such role.
        # "Using service-linked roles for Amazon RDS", section "Service-linked role permissions".
        if not self.iam.list_roles(PathPrefix="/aws-service-role/rds.amazonaws.com/")["Roles"]:
            self._change(
                "role AWSServiceRoleForRDS, which an account's first RDS instance takes",
                lambda: self.iam.create_service_linked_role(AWSServiceName="rds.amazonaws.com"),
            )

    def _role(self, role: Role, values: dict[str, str]) -> None:
        name = role_name(role, self.plan.prefix)
        trusted, wanted = trust(role, values, self.plan.environment), policies(role, self.plan.mode, values)
        found = self._found(lambda: self.iam.get_role(RoleName=name))
        if found is None:
            self._change(f"role {name}", lambda: self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted))
        else:
            self._hold(
                f"trust of {name}",
                found["Role"]["AssumeRolePolicyDocument"],
                json.loads(trusted),
                lambda: self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusted),
            )
        there = (self._found(lambda: self.iam.list_role_policies(RoleName=name)) or {"PolicyNames": []})["PolicyNames"]
        for policy, text in wanted.items():
            is_so = self.iam.get_role_policy(RoleName=name, PolicyName=policy) if policy in there else {}
            self._hold(
                f"policy {policy} of {name}",
                is_so.get("PolicyDocument"),
                json.loads(text),
                lambda policy=policy, text=text: self.iam.put_role_policy(  # type: ignore[misc]
                    RoleName=name, PolicyName=policy, PolicyDocument=text
                ),
            )
        for policy in sorted(set(there) - set(wanted)):  # of another mode, or by hand
            self._change(
                f"{name} without the policy {policy}",
                lambda policy=policy: self.iam.delete_role_policy(RoleName=name, PolicyName=policy),  # type: ignore[misc]
            )

    def _next(self) -> None:
        region, environment = self.plan.region, self.plan.environment
        self.say("Next:")
        self.say(f"  pulumi login 's3://{self.bucket}?region={region}'")
        self.say(f"  pulumi stack init {environment} --secrets-provider 'awskms://{self.alias}?region={region}'")
        self.say(f"  git commit Pulumi.{environment}.yaml   # now with secretsprovider and encryptedkey")
        if self.plan.repository.immutable is None:
            self.say(_WITHOUT_IDS.format(repository=self.plan.repository))
        for role in ROLES:
            if role.github is not None:
                self.say(
                    f"  GitHub environment {environment}{role.github}: "
                    f"AWS_ROLE_ARN=arn:aws:iam::{self.account}:role/{role_name(role, self.plan.prefix)} "
                    f"PULUMI_BACKEND_URL=s3://{self.bucket}?region={region}"
                )
