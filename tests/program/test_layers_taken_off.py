"""Each layer of the database's lock deleted from a copy of the program: which tests of the program fail there.

`ops/matrix_layers.py` has what then comes of the password; here the layer must be missed before anything is deployed.
"""

import os
import shutil
import subprocess
import sys

import pytest

from ops.matrix_layers import (
    BEFORE_DELETE,
    BEFORE_UPDATE,
    DELETE_BEFORE_REPLACE,
    DELETION_PROTECTION_LAYER,
    IGNORE_LIST,
    PROTECT,
)
from ops.matrix_rows import Edit
from ops.paths import ROOT
from ops.program_copy import copy_of_the_program, edit

SUITE = "tests/program/test_program_database.py"
LOCKED = {"test_the_instance_has_every_lock[local]", "test_the_instance_has_every_lock[staging]"}
GUARDED = {"test_a_new_instance_is_guarded_on_aws_too"}
ADOPTED = {"test_an_adopted_instance_is_told_nothing_about_its_password"}
USER = {
    "test_another_master_user_is_refused_with_the_sentence_and_nothing_is_touched[preview]",
    "test_another_master_user_is_refused_with_the_sentence_and_nothing_is_touched[up]",
}
BEFORE_ANYTHING = {"test_a_forced_replacement_is_refused_before_anything_is_made"}
PROTECTED = {"test_a_forced_replacement_is_refused_by_protection_too"}
ALL = LOCKED | GUARDED | ADOPTED | USER | BEFORE_ANYTHING | PROTECTED

_DATABASE = "components/database.py"
_SNAPSHOT = (
    '            skip_final_snapshot=False,\n            final_snapshot_identifier=final_snapshot,\n'
)  # fmt: skip
#: Of each layer, how it is deleted and which tests then fail; with nothing deleted all of them pass.
WITHOUT: dict[str, tuple[tuple[Edit, ...], set[str]]] = {
    "nothing": ((), set()),
    "protect": (PROTECT.edits, LOCKED | ADOPTED | PROTECTED),
    "ignore_changes": (IGNORE_LIST.edits, LOCKED),
    "delete_before_replace": (DELETE_BEFORE_REPLACE.edits, BEFORE_ANYTHING),
    "before_update": (BEFORE_UPDATE.edits, LOCKED | USER),
    "before_delete": (BEFORE_DELETE.edits, LOCKED | ADOPTED | BEFORE_ANYTHING),
    "deletion_protection": (DELETION_PROTECTION_LAYER.edits, GUARDED),
    "final snapshot": ((Edit(_DATABASE, _SNAPSHOT, ""),), GUARDED),
    "encryption": ((Edit(_DATABASE, "            storage_encrypted=True,\n", ""),), LOCKED),
}


@pytest.mark.slow
@pytest.mark.parametrize("layer", WITHOUT)
def test_without_a_layer_of_the_lock_these_tests_fail(layer, tmp_path):
    edits, failing = WITHOUT[layer]
    project = copy_of_the_program(tmp_path / "program")
    for part in ("local", "ops", "policies", "samples", "tests"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__", "*.jpg", "*.png"))
    shutil.copy2(ROOT / "pyproject.toml", project)
    for change in edits:
        edit(project, change.file, change.before, change.after)
    names = failing or ALL
    chosen = [f"{SUITE}::{name}" for name in sorted(names)]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, "-q", "-rA", "--tb=no", "-p", "no:cacheprovider"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(project)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    said = dict(line.split(" - ")[0].split(f" {SUITE}::")[::-1] for line in ran.stdout.splitlines() if SUITE in line)
    assert said == dict.fromkeys(names, "FAILED" if failing else "PASSED"), ran.stdout[-3000:] + ran.stderr
