"""The rules one value at a time: the specification of `alerts.engine` and the oracle of its tests."""

from alerts.scalar.engine import ScalarEngine

__all__ = ["ScalarEngine"]
