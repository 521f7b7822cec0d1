"""Writes examples/demo.yaml: the site file of the demonstration with one estate."""

from __future__ import annotations

import sys
from pathlib import Path

from simulators.layout import demo_layout
from simulators.serve import BASE_PORT, planned_lines
from simulators.site import site_dict, site_yaml

SERIAL_FOLDER = "/tmp/steward-lines"  # noqa: S108 - names of pseudo-terminals, chosen by whoever starts them
COMMENT = f"""\
The demonstration estate, as the simulators serve it with
  python -m simulators.run demo --port {BASE_PORT} --folder {SERIAL_FOLDER}
Written by `python -m simulators.examples`; examples/small.yaml is the one to start from by hand."""


def demo_yaml() -> str:
    """The text of examples/demo.yaml."""
    layout = demo_layout(1)
    return site_yaml(site_dict(layout, planned_lines(layout, SERIAL_FOLDER)), COMMENT)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "examples/demo.yaml")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(demo_yaml(), encoding="utf-8")
