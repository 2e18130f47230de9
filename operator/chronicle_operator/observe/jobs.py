"""What a Job says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_complete(job: Mapping[str, Any]) -> bool:
    """Whether a Job has done its work."""
    return _has(job, "Complete")


def has_failed(job: Mapping[str, Any]) -> bool:
    """Whether a Job has given up."""
    return _has(job, "Failed")


def _has(job: Mapping[str, Any], condition: str) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(it.get("type") == condition and it.get("status") == "True" for it in conditions)
