"""Detectors on series that are already there: what the live rules would have said."""

from __future__ import annotations

from alerts.detect.channels import Explained, explain_channels, score_channels

__all__ = ["Explained", "explain_channels", "score_channels"]
