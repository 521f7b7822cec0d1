"""Settings for all tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Machines differ in speed and are shared: how long an example takes proves nothing. On the integration server
# the examples are the same in every run, so that a failure there belongs to the change that it tests.
settings.register_profile(
    "steward",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steward")
