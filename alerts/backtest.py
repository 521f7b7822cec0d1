"""Detectors on series that are already there: what the live rules would have said."""

from __future__ import annotations

from alerts.detect.channels import Explained, explain_channels, score_channels
from alerts.detect.series import ALARM, DETECTORS, Detector, alarms, expectations, score

__all__ = [
    "ALARM", "DETECTORS", "Detector", "Explained", "alarms", "expectations", "explain_channels", "score",
    "score_channels",
]  # fmt: skip
