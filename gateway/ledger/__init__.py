"""The time ledger: availability that can be recomputed to the millisecond. Pure.

`partition` cuts a period into six classes, `figures` sums them, `claims` reads them out of the event log.
"""

from gateway.ledger.figures import Figures, figures, fleet
from gateway.ledger.partition import Claim, Segment, TimeClass, partition

__all__ = ["Claim", "Figures", "Segment", "TimeClass", "figures", "fleet", "partition"]
