"""Sizing: from equity to a size that fits the instrument, and the caps on the way."""

from decimal import Decimal
from typing import Any

import pytest

from domain.confidence import Confidence
from domain.instruments import Instrument, MarginTier
from domain.sizing import SizedEntry, floored_atr, leverage_for, size_entry
from tests.builders import make_config, make_instrument, make_row

D = Decimal
NAN = float("nan")
HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW


def sized(
    equity: str = "10000",
    price: str = "100",
    confidence: Confidence = HIGH,
    *,
    row: dict[str, float] | None = None,
    instrument: Instrument | None = None,
    fraction: str = "1",
    limit: str | None = None,
    **trade: Any,
) -> SizedEntry:
    """An entry of 3 % of 10,000 at a price of 100, strong trend and calm market, unless said otherwise."""
    return size_entry(
        D(equity),
        D(price),
        confidence,
        make_row(**{"adx": 40.0, "atr": 1.0, "close": 100.0} | (row or {})),
        make_config(trade),
        instrument or make_instrument(size_decimals=3),
        D(fraction),
        limit_price=None if limit is None else D(limit),
    )


def test_margin_is_a_share_of_equity_and_notional_is_margin_by_leverage() -> None:
    expected = SizedEntry(size=D(15), leverage=D(5), margin_usd=D(300), notional_usd=D(1500), worst_usd=D(1500))
    assert sized() == expected
    assert expected.worst_margin_usd == D(300)


def test_confidence_sets_leverage_and_scales_margin() -> None:
    assert (sized(confidence=MEDIUM).leverage, sized(confidence=MEDIUM).margin_usd) == (D(3), D(210))
    assert (sized(confidence=LOW).leverage, sized(confidence=LOW).margin_usd) == (D(1), D(150))


def test_without_dynamic_sizing_and_leverage_confidence_and_adx_do_not_matter() -> None:
    for confidence in Confidence:
        entry = sized(
            confidence=confidence, row={"adx": NAN}, enable_dynamic_sizing=False, enable_dynamic_leverage=False
        )
        assert (entry.leverage, entry.margin_usd) == (D(3), D(300))


@pytest.mark.parametrize(
    ("adx", "margin"), [(10.0, "180"), (22.0, "180"), (31.0, "240"), (40.0, "300"), (99.0, "300"), (NAN, "180")]
)
def test_margin_rises_with_adx_from_its_minimum_to_full(adx: float, margin: str) -> None:
    assert sized(row={"adx": adx}).margin_usd == D(margin)


@pytest.mark.parametrize(
    ("atr", "margin"), [(0.5, "300"), (1.0, "300"), (1.25, "240"), (2.0, "150"), (9.0, "150"), (0.0, "300")]
)
def test_margin_falls_with_volatility_down_to_half(atr: float, margin: str) -> None:
    assert sized(row={"atr": atr}).margin_usd == D(margin)


def test_volatility_that_is_not_known_takes_the_smallest_scalar() -> None:
    assert sized(row={"atr": NAN}).margin_usd == D(150)


def test_an_add_takes_its_fraction() -> None:
    assert sized(fraction="0.5").margin_usd == D(150)


def test_the_size_multiplier_scales_the_margin() -> None:
    assert sized(size_multiplier=D(2)).margin_usd == D(600)


def test_margin_is_raised_to_its_floor() -> None:
    assert sized(equity="100", min_margin_usd=D(50)).margin_usd == D(50)
    assert sized(min_margin_usd=D(50)).margin_usd == D(300)


def test_leverage_is_capped_by_config_and_by_the_venue() -> None:
    assert sized(leverage_max_cap=D(2)).leverage == D(2)
    assert sized(leverage_max_cap=D(0)).leverage == D(5)
    assert sized(instrument=make_instrument(max_leverage=3)).leverage == D(3)


def test_leverage_is_capped_by_the_tier_of_the_notional_that_is_ordered() -> None:
    """300 USD of margin at 5x is 1,500 of notional, where only 4x is allowed; at the default 3x it would be 900."""
    tiers = Instrument("BTC", 3, (MarginTier(D(0), 10), MarginTier(D(1000), 4)))
    entry = sized(instrument=tiers)
    assert (entry.leverage, entry.notional_usd) == (D(4), D(1200))


def test_leverage_for_a_notional_is_never_above_its_tiers() -> None:
    tiers = Instrument("BTC", 3, (MarginTier(D(0), 10), MarginTier(D(1000), 2)))
    trade = make_config().trade
    assert leverage_for(HIGH, trade, tiers, D(999)) == D(5)
    assert leverage_for(HIGH, trade, tiers, D(1000)) == D(2)


def test_notional_is_capped_per_order() -> None:
    entry = sized(max_notional_usd_per_order=D(25))
    assert (entry.size, entry.notional_usd, entry.margin_usd) == (D("0.25"), D(25), D(5))


def test_the_size_is_rounded_down_never_up() -> None:
    entry = sized(price="7")
    assert entry.size == D("214.285")  # 214.2857…
    assert entry.notional_usd == D("1499.995")


def test_without_equity_there_is_no_size() -> None:
    for equity in ("0", "-5"):
        entry = sized(equity=equity, min_margin_usd=D(50), bump_to_min_notional=True)
        assert (entry.size, entry.notional_usd, entry.margin_usd) == (D(0), D(0), D(0))


def test_below_the_least_notional_there_is_no_size() -> None:
    assert sized(equity="60").size == 0  # 9 USD
    assert sized(equity="67").size == D("0.1")  # 10.05 USD, 10 after rounding


def test_a_too_small_entry_is_raised_to_the_least_tradable_size_when_told_to() -> None:
    assert sized(equity="60", bump_to_min_notional=True).size == D("0.1")
    assert sized(equity="60", price="99", bump_to_min_notional=True).size == D("0.102")  # 0.101 is 9.999 USD


def test_a_raised_entry_still_keeps_the_cap_per_order() -> None:
    """One step of 0.001 is 84 USD here: no size lies between the least notional and the cap."""
    dear: dict[str, Any] = {"price": "84143", "equity": "60", "row": {"close": 84143.0, "atr": 1.0}}
    assert sized(**dear, bump_to_min_notional=True).size == D("0.001")
    assert sized(**dear, bump_to_min_notional=True, max_notional_usd_per_order=D(25)).size == 0


def test_the_least_notional_counts_at_the_limit_price_too() -> None:
    """The venue takes size by limit price: a short at a limit 1 % lower needs that much more."""
    assert sized(equity="67").size == D("0.1")
    assert sized(equity="67", limit="99").size == 0
    assert sized(equity="67", limit="99", bump_to_min_notional=True).size == D("0.102")
    assert sized(equity="67", limit="101").size == D("0.1")


def test_an_atr_is_at_least_a_share_of_the_close() -> None:
    trade = make_config({"min_atr_pct": 0.003}).trade
    assert floored_atr(make_row(close=100.0, atr=0.1), trade) == pytest.approx(0.3)
    assert floored_atr(make_row(close=100.0, atr=0.5), trade) == 0.5
    assert floored_atr(make_row(close=100.0, atr=NAN), trade) != floored_atr(make_row(close=100.0, atr=NAN), trade)


def test_an_entry_without_a_price_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        sized(price="0")
