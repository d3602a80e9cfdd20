"""The evaluator that decides every call made under a role, and the record of those decisions.

It stands behind moto's single authorisation point. Callers are known by access key: the cloud's own key passes
unrecorded, a key from `Iam.mint` acts as its role, any other is refused as AWS refuses it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flask
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.sts.models import STSBackend

from local import iam_actions, iam_errors, iam_policy, iam_requests, iam_s3, iam_state
from local.clock import Clock
from local.credentials import Credentials
from local.iam_actions import Need, NotModelledError
from local.iam_policy import Access, Principal, UnsupportedPolicyError
from local.iam_presigned import S3SignatureError
from local.iam_requests import Signer
from local.patching import Patches


@dataclass(frozen=True)
class Decision:
    """One permission that was asked for under a role, or by a service through a resource's policy.

    `role` is the role's name, or the service principal; `reason` says which policy decided, in AWS's words;
    `statement` names the policy and the statement in it that matched; `at` is in seconds since the epoch.
    """

    role: str
    action: str
    resource: str
    allowed: bool
    reason: str
    statement: str | None
    session: str
    at: float


class Iam:
    """Callers, decisions and the evaluator of one embedded cloud.

    Parameters
    ----------
    account, region : str
        The cloud's only account and region.
    admin : Credentials
        The cloud's own key; whoever holds it may do anything.
    """

    def __init__(self, account: str, region: str, admin: Credentials, clock: Clock) -> None:
        self.account = account
        self.region = region
        self._admin = admin
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[Credentials, Principal]] = {}
        self._decisions: list[Decision] = []

    @property
    def decisions(self) -> list[Decision]:
        """Every decision so far, in order."""
        with self._lock:
            return list(self._decisions)

    def mint(self, role_arn: str, session_name: str = "local") -> Credentials:
        """Credentials that act as a role, as Lambda's service hands them to a function.

        Parameters
        ----------
        session_name : str
            Last part of the session's ARN; Lambda takes the function's name.

        Raises
        ------
        LookupError
            If there is no such role.
        """
        if not iam_state.role_exists(self.account, role_arn):
            raise LookupError(f"no role {role_arn} to make credentials for")
        credentials = Credentials.new("ASIA", session=True)
        name = role_arn.rsplit("/", 1)[-1]
        principal = Principal(self.account, role_arn, f"arn:aws:sts::{self.account}:assumed-role/{name}/{session_name}")
        with self._lock:
            self._sessions[credentials.access_key_id] = credentials, principal
        return credentials

    def authorize(
        self, role_arn: str, action: str, resource: str, context: Mapping[str, str] | None = None
    ) -> Decision:
        """Decide, and record, one permission of a role for a call that does not pass through moto."""
        name = role_arn.rsplit("/", 1)[-1]
        principal = Principal(self.account, role_arn, f"arn:aws:sts::{self.account}:assumed-role/{name}/local")
        return self._decide(principal, Need(action, resource, context or {}))

    def service_may(self, service: str, action: str, resource: str, source_arn: str) -> Decision:
        """Decide, and record, a service's access to a resource, which only the resource's policy can allow.

        For example `service_may("events.amazonaws.com", "lambda:InvokeFunction", function_arn, rule_arn)`
        (https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html).
        """
        context = {"aws:sourcearn": source_arn, "aws:sourceaccount": self.account, "aws:sourceowner": self.account}
        return self._decide(Principal(self.account, service=service), Need(action, resource, context))

    def install(self) -> Patches:
        """Put the evaluator behind moto's authorisation point, in place of moto's own checks, until that is undone."""
        iam = self

        def authorise(response: Any, iam_request_cls: type, resource: str = "*") -> None:
            iam._authorise(response)

        def get_permission(bucket: Any, action: str, resource: str) -> Any:
            # moto asks a second time, per object of a DeleteObjects, and knows no condition; the evaluator has decided
            denied = resource in flask.g.get("denied_objects", ())
            return PermissionResult.DENIED if denied else PermissionResult.PERMITTED

        def get_caller_identity(backend: Any, access_key_id: str, region: str) -> tuple[str, str, str]:
            with iam._lock:
                known = iam._sessions.get(access_key_id)
            if known is None:
                return whoever(backend, access_key_id, region)  # type: ignore[no-any-return]
            session = known[1].session_arn
            return (
                f"{iam_state.role_id(iam.account, known[1].role_arn)}:{session.rsplit('/', 1)[-1]}",
                session,
                iam.account,
            )

        patches = Patches()
        whoever = patches.set(STSBackend, "get_caller_identity", get_caller_identity)
        patches.set(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorise)
        patches.set(FakeBucket, "get_permission", get_permission)
        return patches

    def _authorise(self, response: Any) -> None:
        service = iam_requests.service_of(response)
        if service == "s3" and response.method == "OPTIONS":
            # a browser's preflight is never signed; the bucket's CORS rules answer it
            return
        try:
            signer = iam_requests.signer(response, service)
            credentials, principal = self._caller(response, service, signer)
            if signer.presigned:
                iam_requests.check_presigned(response, credentials.secret_access_key, self._clock.utcnow())
            if principal is not None:
                self._check(response, service, principal)
        except S3SignatureError as error:
            raise iam_errors.s3_refusal(error.code, error.message, None, **error.elements) from error
        except (NotModelledError, UnsupportedPolicyError) as error:
            raise iam_errors.refusal(response, service, "EmbeddedCloudUnsupported", str(error), 400) from error

    def _caller(self, response: Any, service: str, signer: Signer) -> tuple[Credentials, Principal | None]:
        if signer.access_key_id == self._admin.access_key_id:
            return self._admin, None
        with self._lock:
            known = self._sessions.get(signer.access_key_id)
        if known is None or known[0].session_token != signer.session_token:
            raise iam_requests.unknown_caller(response, service, signer)
        return known

    def _check(self, response: Any, service: str, principal: Principal) -> None:
        if service == "s3":
            request = iam_requests.s3_request(response)
            needed = self._modelled(principal, lambda: iam_s3.needs(request))
            if request.deleted:
                flask.g.denied_objects = {n.resource for n in needed if not self._decide(principal, n).allowed}
                return
        else:
            call = iam_requests.call(response, service, self.account, self.region)
            needed = self._modelled(principal, lambda: iam_actions.needs(call), f"{service}:{call.operation}")
        for need in needed:
            self._require(response, service, principal, need)
        if service == "s3" and (listing := iam_s3.listing_for_missing(request, iam_state.object_exists)):
            self._require(response, service, principal, listing)

    def _modelled(self, principal: Principal, find: Callable[[], list[Need]], action: str = "s3:?") -> list[Need]:
        try:
            return find()
        except NotModelledError as error:
            self._record(principal, action, "*", allowed=False, reason=str(error))
            raise

    def _require(self, response: Any, service: str, principal: Principal, need: Need) -> None:
        decision = self._decide(principal, need)
        if not decision.allowed:
            raise iam_errors.denied(response, service, decision)

    def _decide(self, principal: Principal, need: Need) -> Decision:
        context = {
            "aws:securetransport": "true",  # 127.0.0.1 stands for AWS's TLS endpoints
            "aws:requestedregion": self.region,
            "aws:principalaccount": self.account,
            **need.context,
        }
        if principal.role_arn:
            context["aws:principalarn"] = principal.role_arn
        try:
            identity = iam_state.identity_statements(self.account, principal.role_arn) if principal.role_arn else []
            resource = iam_state.resource_statements(need.resource)
        except UnsupportedPolicyError as error:
            self._record(principal, need.action, need.resource, allowed=False, reason=str(error))
            raise
        verdict = iam_policy.decide(principal, Access(need.action, need.resource, context), identity, resource)
        return self._record(
            principal,
            need.action,
            need.resource,
            allowed=verdict.allowed,
            reason=verdict.reason,
            statement=verdict.statement.source if verdict.statement else None,
        )

    def _record(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        allowed: bool,
        reason: str,
        statement: str | None = None,
    ) -> Decision:
        decision = Decision(
            role=principal.service or principal.role_arn.rsplit("/", 1)[-1],
            action=action,
            resource=resource,
            allowed=allowed,
            reason=reason,
            statement=statement,
            session=principal.session_arn,
            at=self._clock.now(),
        )
        with self._lock:
            self._decisions.append(decision)
        return decision
