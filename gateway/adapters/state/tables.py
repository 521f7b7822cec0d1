"""The tables. JSON is kept as text; times are ms UTC; nothing here is special to one database."""

from __future__ import annotations

import sqlalchemy as sa

meta = sa.MetaData()

# SQLite numbers rows by itself only in a column of type INTEGER.
_Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")

events = sa.Table(
    "events",
    meta,
    sa.Column("n", _Serial, primary_key=True),
    sa.Column("estate", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("t", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("estate", "seq", name="events_estate_seq"),
    sa.Index("events_subject", "subject"),
    sa.Index("events_asset", "asset", "t"),
    sa.Index("events_t", "estate", "t"),
    sqlite_autoincrement=True,
)

chains = sa.Table(
    "chains",
    meta,
    sa.Column("estate", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
)

records = sa.Table(
    "records",
    meta,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("estate", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("records_estate", "kind", "estate"),
)

series = sa.Table(
    "series",
    meta,
    sa.Column("id", _Serial, primary_key=True),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("tag", sa.Text, nullable=False),
    sa.UniqueConstraint("asset", "tag", name="series_asset_tag"),
    sqlite_autoincrement=True,
)

applied = sa.Table(
    "applied",
    meta,
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("boot", sa.Text, primary_key=True),
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)

journal = sa.Table(
    "journal",
    meta,
    sa.Column("n", _Serial, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("t", sa.BigInteger, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

notices = sa.Table(
    "notices",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("estate", sa.Text, nullable=False),
    sa.Column("t", sa.BigInteger, nullable=False),
    sa.Column("life", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Index("notices_state", "state", "next_at"),
)

receipts = sa.Table(
    "receipts",
    meta,
    sa.Column("n", _Serial, primary_key=True),
    sa.Column("notice", sa.Text, sa.ForeignKey("notices.id"), nullable=False, index=True),
    sa.Column("t", sa.BigInteger, nullable=False),
    sa.Column("ok", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

commands = sa.Table(
    "commands",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("answer", sa.Text, nullable=False),
)

users = sa.Table(
    "users",
    meta,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
)

sessions = sa.Table(
    "sessions",
    meta,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
)
