"""Sizes over all accounts, prices and configs: never above a cap, never rounded up, nothing without equity."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.confidence import Confidence
from domain.instruments import Instrument, MarginTier
from domain.signals import FeatureRow
from domain.sizing import SizedEntry, size_entry
from domain.strategy_config import SymbolConfig
from tests.builders import make_config, make_row

CENT = Decimal("0.01")


def cents(low: int, high: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low, high).map(lambda number: number * CENT)


@dataclass(frozen=True)
class Order:
    """Everything that a size depends on."""

    equity: Decimal
    price: Decimal
    limit: Decimal | None
    confidence: Confidence
    row: FeatureRow
    config: SymbolConfig
    instrument: Instrument
    fraction: Decimal

    def sized(self, **changes: Any) -> SizedEntry:
        values = {name: changes.get(name, getattr(self, name)) for name in self.__dataclass_fields__}
        return size_entry(
            values["equity"],
            values["price"],
            values["confidence"],
            values["row"],
            values["config"],
            values["instrument"],
            values["fraction"],
            limit_price=values["limit"],
        )


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    bounds = sorted(draw(st.sets(cents(1, 10**7), max_size=2)))
    leverages = sorted(draw(st.lists(st.integers(1, 50), min_size=3, max_size=3)), reverse=True)
    tiers = [MarginTier(bound, leverage) for bound, leverage in zip((Decimal(0), *bounds), leverages, strict=False)]
    return Instrument("BTC", draw(st.integers(0, 5)), tuple(tiers))


@st.composite
def orders(draw: st.DrawFn) -> Order:
    trade: dict[str, Any] = {
        "allocation_pct": draw(cents(1, 100)),
        "size_multiplier": draw(cents(1, 1000)),
        "enable_dynamic_leverage": draw(st.booleans()),
        "enable_dynamic_sizing": draw(st.booleans()),
        "leverage_max_cap": draw(st.sampled_from([Decimal(0), Decimal(2), Decimal(40)])),
        "max_notional_usd_per_order": draw(st.one_of(st.none(), cents(1000, 10**6))),
        "min_margin_usd": draw(st.one_of(st.none(), cents(0, 10**5))),
        "bump_to_min_notional": draw(st.booleans()),
        "vol_scalar_max": draw(st.sampled_from([0.5, 1.0, 3.0])),
    }
    price = draw(st.one_of(cents(1, 10**7), st.sampled_from(["84143.5", "0.004411", "1"]).map(Decimal)))
    unknown = st.just(math.nan)
    row = make_row(close=float(price), atr=draw(st.floats(0, 1000) | unknown), adx=draw(st.floats(0, 100) | unknown))
    return Order(
        equity=draw(cents(-1000, 10**8)),
        price=price,
        limit=draw(st.sampled_from([None, price * Decimal("0.99"), price * Decimal("1.01")])),
        confidence=draw(st.sampled_from(Confidence)),
        row=row,
        config=make_config(trade),
        instrument=draw(instruments()),
        fraction=draw(st.sampled_from(["0.5", "1"]).map(Decimal)),
    )


def most_leverage(order: Order, notional: Decimal) -> Decimal:
    """What config and venue allow for this notional."""
    trade = order.config.trade
    wanted = trade.leverage
    if trade.enable_dynamic_leverage:
        wanted = [trade.leverage_low, trade.leverage_medium, trade.leverage_high][order.confidence]
    caps = [
        wanted,
        *(Decimal(tier.max_leverage) for tier in order.instrument.margin_tiers if tier.lower_bound_usd <= notional),
    ]
    if trade.leverage_max_cap:
        caps.append(trade.leverage_max_cap)
    return min(caps)


@given(orders())
def test_a_size_fits_the_instrument_and_its_amounts_belong_together(order: Order) -> None:
    entry = order.sized()
    assert entry.size == 0 or order.instrument.is_valid_size(entry.size)
    assert entry.notional_usd == entry.size * order.price
    assert abs(entry.margin_usd * entry.leverage - entry.notional_usd) < Decimal("1E-15")


@given(orders())
def test_leverage_is_never_above_what_config_and_venue_allow_for_the_order(order: Order) -> None:
    entry = order.sized()
    assert entry.size == 0 or 0 < entry.leverage <= most_leverage(order, entry.notional_usd)


@given(orders())
def test_notional_is_never_above_the_cap_per_order(order: Order) -> None:
    cap = order.config.trade.max_notional_usd_per_order
    assert cap is None or order.sized().notional_usd <= cap


@given(orders())
def test_margin_is_never_above_the_share_of_equity_that_was_asked_for(order: Order) -> None:
    """At the largest multipliers; only the two floors, which are off here, may ask for more."""
    plain = make_config(
        {
            "allocation_pct": order.config.trade.allocation_pct,
            "size_multiplier": order.config.trade.size_multiplier,
            "enable_dynamic_sizing": order.config.trade.enable_dynamic_sizing,
        }
    )
    entry = order.sized(config=plain)
    asked = max(order.equity, Decimal(0)) * plain.trade.allocation_pct * plain.trade.size_multiplier * order.fraction
    assert entry.margin_usd <= asked


@given(orders())
def test_an_entry_is_worth_the_minimum_at_its_price_and_at_its_limit_or_nothing(order: Order) -> None:
    entry = order.sized()
    least = order.config.trade.min_notional_usd
    assert entry.size == 0 or entry.size * min(order.price, order.limit or order.price) >= least


@given(orders())
def test_without_equity_there_is_no_size(order: Order) -> None:
    for equity in (Decimal(0), -CENT, min(order.equity, Decimal(0))):
        entry = order.sized(equity=equity)
        assert entry.size == entry.margin_usd == entry.notional_usd == 0


@given(orders(), cents(0, 10**6))
def test_more_equity_never_buys_less_on_a_market_of_one_tier(order: Order, more: Decimal) -> None:
    """A higher tier allows less leverage, so with tiers an order can shrink as it crosses one."""
    one_tier = Instrument("BTC", order.instrument.size_decimals, order.instrument.margin_tiers[:1])
    poor = order.sized(instrument=one_tier)
    assert order.sized(instrument=one_tier, equity=max(order.equity, Decimal(0)) + more).size >= poor.size


@given(orders())
def test_an_add_of_half_is_never_larger_than_the_whole(order: Order) -> None:
    one_tier = Instrument("BTC", order.instrument.size_decimals, order.instrument.margin_tiers[:1])
    half = order.sized(instrument=one_tier, fraction=Decimal("0.5"))
    assert half.size <= order.sized(instrument=one_tier, fraction=Decimal(1)).size


@given(orders())
def test_what_is_not_known_never_buys_more(order: Order) -> None:
    one_tier = Instrument("BTC", order.instrument.size_decimals, order.instrument.margin_tiers[:1])
    entry = order.sized(instrument=one_tier)
    for unknown in (order.row._replace(adx=math.nan), order.row._replace(atr=math.nan)):
        assert order.sized(instrument=one_tier, row=unknown).size <= entry.size


@given(orders())
def test_a_raised_entry_is_the_least_that_is_worth_the_minimum(order: Order) -> None:
    small = make_config({"allocation_pct": Decimal("0.0001"), "bump_to_min_notional": True})
    entry = order.sized(config=small, equity=CENT)
    lowest = min(order.price, order.limit or order.price)
    assert entry.size * lowest >= small.trade.min_notional_usd
    assert (entry.size - order.instrument.size_step) * lowest < small.trade.min_notional_usd
