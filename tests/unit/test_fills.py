"""Fills: their name, whom they belong to, and how one that turns a position around is cut."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.fills import (
    MATCH_WINDOW_MS,
    ExternalKind,
    FillCause,
    FillMatch,
    MatchedVia,
    OpenAttempt,
    external_kind,
    is_stronger,
    match_fill,
    split_flip,
)
from domain.intents import Side, cloid_of
from tests.builders import T0, make_fill

D = Decimal
NOT_OURS = FillMatch(None, None, MatchedVia.EXTERNAL)


def attempt(
    name: str = "a",
    *,
    oid: int | None = None,
    symbol: str = "BTC",
    side: Side = Side.BUY,
    remaining: str = "1",
    sent_ms: int = T0,
) -> OpenAttempt:
    return OpenAttempt(f"intent-{name}", f"cloid-{name}", oid, symbol, side, D(remaining), sent_ms)


def by(name: str, via: MatchedVia) -> FillMatch:
    return FillMatch(f"intent-{name}", f"cloid-{name}", via)


def test_the_trade_id_is_symbol_time_tid_oid_and_side() -> None:
    fill = make_fill(Side.SELL, symbol="kPEPE", time_ms=1_700_000_000_123, tid=42, oid=7)
    assert fill.trade_id == "kPEPE:1700000000123:42:7:sell"


def test_corrected_amounts_and_hashes_leave_the_trade_id_alone() -> None:
    fill = make_fill()
    corrected = replace(fill, price=D(99), size=D(2), fee=D(1), hash="0xother", cloid="0x1", start_position=D(3))
    assert corrected.trade_id == fill.trade_id


def test_a_sell_is_negative() -> None:
    assert make_fill(Side.BUY, "2").signed_size == D(2)
    assert make_fill(Side.SELL, "2").signed_size == D(-2)


def test_the_cloid_decides_first() -> None:
    fill = make_fill(cloid="cloid-b", oid=7)
    assert match_fill(fill, [attempt("a", oid=7), attempt("b")]) == by("b", MatchedVia.CLOID)


def test_the_oid_decides_next() -> None:
    assert match_fill(make_fill(oid=7), [attempt("a"), attempt("b", oid=7)]) == by("b", MatchedVia.OID)


def test_a_fill_whose_cloid_is_not_known_can_still_be_ours_by_oid() -> None:
    assert match_fill(make_fill(oid=7, cloid="0xother"), [attempt(oid=7)]) == by("a", MatchedVia.OID)


def test_a_fill_with_another_cloid_is_never_matched_by_time() -> None:
    assert match_fill(make_fill(cloid="0xother"), [attempt()]) == NOT_OURS


def test_the_only_attempt_near_in_time_gets_the_fill() -> None:
    assert match_fill(make_fill(), [attempt()]) == by("a", MatchedVia.TIME)


def test_two_attempts_near_in_time_are_no_evidence() -> None:
    assert match_fill(make_fill(), [attempt("a"), attempt("b")]) == NOT_OURS


@pytest.mark.parametrize(
    "other",
    [
        attempt("b", symbol="ETH"),
        attempt("b", side=Side.SELL),
        attempt("b", oid=9),
        attempt("b", remaining="0.999"),
        attempt("b", sent_ms=T0 - MATCH_WINDOW_MS - 1),
        attempt("b", sent_ms=T0 + MATCH_WINDOW_MS + 1),
    ],
    ids=["symbol", "side", "another oid", "too small", "too long ago", "too late"],
)
def test_an_attempt_that_cannot_be_it_is_not_a_candidate_by_time(other: OpenAttempt) -> None:
    assert match_fill(make_fill(), [other]) == NOT_OURS
    assert match_fill(make_fill(), [attempt("a"), other]) == by("a", MatchedVia.TIME)


def test_the_window_is_ten_minutes_and_includes_its_ends() -> None:
    assert MATCH_WINDOW_MS == 600_000
    for sent_ms in (T0 - 600_000, T0 + 600_000):
        assert match_fill(make_fill(), [attempt(sent_ms=sent_ms)]) == by("a", MatchedVia.TIME)


FORCED = [cause for cause in FillCause if cause is not FillCause.ORDER]


@pytest.mark.parametrize("cause", FORCED)
def test_what_the_venue_did_by_itself_is_not_ours_without_a_cloid(cause: FillCause) -> None:
    assert match_fill(make_fill(cause=cause), [attempt()]) == NOT_OURS
    assert match_fill(make_fill(oid=7, cause=cause), [attempt(oid=7)]) == NOT_OURS
    assert match_fill(make_fill(cloid="cloid-a", cause=cause), [attempt()]) == by("a", MatchedVia.CLOID)


OURS = cloid_of("intent", 1, b"\x0a\x0b")
FOREIGN = "0x50663504b0f4fedea00080176229d94f"


@pytest.mark.parametrize(
    ("cause", "cloid", "is_trigger", "kind"),
    [
        (FillCause.ORDER, None, False, ExternalKind.MANUAL),
        (FillCause.ORDER, None, True, ExternalKind.TPSL),
        (FillCause.ORDER, FOREIGN, False, ExternalKind.OTHER_BOT),
        (FillCause.ORDER, FOREIGN, True, ExternalKind.TPSL),
        (FillCause.ORDER, OURS, False, ExternalKind.OTHER_BOT),
        (FillCause.ORDER, OURS, True, ExternalKind.OTHER_BOT),
        (FillCause.LIQUIDATION, None, False, ExternalKind.LIQUIDATION),
        (FillCause.LIQUIDATION, FOREIGN, True, ExternalKind.LIQUIDATION),
        (FillCause.ADL, None, False, ExternalKind.ADL),
        (FillCause.TWAP, None, False, ExternalKind.TWAP),
        (FillCause.SETTLEMENT, None, False, ExternalKind.SETTLEMENT),
    ],
)
def test_an_external_fill_has_a_kind(cause: FillCause, cloid: str | None, is_trigger: bool, kind: ExternalKind) -> None:
    assert external_kind(make_fill(cloid=cloid, cause=cause), is_trigger) is kind


@pytest.mark.parametrize(
    "wrong", [attempt(oid=7, symbol="ETH"), attempt(oid=7, side=Side.SELL)], ids=["symbol", "side"]
)
def test_a_fill_of_another_symbol_or_side_is_not_ours_whatever_it_names(wrong: OpenAttempt) -> None:
    """Its amounts would count against an order that did not trade them."""
    assert match_fill(make_fill(oid=7, cloid="cloid-a"), [wrong]) == NOT_OURS


def test_a_hash_is_no_evidence() -> None:
    """All slices of one action share it, and those of the venue's own actions are zero."""
    slices = [make_fill(tid=tid, hash="0x" + "0" * 64, time_ms=T0 + MATCH_WINDOW_MS + 1) for tid in (1, 2)]
    assert [match_fill(fill, [attempt()]) for fill in slices] == [NOT_OURS, NOT_OURS]


