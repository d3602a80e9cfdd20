"""RDS's record as moto does not keep it: an id for each instance, and parameters that can be told apart and reset.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBParameters.html
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBParameterGroupNotFoundError
from moto.rds.models import DBParameterGroup, RDSBackend
from moto.rds.responses import RDSResponse

from local.patching import Patches

_RESOURCE_ID = string.ascii_uppercase + string.digits
_RESOURCE_ID_LENGTH = 26


def install() -> Patches:
    """Give instances their ids, and answer DescribeDBParameters and ResetDBParameterGroup as RDS does, until undone."""
    patches = Patches()
    create = RDSBackend.create_db_instance

    def create_db_instance(backend: RDSBackend, wanted: Mapping[str, Any]) -> Any:
        instance = create(backend, wanted)
        # moto gives all instances one id
        instance.dbi_resource_id = "db-" + "".join(secrets.choice(_RESOURCE_ID) for _ in range(_RESOURCE_ID_LENGTH))
        return instance

    patches.set(RDSBackend, "create_db_instance", create_db_instance)
    patches.set(RDSResponse, "describe_db_parameters", _describe_db_parameters)
    patches.add(RDSResponse, "reset_db_parameter_group", _reset_db_parameter_group)
    return patches


def _parameter_group(response: Any) -> DBParameterGroup:
    name = response.params.get("DBParameterGroupName")
    found = response.backend.describe_db_parameter_groups({"db_parameter_group_name": name})
    if not found:
        raise DBParameterGroupNotFoundError(name)
    group: DBParameterGroup = found[0]
    return group


def _describe_db_parameters(response: Any) -> ActionResult:
    """DescribeDBParameters: those that were set, of source `user`; RDS's hundreds of others are not known here."""
    own = response.params.get("Source") in (None, "user")
    listed = _parameter_group(response).parameters.values() if own else ()
    told = [{**each, "Source": "user", "IsModifiable": True} for each in listed]
    return ActionResult({"Parameters": told})


def _reset_db_parameter_group(response: Any) -> ActionResult:
    """ResetDBParameterGroup: what was set is the engine's default again."""
    group = _parameter_group(response)
    for each in response.params.get("Parameters", []):
        group.parameters.pop(each["ParameterName"], None)
    if response.params.get("ResetAllParameters"):
        group.parameters.clear()
    return ActionResult({"DBParameterGroupName": group.name})
