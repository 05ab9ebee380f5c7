"""Margin: Hyperliquid's formulas, with the numbers of a real account."""

from decimal import Decimal

import pytest

from domain.instruments import Instrument, MarginTier
from domain.margin import initial_margin, is_liquidatable, liquidation_price, maintenance_margin, tier_at
from tests.builders import make_instrument

D = Decimal
TIERED = Instrument(
    "BTC",
    5,
    (MarginTier(D(0), 40), MarginTier(D(150_000_000), 20), MarginTier(D(300_000_000), 10)),
)


@pytest.mark.parametrize(
    ("notional", "leverage"),
    [("0", 40), ("149999999.99", 40), ("150000000", 20), ("299999999", 20), ("300000000", 10), ("9e12", 10)],
)
def test_a_tier_holds_from_its_lower_bound_on(notional: str, leverage: int) -> None:
    assert tier_at(TIERED, D(notional)).max_leverage == leverage


def test_maintenance_margin_is_half_the_initial_margin_at_maximum_leverage() -> None:
    assert maintenance_margin(make_instrument(max_leverage=10), D("75.652")) == D("3.7826")
    assert maintenance_margin(make_instrument(max_leverage=40), D(1000)) == D("12.5")
    assert maintenance_margin(make_instrument(max_leverage=3), D(600)) == pytest.approx(D(100))
    assert maintenance_margin(make_instrument(), D(0)) == 0


def test_maintenance_margin_grows_tier_by_tier_without_a_jump() -> None:
    assert maintenance_margin(TIERED, D(150_000_000)) == D(1_875_000)
    assert maintenance_margin(TIERED, D(200_000_000)) == D(1_875_000) + D(50_000_000) / 40
    assert maintenance_margin(TIERED, D(400_000_000)) == D(1_875_000) + D(150_000_000) / 40 + D(100_000_000) / 20


def test_initial_margin_is_notional_by_leverage() -> None:
    assert initial_margin(D("75.652"), D(10)) == D("7.5652")
    with pytest.raises(AssertionError):
        initial_margin(D(1), D(0))


def test_a_real_position_is_liquidated_where_the_venue_says() -> None:
    hype = make_instrument("HYPE", size_decimals=2, max_leverage=10)
    price = liquidation_price(hype, D(2), D("37.826"), D("7.525754") - D("3.7826"))
    assert price is not None
    assert round(price, 10) == D("35.8559189474")


def test_a_short_is_liquidated_above_the_mark_price() -> None:
    price = liquidation_price(make_instrument(max_leverage=20), D(-2), D(100), D(41))
    assert price == D(120)  # 100 + 41 / 2 / 1.025


def test_a_well_covered_long_has_no_liquidation_price() -> None:
    assert liquidation_price(make_instrument(), D(1), D(100), D(1000)) is None


def test_at_the_liquidation_price_the_account_is_worth_its_maintenance_margin() -> None:
    instrument, cash = make_instrument(max_leverage=20), D(30)
    for size in (D(2), D(-2)):
        available = cash - maintenance_margin(instrument, abs(size) * 100)
        price = liquidation_price(instrument, size, D(100), available)
        assert price is not None
        value = cash + size * (price - 100)
        assert round(value, 15) == round(maintenance_margin(instrument, abs(size) * price), 15)


def test_an_account_is_liquidatable_below_its_maintenance_margins() -> None:
    assert not is_liquidatable(D(10), [D(4), D(6)])
    assert is_liquidatable(D("9.99"), [D(4), D(6)])
    assert not is_liquidatable(D(0), [])
