"""Fetches the vendored browser files anew and rewrites the notes beside them. For maintainers; needs npm.

`python scripts/vendor.py` refreshes every file that a VENDOR.toml names, at the version it names, and prints
what changed. Users never run it: the files are in the repository.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "dashboards/static/vendor", ROOT / "tests/e2e/vendor")


def packed(name: str, version: str) -> bytes:
    """The package's archive, as `npm pack` gives it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{name}@{version}", "--silent"]
        out = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return (Path(folder) / out.stdout.split()[-1]).read_bytes()


def refresh(folder: Path) -> int:
    """Write each named file from its archive; how many differ from the note."""
    note = tomllib.loads((folder / "VENDOR.toml").read_text(encoding="utf-8"))
    changed = 0
    for package in note["package"]:
        with tarfile.open(fileobj=io.BytesIO(packed(package["name"], package["version"]))) as archive:
            for file in package["file"]:
                member = archive.extractfile(f"package/{file['source']}")
                assert member is not None, file["source"]
                data = member.read()
                (folder / file["path"]).write_bytes(data)
                found = hashlib.sha256(data).hexdigest()
                if found != file["sha256"]:
                    changed += 1
                    print(f"{file['path']}: sha256 is {found}; the note says {file['sha256']}")
    return changed


if __name__ == "__main__":
    sys.exit(1 if sum(refresh(folder) for folder in FOLDERS) else 0)
