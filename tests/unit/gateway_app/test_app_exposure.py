"""Plain text to other machines is refused where the site file does not say that it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.adapters import tls_authority as authority
from gateway.adapters.tls import TlsPlaces
from gateway.app.exposure import plain, refuse_plain
from gateway.config.site import Site, load_site
from gateway.errors import Problems

SMALL = Path(__file__).resolve().parents[3] / "examples" / "small.yaml"
ALL = "0.0.0.0"
HERE = "127.0.0.1"


def site(folder: Path, **more: Any) -> Site:
    data = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    data |= more
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return load_site(path)


@pytest.mark.parametrize(
    ("web", "broker", "url", "spoken"),
    [
        (HERE, HERE, "", {}),
        (ALL, HERE, "", {"web": ALL}),
        ("10.0.0.5", ALL, "", {"web": "10.0.0.5", "broker": ALL}),
        (HERE, HERE, "mqtt://10.0.0.9:1883", {"broker": "10.0.0.9"}),
        (HERE, HERE, "mqtt://127.0.0.1:1883", {}),
        (HERE, ALL, "mqtts://10.0.0.9:8883", {}),
    ],
)
def test_what_leaves_the_machine_must_be_wanted(
    tmp_path: Path, web: str, broker: str, url: str, spoken: dict[str, str]
) -> None:
    hosts = {"web_host": web, "broker_host": broker}
    silent = site(tmp_path, broker={"url": url})
    assert plain(silent, tmp_path, **hosts) == spoken
    if spoken:
        with pytest.raises(Problems) as caught:
            refuse_plain(silent, tmp_path, **hosts)
        fields = {p.field.split(".")[0] for p in caught.value.problems}
        assert fields == set(spoken)
        assert all("plain: true" in p.hint and "plain text" in p.message for p in caught.value.problems)
    else:
        refuse_plain(silent, tmp_path, **hosts)
    told = site(tmp_path, broker={"url": url, "plain": True}, web={"plain": True})
    refuse_plain(told, tmp_path, **hosts)
    assert plain(told, tmp_path, **hosts) == spoken, "what is wanted is still shown"


def test_certificates_make_it_right(tmp_path: Path) -> None:
    authority.make(TlsPlaces(tmp_path), [], 1_790_000_000_000)
    hosts = {"web_host": ALL, "broker_host": ALL}
    assert plain(site(tmp_path), tmp_path, **hosts) == {}
    refuse_plain(site(tmp_path), tmp_path, **hosts)


def test_the_error_names_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        refuse_plain(site(tmp_path, web={"host": ALL}), tmp_path, web_host=ALL, broker_host=HERE)
    (problem,) = caught.value.problems
    assert problem.file.endswith("site.yaml")
    assert problem.line > 1
    assert "steward cert make" in problem.hint
