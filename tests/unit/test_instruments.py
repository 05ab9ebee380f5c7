"""Instruments: Hyperliquid's rules on sizes and prices, by the examples of its documentation."""

from decimal import Decimal

import pytest

from domain.instruments import Instrument, MarginTier, PriceRounding, Universe, single_tier
from tests.builders import make_instrument

UP, DOWN = PriceRounding.UP, PriceRounding.DOWN


@pytest.mark.parametrize(
    ("size_decimals", "price", "valid"),
    [
        (0, "1234.5", True),
        (0, "1234.56", False),
        (0, "123456", True),
        (0, "12345.6", False),
        (0, "0.001234", True),
        (0, "0.0012345", False),
        (1, "0.01234", True),
        (1, "0.012345", False),
        (5, "84143", True),
        (5, "84143.5", False),
        (5, "9999.9", True),
        (5, "9999.99", False),
        (6, "1234567", True),
        (6, "123.1", False),
        (0, "100000.0", True),
        (0, "0", False),
        (0, "-5", False),
    ],
)
def test_a_price_has_five_significant_figures_and_six_decimals_less_those_of_sizes(
    size_decimals: int, price: str, valid: bool
) -> None:
    assert make_instrument(size_decimals=size_decimals).is_valid_price(Decimal(price)) is valid


@pytest.mark.parametrize(
    ("size_decimals", "price", "tick"),
    [
        (5, "84143", "1"),
        (5, "9999.9", "0.1"),
        (5, "10000", "1"),
        (0, "0.004411", "0.000001"),
        (0, "1234567", "1"),
        (3, "0.5", "0.001"),
    ],
)
def test_the_tick_depends_on_the_price(size_decimals: int, price: str, tick: str) -> None:
    assert make_instrument(size_decimals=size_decimals).tick_at(Decimal(price)) == Decimal(tick)


@pytest.mark.parametrize(
    ("size_decimals", "price", "down", "up"),
    [
        (5, "84143.5", "84143", "84144"),
        (4, "2713.2567", "2713.2", "2713.3"),
        (0, "0.0044119", "0.004411", "0.004412"),
        (0, "9999.95", "9999.9", "10000"),
        (0, "99999.5", "99999", "100000"),
        (0, "1234567.8", "1234567", "1234568"),
        (0, "0.00000999", "0.000009", "0.00001"),
        (2, "1234.5", "1234.5", "1234.5"),
    ],
)
def test_a_price_is_rounded_in_the_direction_that_is_named(size_decimals: int, price: str, down: str, up: str) -> None:
    instrument = make_instrument(size_decimals=size_decimals)
    assert instrument.round_price(Decimal(price), DOWN) == Decimal(down)
    assert instrument.round_price(Decimal(price), UP) == Decimal(up)


def test_a_price_below_the_smallest_tick_becomes_that_tick() -> None:
    assert make_instrument(size_decimals=2).round_price(Decimal("0.00004"), DOWN) == Decimal("0.0001")


@pytest.mark.parametrize(
    ("size_decimals", "size", "rounded"),
    [
        (2, "0.29", "0.29"),
        (2, "4.35", "4.35"),
        (2, "4.359999", "4.35"),
        (2, "-4.359999", "-4.35"),
        (0, "12345.9", "12345"),
        (5, "0.000009", "0"),
        (3, "1E+3", "1000"),
    ],
)
def test_a_size_is_rounded_toward_zero(size_decimals: int, size: str, rounded: str) -> None:
    assert make_instrument(size_decimals=size_decimals).round_size(Decimal(size)) == Decimal(rounded)


def test_a_size_is_valid_when_it_is_positive_and_has_no_more_decimals_than_allowed() -> None:
    instrument = make_instrument(size_decimals=2)
    assert instrument.is_valid_size(Decimal("0.01"))
    assert not instrument.is_valid_size(Decimal("0.015"))
    assert not instrument.is_valid_size(Decimal(0))
    assert not instrument.is_valid_size(Decimal("-1"))


def test_size_decimals_lie_between_0_and_6() -> None:
    for size_decimals in (-1, 7):
        with pytest.raises(AssertionError):
            make_instrument(size_decimals=size_decimals)


def test_margin_tiers_start_at_zero_and_rise() -> None:
    zero, high = MarginTier(Decimal(0), 40), MarginTier(Decimal(1000), 20)
    assert Instrument("BTC", 5, (zero, high)).max_leverage == 40
    for tiers in ((), (high,), (zero, high, MarginTier(Decimal(500), 10))):
        with pytest.raises(AssertionError):
            Instrument("BTC", 5, tiers)


def test_a_universe_keeps_its_order_and_the_case_of_symbols() -> None:
    universe = Universe(Instrument(symbol, 0, single_tier(10)) for symbol in ("kPEPE", "BTC", "KPEPE"))
    assert universe.symbols == ("kPEPE", "BTC", "KPEPE")
    assert (universe.id_of("kPEPE"), universe.id_of("KPEPE")) == (0, 2)
    assert universe.find("kpepe") is None
    assert "kPEPE" in universe and "kpepe" not in universe
    assert universe.instrument("BTC").symbol == "BTC"
    assert [instrument.symbol for instrument in universe] == ["kPEPE", "BTC", "KPEPE"]
    with pytest.raises(KeyError):
        universe.id_of("btc")


def test_a_symbol_stands_in_a_universe_once() -> None:
    with pytest.raises(AssertionError):
        Universe([make_instrument("BTC"), make_instrument("BTC")])
