"""`./bmx pipeline reviewed`: the preview that was reviewed, for the commit that it became."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from ops.errors import UserError
from ops.pipeline.github import GitHub

WORKFLOW = "pull-request.yml"
ARTEFACT = "preview-{stack}"
LARGEST = 64 * 1024 * 1024
_AGAIN = "Run the pull request's workflow once more on its last commit, or deploy through a new pull request."


def reviewed(commit: str, stack: str, out: Path) -> int:
    """Fetch the preview of a stack from the last run of the pull request that was merged as `commit`; 0.

    Raises
    ------
    UserError
        The commit came of no merged pull request, its last commit has no successful run, or the preview is not there or
        not what was kept: then nothing is deployed.
    """
    github = GitHub()
    out.unlink(missing_ok=True)
    head = _head(github, commit)
    runs = github.get(f"actions/workflows/{WORKFLOW}/runs", head_sha=head, event="pull_request", status="success")
    listed = sorted(runs.get("workflow_runs") or [], key=lambda run: int(run["id"]))
    if not listed:
        raise UserError(f"No successful run of {WORKFLOW} is known for {head[:12]}.", _AGAIN, exit_code=1)
    out.write_bytes(_preview(github, int(listed[-1]["id"]), stack, out.name))
    print(f"{stack}: reviewed in run {listed[-1]['id']} of {head[:12]}")  # noqa: T201
    return 0


def _head(github: GitHub, commit: str) -> str:
    merged = [
        pull
        for pull in github.get(f"commits/{commit}/pulls")
        if pull.get("merged_at") and pull.get("merge_commit_sha") == commit
    ]
    if len(merged) != 1:
        raise UserError(
            f"{commit[:12]} is not the merge of one pull request, so nobody reviewed it.", _AGAIN, exit_code=1
        )
    return str(merged[0]["head"]["sha"])


def _preview(github: GitHub, run: int, stack: str, member: str) -> bytes:
    name = ARTEFACT.format(stack=stack)
    kept: list[dict[str, Any]] = [
        each
        for each in github.get(f"actions/runs/{run}/artifacts", name=name).get("artifacts") or []
        if each.get("name") == name and not each.get("expired")
    ]
    if not kept:
        raise UserError(f"The run {run} keeps no {name}, or no longer.", _AGAIN, exit_code=1)
    packed = github.download(f"actions/artifacts/{int(kept[-1]['id'])}/zip")
    digest = kept[-1].get("digest")
    if digest and digest != f"sha256:{hashlib.sha256(packed).hexdigest()}":
        raise UserError(f"{name} is not what the run {run} kept: its hash differs.", _AGAIN, exit_code=1)
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            inside = archive.getinfo("preview.json")
            if inside.file_size > LARGEST:
                raise UserError(f"{name} has more than {LARGEST >> 20} MB; that is no preview.", exit_code=1)
            return archive.read(inside)
    except (zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{name} of the run {run} holds no preview.json for {member}.", _AGAIN, exit_code=1) from error
