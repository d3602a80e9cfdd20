"""RDS's groups as moto does not have them: they stay while an instance is in them, and an instance has to suit them.

What moto lets pass and RDS refuses decides whether a replacement can be deployed: which of two groups goes first, what
a major upgrade needs, and where an instance may move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.rds.exceptions import DBSubnetGroupNotFoundError, RDSClientError
from moto.rds.models import DBInstance, RDSBackend

from local.patching import Patches

_POSTGRES = "postgres"


def install() -> Patches:
    """Hold parameter groups and subnet groups to their instances, and the other way round, until undone."""
    patches = Patches()
    delete_parameters, delete_subnets = RDSBackend.delete_db_parameter_group, RDSBackend.delete_subnet_group
    modify_subnets, modify = RDSBackend.modify_db_subnet_group, RDSBackend.modify_db_instance

    def delete_db_parameter_group(backend: RDSBackend, db_parameter_group_name: str) -> Any:
        if any(each.db_parameter_group_name == db_parameter_group_name for each in backend.databases.values()):
            raise RDSClientError(
                "InvalidDBParameterGroupState",
                "One or more database instances are still members of this parameter group "
                f"{db_parameter_group_name}, so the group cannot be deleted",
            )
        return delete_parameters(backend, db_parameter_group_name)

    def delete_subnet_group(backend: RDSBackend, subnet_name: str) -> Any:
        for name, instance in backend.databases.items():
            if _subnet_group(instance) == subnet_name:
                raise RDSClientError(
                    "InvalidDBSubnetGroupStateFault",
                    f"Cannot delete the subnet group '{subnet_name}' because at least one database instance: {name} "
                    "is still using it.",
                )
        return delete_subnets(backend, subnet_name)

    def modify_db_subnet_group(backend: RDSBackend, subnet_name: str, description: str, subnets: list[Any]) -> Any:
        if subnet_name not in backend.subnet_groups:
            raise DBSubnetGroupNotFoundError(subnet_name)
        group = backend.subnet_groups[subnet_name]
        if any(subnet.vpc_id != group.vpc_id for subnet in subnets):
            raise RDSClientError(
                "InvalidParameterValue", "The new Subnets are not in the same Vpc as the existing subnet group"
            )
        changed = modify_subnets(backend, subnet_name, description, subnets)
        backend.subnet_groups[subnet_name] = changed  # moto forgets the group that it changed
        return changed

    def modify_db_instance(backend: RDSBackend, identifier: str, wanted: Mapping[str, Any]) -> Any:
        instance = backend.describe_db_instances(identifier)[0]
        _check_move(backend, instance, wanted.get("db_subnet_group_name"))
        _check_upgrade(backend, instance, wanted)
        return modify(backend, identifier, wanted)

    patches.set(RDSBackend, "delete_db_parameter_group", delete_db_parameter_group)
    patches.set(RDSBackend, "delete_subnet_group", delete_subnet_group)
    patches.set(RDSBackend, "modify_db_subnet_group", modify_db_subnet_group)
    patches.set(RDSBackend, "modify_db_instance", modify_db_instance)
    return patches


def _check_move(backend: RDSBackend, instance: DBInstance, wanted: str | None) -> None:
    """Refuse another subnet group of the VPC that the instance is in.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.VPC2VPC.html
    """
    before = _subnet_group(instance)
    if not wanted or not before or wanted == before:
        return
    if backend.describe_db_subnet_groups(wanted)[0].vpc_id == backend.describe_db_subnet_groups(before)[0].vpc_id:
        raise RDSClientError(
            "InvalidVPCNetworkStateFault",
            f"You cannot move DB instance {instance.db_instance_identifier} to subnet group {wanted}. The specified DB "
            "subnet group and DB instance are in the same VPC. Choose a DB subnet group in different VPC than the "
            "specified DB instance and try again.",
        )


def _check_upgrade(backend: RDSBackend, instance: DBInstance, wanted: Mapping[str, Any]) -> None:
    """Refuse a major version that is not allowed for, and a parameter group of another one.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html, AllowMajorVersionUpgrade
    """
    if instance.engine != _POSTGRES:
        return
    before, after = _major(instance.engine_version), _major(wanted.get("engine_version") or instance.engine_version)
    if after != before and not wanted.get("allow_major_version_upgrade"):
        raise RDSClientError(
            "InvalidParameterCombination",
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.",
        )
    name = wanted.get("db_parameter_group_name") or instance.db_parameter_group_name
    group = backend.db_parameter_groups.get(name or "")
    family = f"{_POSTGRES}{after}"
    if group is not None and group.family != family:
        raise RDSClientError(
            "InvalidParameterCombination",
            f"The parameter group {name} with DBParameterGroupFamily {group.family} can't be used for this instance. "
            f"Use a parameter group with DBParameterGroupFamily {family}.",
        )


def _subnet_group(instance: DBInstance) -> str | None:
    group = getattr(instance, "db_subnet_group", None)  # an instance made without one has no such attribute
    return group.name if group else None


def _major(version: str) -> str:
    return version.partition(".")[0]
