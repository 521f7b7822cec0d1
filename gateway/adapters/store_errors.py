"""What can go wrong with a file that holds data, in words for the person at the machine.

Retryable: StoreLocked, StoreFull, StoreFailed. Permanent: StoreDamaged, StoreTooNew, InUse.
"""

from __future__ import annotations

from gateway.errors import Permanent, Retryable


class StoreLocked(Retryable):
    """Another process holds the file, or a transaction waited too long for it."""


class StoreFull(Retryable):
    """No room on the disk; nothing of the transaction was kept."""


class StoreFailed(Retryable):
    """The store could not be reached or the disk failed; nothing of the transaction was kept."""


class StoreDamaged(Permanent):
    """The file cannot be read any more; the message names it and what to do."""


class StoreTooNew(Permanent):
    """A newer Steward wrote the file."""


class InUse(Permanent):
    """Another Steward works on this data directory."""
