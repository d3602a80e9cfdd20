"""The plan gate: reads a preview and refuses what the incident was made of, before anything is deployed."""

from ops.guard.preview import Preview, State, parse_preview, parse_state
from ops.guard.report import Report, judge

__all__ = ["Preview", "Report", "State", "judge", "parse_preview", "parse_state"]
