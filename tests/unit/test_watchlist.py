"""Who is watched: the symbols named, or the most traded, with a border that has a width."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.watchlist import STAY_SHARE, Watchlist
from domain.events import VolumesHeard
from domain.instruments import Universe
from tests.engine_builders import universe_of

NAMES = ("BTC", "ETH", "SOL", "XRP", "kPEPE", "DOGE", "LINK", "ARB", "OP", "SUI")


def universe() -> Universe:
    return universe_of(*NAMES)


def volumes(heard: Mapping[str, float], delisted: tuple[str, ...] = ()) -> VolumesHeard:
    ids = sorted(NAMES.index(symbol) for symbol in heard)
    return VolumesHeard(
        np.array(ids, dtype=np.intp), np.array([heard[NAMES[place]] for place in ids], dtype=np.float64), delisted
    )


def members(watchlist: Watchlist) -> list[str]:
    return [symbol for symbol, there in zip(NAMES, watchlist.members, strict=True) if there]


def falling(*symbols: str) -> dict[str, float]:
    """Volumes in this order, the most traded first."""
    return {symbol: 1_000.0 - place for place, symbol in enumerate(symbols)}


def test_without_a_word_everybody_is_in() -> None:
    assert members(Watchlist(universe())) == list(NAMES)


def test_named_symbols_are_in_and_nobody_else_whatever_is_traded() -> None:
    watchlist = Watchlist(universe(), ("ETH", "kPEPE"))
    assert not watchlist.take_volumes(volumes(falling("BTC", "SOL", "ETH")))
    assert members(watchlist) == ["ETH", "kPEPE"]


def test_the_most_traded_are_in_once_volumes_are_known() -> None:
    watchlist = Watchlist(universe(), None, 3)
    waited = watchlist.waits_for_volumes
    assert waited and members(watchlist) == []
    assert watchlist.take_volumes(volumes(falling("SOL", "BTC", "kPEPE", "ETH")))
    assert members(watchlist) == ["BTC", "SOL", "kPEPE"]
    assert watchlist.waits_for_volumes is not waited


def test_a_symbol_at_the_border_stays_until_it_is_worse_by_a_fifth() -> None:
    watchlist = Watchlist(universe(), None, 5)
    watchlist.take_volumes(volumes(falling("BTC", "ETH", "SOL", "XRP", "DOGE", "LINK")))
    assert not watchlist.take_volumes(volumes(falling("BTC", "ETH", "SOL", "XRP", "LINK", "DOGE"))), "rank 6 of 5 and 1"
    assert watchlist.take_volumes(volumes(falling("BTC", "ETH", "SOL", "XRP", "LINK", "ARB", "DOGE")))
    assert members(watchlist) == ["BTC", "ETH", "SOL", "XRP", "LINK"]


def test_what_is_held_is_streamed_whatever_its_rank_and_first() -> None:
    watchlist = Watchlist(universe(), None, 2)
    watchlist.take_volumes(volumes(falling("SOL", "ETH", "BTC", "OP")))
    assert watchlist.streamed({"OP"}) == ("OP", "BTC", "SOL", "ETH")
    assert members(watchlist) == ["ETH", "SOL"], "held or context, but not to be entered"
    assert watchlist.streamed({"GONE", "OP"})[0] == "OP", "what the universe does not have cannot be streamed"


def test_the_most_traded_come_first_and_unknown_volumes_last() -> None:
    watchlist = Watchlist(universe(), ("ETH", "SOL", "XRP"))
    watchlist.take_volumes(volumes({"XRP": 5.0, "SOL": float("nan"), "ETH": 2.0}))
    assert watchlist.streamed(()) == ("BTC", "XRP", "ETH", "SOL")


@pytest.mark.parametrize("top", [None, 3])
def test_a_delisted_symbol_leaves_and_does_not_come_back(top: int | None) -> None:
    watchlist = Watchlist(universe(), None, top)
    watchlist.take_volumes(volumes(falling(*NAMES)))
    assert watchlist.take_volumes(volumes(falling(*NAMES), delisted=("ETH",)))
    assert "ETH" not in members(watchlist)
    watchlist.take_volumes(volumes(falling("ETH", "BTC", "SOL")))
    assert "ETH" not in members(watchlist)


@given(
    top=st.integers(1, len(NAMES)),
    rounds=st.lists(st.permutations(NAMES), min_size=1, max_size=8),
)
def test_there_are_always_as_many_as_asked_for_and_nobody_far_down(top: int, rounds: list[list[str]]) -> None:
    watchlist = Watchlist(universe(), None, top)
    for order in rounds:
        before = set(members(watchlist))
        watchlist.take_volumes(volumes(falling(*order)))
        now = set(members(watchlist))
        border = top + -(-top // STAY_SHARE)
        assert len(now) == top
        assert now <= set(order[:border])
        assert now - before <= set(order[:top]), "nobody comes in at the border"
        stayed = [symbol for symbol in order[:border] if symbol in before]
        assert now >= set(stayed[:top]), "who is within the border stays"
