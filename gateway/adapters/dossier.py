"""The dossier of a case as one signed zip, and its check without a network or the installation.

In the zip: every file, `manifest.json` (SHA-256 and size of each, the slots that are missing, the public key)
and `manifest.sig` (Ed25519, RFC 8032, over the bytes of the manifest). The same case gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import BadInput
from gateway.ports.keys import Keys

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FORMAT = "steward-dossier-1"
MAX_FILE = 1 << 30
_STAMP = (1980, 1, 1, 0, 0, 0)


def pack(files: Mapping[str, bytes], facts: Mapping[str, Any], keys: Keys) -> bytes:
    """The zip. files: by name · facts: join the manifest (case, missing, made_at …)."""
    listed = [
        {"name": n, "size": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()}
        for n in sorted(files)
    ]
    manifest = orjson.dumps(
        {"format": FORMAT, "key": keys.public.hex(), **facts, "files": listed},
        option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2,
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in (*((n, files[n]) for n in sorted(files)), (MANIFEST, manifest),
                           (SIGNATURE, keys.sign(manifest))):  # fmt: skip
            info = zipfile.ZipInfo(name, _STAMP)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            z.writestr(info, data)
    return out.getvalue()


@dataclass
class Verdict:
    """What a check found. faults: [] when every byte is as it was signed · missing: slots without content."""

    case: str = ""
    key: str = ""
    files: int = 0
    missing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def verify(path: Path, key: str = "") -> Verdict:
    """Check hashes and signature of a dossier. key: the public key that is expected (64 hex digits).

    Raises BadInput for a file that is no dossier.
    """
    try:
        with zipfile.ZipFile(path) as z:
            names = z.namelist()
            if MANIFEST not in names or SIGNATURE not in names:
                raise BadInput("is no dossier: manifest or signature is missing", file=str(path), line=1)
            manifest, signature = z.read(MANIFEST), z.read(SIGNATURE)
            facts = orjson.loads(manifest)
            verdict = Verdict(
                str(facts.get("case")), str(facts.get("key")), missing=list(facts.get("missing", ()))
            )
            verdict.faults += _signature_faults(verdict.key, key, manifest, signature)
            verdict.faults += _file_faults(z, names, facts)
            verdict.files = len(facts["files"])
    except (OSError, zipfile.BadZipFile, orjson.JSONDecodeError, KeyError, TypeError, EOFError) as e:
        raise BadInput(
            f"is no dossier: {e}", file=str(path), line=1, hint="give the zip as it was made"
        ) from e
    return verdict


def _signature_faults(given: str, expected: str, manifest: bytes, signature: bytes) -> list[str]:
    if expected and given != expected.lower():
        return [f"signed by {given}, not by {expected}"]
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(given)).verify(signature, manifest)
    except (InvalidSignature, ValueError):
        return ["the signature does not fit the manifest"]
    return []


def _file_faults(z: zipfile.ZipFile, names: list[str], facts: Mapping[str, Any]) -> list[str]:
    faults = []
    listed = {f["name"]: f for f in facts["files"]}
    faults += [f"{n} is twice in the zip" for n in sorted({n for n in names if names.count(n) > 1})]
    faults += [
        f"{n} is not in the manifest" for n in names if n not in listed and n not in (MANIFEST, SIGNATURE)
    ]
    for name, entry in listed.items():
        if name not in names:
            faults.append(f"{name} is missing")
            continue
        if z.getinfo(name).file_size > MAX_FILE:
            faults.append(f"{name} is larger than {MAX_FILE} bytes")
            continue
        try:
            data = z.read(name)
        except (zipfile.BadZipFile, EOFError, OSError) as e:
            faults.append(f"{name} cannot be read: {e}")
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            faults.append(f"{name} was changed")
    return faults
