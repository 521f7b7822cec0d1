"""A copy of the data directory while it is in use, and back.

In the copy: state.db and the samples by their stores, every other SQLite file by SQLite's own backup,
attachments/, snapshots/ and the site file as files, the broker's ports and users and the edges' keys (without
them every edge on another machine would have to be enrolled again), the keys of the installation (without
them no code on a facility and no signature would hold) and its TLS authority, and manifest.json with the size
and SHA-256 of each.
Outboxes of edges that stand still come first; a running edge keeps its own to itself, and empties it into the
state within seconds. The state is copied before the samples: these are then never older, which is the order
of a crash between the core's two steps, and the start after a restore goes the same way as after a crash. Not
in it: the broker's folder (what it holds was taken, or comes again from the edges) and locks.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import orjson

from gateway.adapters.files import replaced, sync
from gateway.adapters.lockfile import NAME as LOCK
from gateway.adapters.lockfile import DataLock
from gateway.errors import BadInput, Permanent
from gateway.model import Ms
from gateway.ports import SampleStore, StateStore

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
SITE = "site"
"""Folder of the site file in the copy."""
FORMAT = 1
_FOLDERS = ("attachments", "snapshots", "keys", "tls")
_BY_STORE = ("state.db",)
_PRIVATE = ("broker.json", "broker-users.json", "edge-keys.json")
_PRIVATE_FOLDERS = ("keys/", "tls/")


def backup(
    data_dir: str | Path,
    target: str | Path,
    state: StateStore,
    samples: SampleStore,
    *,
    now: Ms,
    site: Iterable[Path] = (),
) -> dict[str, int]:
    """Copy into `target`, which must be empty or absent; file names and sizes of the copy.

    `now` is written into the manifest; `site`: the site file and what it includes. Raises BadInput for a
    target with something in it.
    """
    source, copy = Path(data_dir), Path(target)
    if copy.exists() and any(copy.iterdir()):
        raise BadInput(f"{copy} is not empty", hint="give the backup a new directory")
    copy.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("edge/*/*.db")):
        if _in_use(path):
            continue
        there = copy / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        _copy_sqlite(path, there)
    state.backup(str(copy))
    samples.backup(str(copy))
    for path in sorted(source.glob("*.db")):
        if path.name not in _BY_STORE and not (copy / path.name).exists():
            _copy_sqlite(path, copy / path.name)
    for path in site:
        (copy / SITE).mkdir(exist_ok=True)
        shutil.copyfile(path, copy / SITE / path.name)
    for name in _PRIVATE:
        if (source / name).is_file():
            (copy / name).touch(mode=0o600)
            shutil.copyfile(source / name, copy / name)
    for name in _FOLDERS:
        if (source / name).is_dir():
            shutil.copytree(source / name, copy / name)
    files = {str(p.relative_to(copy)): _described(p) for p in _files(copy)}
    with replaced(copy / MANIFEST) as half:
        half.write_bytes(
            orjson.dumps({"format": FORMAT, "t": now, "files": files}, option=orjson.OPT_INDENT_2)
        )
    return {name: int(described["size"]) for name, described in files.items()}


def check(source: str | Path) -> dict[str, int]:
    """File names and sizes of a copy that is whole. Raises Permanent, naming the first file that is not."""
    folder = Path(source)
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise Permanent(f"{folder}: no backup, or one that was cut short ({MANIFEST}: {error})") from error
    if manifest["format"] > FORMAT:
        raise Permanent(f"{folder}: made by a newer Steward (format {manifest['format']}); install that")
    for name, described in manifest["files"].items():
        path = folder / name
        if not path.is_file() or _described(path) != described:
            raise Permanent(f"{path}: missing or changed since the backup; use another copy")
    return {name: int(described["size"]) for name, described in manifest["files"].items()}


def restore(source: str | Path, data_dir: str | Path) -> dict[str, int]:
    """Put a checked copy into an empty or absent data directory; file names and sizes.

    Raises InUse when a Steward works there, BadInput when there is something in it, Permanent for a copy that
    is not whole. After an exception the directory is empty again.
    """
    files, target = check(source), Path(data_dir)
    with DataLock(target):
        if there := sorted(p.name for p in target.iterdir() if p.name != LOCK):
            raise BadInput(
                f"{target} is not empty ({', '.join(there[:5])})",
                hint="restore into a new directory, or move these",
            )
        try:
            for name in files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(source) / name, target / name)
                sync(target / name)
            for name in files:
                if name in ("state.db", *_PRIVATE) or name.startswith(_PRIVATE_FOLDERS):
                    (target / name).chmod(0o600)
        except BaseException:
            for path in target.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            raise
        sync(target)
    return files


def _in_use(path: Path) -> bool:
    """Whether a process holds the file for itself."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)) as con:
            con.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.OperationalError:
        log.info("outbox of a running edge is not copied path=%s", path)
        return True
    return False


def _copy_sqlite(path: Path, copy: Path) -> None:
    """Consistent whatever its owner does meanwhile."""
    with replaced(copy) as half, closing(sqlite3.connect(half)) as into:
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source:
                source.backup(into)
        except sqlite3.Error as error:
            raise Permanent(f"{path}: cannot be copied ({error})") from error


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)


def _described(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
