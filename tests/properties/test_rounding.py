"""Prices and sizes after rounding keep Hyperliquid's rules, by an oracle that reads digits off their text."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, example, given
from hypothesis import strategies as st

from domain.instruments import Instrument, PriceRounding, single_tier

SIZE_DECIMALS = st.integers(0, 6)
DIRECTIONS = st.sampled_from(list(PriceRounding))
PRICES = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(1, 10**12), st.integers(-12, 0)
)
SIZES = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(0, 10**14), st.integers(-12, 0)
)


def instrument_with(size_decimals: int) -> Instrument:
    return Instrument("BTC", size_decimals, single_tier(10))


def decimals_of(number: Decimal) -> int:
    """Digits behind the point, trailing zeros aside."""
    _, _, behind = format(number, "f").partition(".")
    return len(behind.rstrip("0"))


def figures_of(number: Decimal) -> int:
    """Significant figures of a number that is not whole."""
    before, _, behind = format(number, "f").partition(".")
    return len((before + behind.rstrip("0")).lstrip("0"))


def is_allowed_price(price: Decimal, size_decimals: int) -> bool:
    if decimals_of(price) == 0:
        return True
    return figures_of(price) <= 5 and decimals_of(price) <= 6 - size_decimals


def nearest_allowed(price: Decimal, size_decimals: int, *, up: bool) -> Decimal | None:
    """Best of all candidates: the price cut at every number of decimals, where the result is allowed."""
    found = []
    for decimals in range(7 - size_decimals):
        scaled = Fraction(price) * 10**decimals
        steps = -((-scaled) // 1) if up else scaled // 1
        candidate = Decimal(int(steps)).scaleb(-decimals)
        if candidate > 0 and is_allowed_price(candidate, size_decimals):
            found.append(candidate)
    if not found:
        return None
    return min(found) if up else max(found)


@given(PRICES, SIZE_DECIMALS, DIRECTIONS)
@example(Decimal("99999.5"), 0, PriceRounding.UP)
@example(Decimal("9.99995"), 0, PriceRounding.UP)
@example(Decimal("0.0000009"), 0, PriceRounding.DOWN)
@example(Decimal("123456.7"), 6, PriceRounding.DOWN)
def test_a_rounded_price_is_the_nearest_allowed_one_in_its_direction(
    price: Decimal, size_decimals: int, direction: PriceRounding
) -> None:
    rounded = instrument_with(size_decimals).round_price(price, direction)
    assert is_allowed_price(rounded, size_decimals)
    nearest = nearest_allowed(price, size_decimals, up=direction is PriceRounding.UP)
    if nearest is None:  # below the smallest price there is
        assert rounded == Decimal(1).scaleb(size_decimals - 6)
    else:
        assert rounded == nearest


@given(PRICES, SIZE_DECIMALS, DIRECTIONS)
def test_rounding_a_price_twice_is_rounding_it_once(
    price: Decimal, size_decimals: int, direction: PriceRounding
) -> None:
    instrument = instrument_with(size_decimals)
    rounded = instrument.round_price(price, direction)
    assert instrument.round_price(rounded, direction) == rounded
    assert instrument.is_valid_price(rounded)


@given(PRICES, SIZE_DECIMALS)
def test_the_two_directions_enclose_the_price_and_meet_only_at_allowed_ones(price: Decimal, size_decimals: int) -> None:
    instrument = instrument_with(size_decimals)
    down, up = (instrument.round_price(price, direction) for direction in PriceRounding)
    assume(price >= Decimal(1).scaleb(size_decimals - 6))
    assert down <= price <= up
    assert (down == up) == is_allowed_price(price, size_decimals) == instrument.is_valid_price(price)


@given(PRICES, PRICES, SIZE_DECIMALS, DIRECTIONS)
def test_rounding_keeps_the_order_of_prices(
    price: Decimal, other: Decimal, size_decimals: int, direction: PriceRounding
) -> None:
    instrument = instrument_with(size_decimals)
    low, high = sorted((price, other))
    assert instrument.round_price(low, direction) <= instrument.round_price(high, direction)


@given(SIZES, st.booleans(), SIZE_DECIMALS)
def test_a_rounded_size_fits_never_grows_and_loses_less_than_a_step(
    size: Decimal, negative: bool, size_decimals: int
) -> None:
    instrument = instrument_with(size_decimals)
    signed = -size if negative else size
    rounded = instrument.round_size(signed)
    assert decimals_of(rounded) <= size_decimals
    assert abs(rounded) <= size
    assert size - abs(rounded) < Decimal(1).scaleb(-size_decimals)
    assert rounded == 0 or (rounded < 0) == negative
    assert instrument.round_size(rounded) == rounded
    assert instrument.is_valid_size(signed) == (signed > 0 and decimals_of(signed) <= size_decimals)
