"""What depends on what: derived arrows, circles and orphans, distances."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.graph import Arrow, Graph
from gateway.model import Asset


def asset(id_: str, kind: str, *above: str, estate: str = "e1") -> Asset:
    return Asset(id_, estate, kind, {}, depends_on=above)  # type: ignore[arg-type]  # one of the classes


def graph(*assets: Asset) -> Graph:
    return Graph({a.id: a for a in assets})


def test_what_runs_on_electricity_hangs_on_the_only_supply() -> None:
    g = graph(
        asset("pw", "power"), asset("lift", "elevator"), asset("ws", "water", "sump"), asset("sump", "drain"),
        asset("mh", "manhole"), asset("far", "elevator", estate="e2"),
    )  # fmt: skip
    assert dict(g.above("ws")) == {"sump": 1, "pw": 1}
    assert g.arrows("lift") == [Arrow("lift", "pw", "supply")]
    assert (dict(g.above("mh")), dict(g.above("far"))) == ({}, {})
    assert g.below("pw") == {"lift", "ws", "sump"}


def test_two_supplies_are_never_guessed() -> None:
    g = graph(
        asset("pw-1", "power"), asset("pw-2", "power"), asset("a", "elevator"), asset("b", "water", "pw-2")
    )
    assert dict(g.above("a")) == {}
    assert dict(g.above("b")) == {"pw-2": 1}
    assert g.unsupplied() == ["a"]


def test_an_arrow_that_closes_a_circle_is_left_out_and_named() -> None:
    g = graph(asset("a", "drain", "b"), asset("b", "drain", "c"), asset("c", "drain", "a"))
    assert g.dropped == [Arrow("c", "a", "declared")]
    assert dict(g.above("a")) == {"b": 1, "c": 2}
    odd = graph(asset("pw", "power", "ws"), asset("ws", "water"))
    assert odd.dropped == [Arrow("ws", "pw", "supply")]


def test_orphans_are_named() -> None:
    assert graph(asset("a", "drain", "nobody")).orphans() == [("a", "nobody")]


NAMES = [f"n{n}" for n in range(8)]
ASSETS = st.lists(
    st.builds(
        lambda i, kind, above: asset(i, kind, *above),
        st.sampled_from(NAMES), st.sampled_from(["power", "drain", "manhole"]),
        st.lists(st.sampled_from([*NAMES, "nobody"]), max_size=4),
    ),
    unique_by=lambda a: a.id,
)  # fmt: skip


@given(ASSETS)
def test_no_walk_goes_round_whatever_the_file_says(assets: list[Asset]) -> None:
    g = graph(*assets)
    for a in assets:
        assert a.id not in g.above(a.id)
        assert all(a.id in g.below(p) for p in g.above(a.id))
    assert {k: dict(graph(*reversed(assets)).above(k)) for k in g.assets} == {
        k: dict(g.above(k)) for k in g.assets
    }
