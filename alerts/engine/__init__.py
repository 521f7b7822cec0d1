"""The rule engine in columns: one row of state per (rule, point), numpy over all rows at once.

`alerts.scalar` is the same thing one value at a time; it is the specification, and a property test holds
the two together.
"""

from alerts.engine.bind import PointInfo, Row, bind
from alerts.engine.engine import Engine, warm

__all__ = ["Engine", "PointInfo", "Row", "bind", "warm"]
