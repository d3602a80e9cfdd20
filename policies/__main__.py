"""The pack's process: constructing it serves, and returns only at its end; so nothing else is here."""

import sys
from pathlib import Path

# Run as a folder, by `pulumi --policy-pack policies` and by ./bmx: Python then looks into the folder alone.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pulumi_policy import PolicyPack  # noqa: E402

from policies.pack import NAME, policies  # noqa: E402
from policies.waivers import WaiverError  # noqa: E402

try:
    PolicyPack(NAME, policies())
except WaiverError as refusal:
    sys.exit(f"policies: {refusal}")