def test_without_attempts_every_fill_is_external() -> None:
    assert match_fill(make_fill(cloid="cloid-a"), []) == NOT_OURS


def test_only_stronger_evidence_replaces_an_attribution() -> None:
    order = [MatchedVia.EXTERNAL, MatchedVia.TIME, MatchedVia.STATUS, MatchedVia.OID]
    assert [[is_stronger(new, old) for old in order] for new in order] == [
        [False, False, False, False],
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
    ]
    assert not is_stronger(MatchedVia.CLOID, MatchedVia.OID) and not is_stronger(MatchedVia.OID, MatchedVia.CLOID)


def test_a_flip_is_cut_into_its_close_and_its_open() -> None:
    fill = make_fill(Side.SELL, "3", "90", fee="0.3")
    closing, opening = split_flip(fill, D(1))
    assert (closing.size, closing.fee, closing.start_position) == (D(1), D("0.1"), D(1))
    assert (opening.size, opening.fee, opening.start_position) == (D(2), D("0.2"), D(0))
    assert closing.trade_id == opening.trade_id == fill.trade_id


def test_a_fee_that_does_not_divide_is_split_to_the_last_digit() -> None:
    closing, opening = split_flip(make_fill(Side.BUY, "3", fee="12345.678901"), D(-1))
    assert closing.fee + opening.fee == D("12345.678901")
    assert closing.fee == D("4115.226300")
    assert opening.fee == D("8230.452601")


@pytest.mark.parametrize(
    ("position", "side", "size"),
    [("0", "buy", "1"), ("2", "buy", "1"), ("2", "sell", "1"), ("2", "sell", "2"), ("-2", "buy", "2")],
)
def test_a_fill_that_does_not_cross_zero_stays_whole(position: str, side: str, size: str) -> None:
    fill = make_fill(Side(side), size, fee="0.1")
    assert split_flip(fill, D(position)) == (fill,)
