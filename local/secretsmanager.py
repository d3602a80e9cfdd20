"""Secrets Manager as moto does not have it: the version that a moved AWSCURRENT is on is the current one from then on.

moto keeps the current version's id beside the labels and forgets it in UpdateSecretVersionStage, so that the next
PutSecretValue leaves AWSCURRENT on two versions
(https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html).
"""

from __future__ import annotations

from typing import Any

from moto.secretsmanager.models import SecretsManagerBackend

from local.patching import Patches


def install() -> Patches:
    """Let the current version follow its label, until undone."""
    patches = Patches()
    update = SecretsManagerBackend.update_secret_version_stage

    def update_secret_version_stage(
        backend: SecretsManagerBackend,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str,
        move_to_version_id: str,
    ) -> tuple[str, str]:
        answer: tuple[str, str] = update(backend, secret_id, version_stage, remove_from_version_id, move_to_version_id)
        secret: Any = backend.secrets[secret_id]
        for version, kept in secret.versions.items():
            if "AWSCURRENT" in kept["version_stages"]:
                secret.set_default_version_id(version)
        return answer

    patches.set(SecretsManagerBackend, "update_secret_version_stage", update_secret_version_stage)
    return patches
