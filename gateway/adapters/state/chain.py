"""The event log's leaf format and chain.

Fixed for ever: a later format gets a new `v`, old leaves are never rewritten.

Leaf: the canonical JSON of the object
    {"actor", "asset", "data", "estate", "id", "kind", "subject", "t", "v"}
with exactly these keys: the fields of `model.Event` (strings, `t` an integer of ms UTC, `data` an object)
and `v` = 1, the number of this format. Canonical: keys sorted by code point at every depth, UTF-8 without
escapes that JSON does not demand, no spaces, numbers in the shortest form that reads back the same,
not-a-number and infinity as null. The exact bytes of `data` are stored, so that a verifier hashes what was
written and needs to print no number itself.

Leaf hash (RFC 6962, section 2.1): SHA-256(0x00 || leaf).
Chain of an estate: head_0 = SHA-256("") (the RFC's empty tree),
head_n = SHA-256(0x01 || head_{n-1} || leaf hash_n).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from gateway.errors import BadInput
from gateway.model import Event, Ms

FORMAT = 1
START = hashlib.sha256(b"").digest()

# Numpy scalars may come straight out of a detector's columns; they print as the plain numbers that they are.
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY


def canonical(value: Mapping[str, Any]) -> str:
    """Canonical JSON. Raises BadInput for what JSON cannot say (sets, bytes, keys that are no strings)."""
    try:
        return orjson.dumps(value, option=_OPTIONS).decode()
    except TypeError as error:
        raise BadInput(
            f"not JSON: {error}", field=str(value.get("id", "")), hint="JSON values and text keys only"
        ) from error


class Row(NamedTuple):
    """A stored event: its place, its columns with `data` as written, and the two hashes beside them."""

    seq: int
    id: str
    estate: str
    t: Ms
    kind: str
    subject: str
    asset: str
    actor: str
    data: str
    leaf: bytes
    head: bytes


def leaf_bytes(row: Row) -> bytes:
    """The leaf of a row, with the bytes of `data` as they are."""
    fields = {
        "actor": row.actor,
        "asset": row.asset,
        "data": orjson.Fragment(row.data),
        "estate": row.estate,
        "id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "t": row.t,
        "v": FORMAT,
    }
    return orjson.dumps(fields)


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 leaf hash."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def link(head: bytes, leaf: bytes) -> bytes:
    """The next head of a chain from the last head and a leaf hash."""
    return hashlib.sha256(b"\x01" + head + leaf).digest()


def make_row(event: Event, seq: int, head: bytes) -> Row:
    """The row that follows `head` as number `seq`."""
    row = Row(
        seq,
        event.id,
        event.estate,
        int(event.t),
        event.kind,
        event.subject,
        event.asset,
        event.actor,
        canonical(event.data),
        b"",
        b"",
    )
    leaf = leaf_hash(leaf_bytes(row))
    return row._replace(leaf=leaf, head=link(head, leaf))


def first_bad(rows: Iterable[Row], last: int, head: bytes) -> int | None:
    """The first number at which rows 1… do not follow from one another or do not end at (`last`, `head`)."""
    at, so_far = 0, START
    for row in rows:
        leaf = leaf_hash(leaf_bytes(row))
        so_far = link(so_far, leaf)
        if row.seq != at + 1 or row.leaf != leaf or row.head != so_far:
            return at + 1
        at += 1
    if at != last:
        return min(at, last) + 1
    return None if so_far == head else max(at, 1)
