"""The operator on a real exchange with its market, chain and signers: what each act does, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from adapters.sim.venue.chain.chain import Chain
from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.events import NonUserCanceled
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import withdrawable
from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, Status, Tif
from adapters.sim.venue.faults.operator import Operator, OperatorRefused
from adapters.sim.venue.faults.operator_acts import ACTS
from adapters.sim.venue.faults.switchboard import Act
from adapters.sim.venue.limits import AddressBudget
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.house import MAKER
from adapters.sim.venue.market.market import Market
from adapters.sim.venue.settings import VenueSettings
from domain.intents import Side
from tests.venue_books import assert_books_balance

START_MS = 1_767_571_200_000
USER = "0x" + 40 * "a"
STRANGER = "0x" + 40 * "b"
AGENT = "0x" + 40 * "c"


class World:
    """A venue without its facade: one user with 10,000 USDC and an agent."""

    def __init__(self) -> None:
        settings = VenueSettings()
        path = GeneratedPath(7, 3, listed_ms=START_MS - 3_600_000)
        self.exchange = Exchange(path.instruments(), settings, START_MS)
        self.market = Market(path, self.exchange, 7, START_MS)
        self.signers = Signers(self.exchange.accounts, settings, START_MS)
        budget = AddressBudget(settings.limits)
        self.chain = Chain(self.exchange, self.market, self.signers, budget, settings)
        self.log = VenueLog()
        self.operator = Operator(self.exchange, self.market, self.chain, self.signers, self.log)
        self.user = self.exchange.open_account(USER, cash=Decimal(10_000))
        assert self.signers.approve(USER, AGENT, "bot", START_MS) is None
        self.market.advance(START_MS + 4_000)
        self.coin = self.exchange.instruments[0].symbol
        self.market.see(self.exchange.take_events())

    def size_of(self, usd: int, coin: str | None = None) -> Decimal:
        coin = coin or self.coin
        return self.exchange.by_coin[coin].round_size(Decimal(usd) / self.exchange.marks[coin])

    def rest(self, share: str = "0.9", usd: int = 200) -> int:
        """A buy order of the user's that rests below the market."""
        instrument = self.exchange.by_coin[self.coin]
        mid = self.market.mid(self.coin)
        assert mid is not None
        price = mid * Decimal(share)
        price -= price % instrument.tick_at(price)
        size = instrument.round_size(Decimal(usd) / price)
        spec = OrderSpec(0, Side.BUY, price, size, False, Tif.GTC, None, None)
        (placed,) = self.exchange.place(self.user, [spec], Grouping.NA, "0x1")
        assert not isinstance(placed, str)
        return next(reversed(self.user.orders))

    def refusal(self, act: Callable[[], object]) -> str:
        """The text with which an act is refused; it changed no money and is in the log."""
        before = (self.user.cash, dict(self.user.positions), list(self.user.orders))
        with pytest.raises(OperatorRefused) as refused:
            act()
        assert before == (self.user.cash, dict(self.user.positions), list(self.user.orders))
        assert self.log.rows("operator")[-1]["refused"] == str(refused.value)
        return str(refused.value)


@pytest.fixture
def world() -> World:
    return World()


def test_a_trade_by_hand_is_a_market_order_of_the_user(world: World) -> None:
    size = world.size_of(1_000)
    told = world.operator.trade(USER, world.coin, Side.BUY, size)
    assert world.user.size(world.coin) == size
    (fill,) = {fill.oid: fill for fill in world.user.fills}.values()
    assert (fill.cloid, fill.crossed, told["oid"]) == (None, True, fill.oid)
    assert told["size"] == str(size.normalize()) or Decimal(str(told["size"])) == size
    row = world.log.rows("operator")[0]
    assert row["act"] == "trade"
    assert row["result"] == told
    world.operator.trade(USER, world.coin, Side.SELL, size, reduce_only=True)
    assert world.user.size(world.coin) == 0
    assert_books_balance(world.exchange)


def test_trades_by_hand_have_hashes_of_their_own(world: World) -> None:
    for _ in range(2):
        world.operator.trade(USER, world.coin, Side.BUY, world.size_of(100))
    hashes = {fill.hash for fill in world.user.fills}
    assert len(hashes) >= 2
    assert all(len(each) == 66 and each.startswith("0x") for each in hashes)


def test_a_trade_by_hand_can_be_refused(world: World) -> None:
    trade = world.operator.trade
    assert "no account" in world.refusal(lambda: trade(STRANGER, world.coin, Side.BUY, Decimal(1)))
    assert "no coin 'NOPE'; there are: " in world.refusal(lambda: trade(USER, "NOPE", Side.BUY, Decimal(1)))
    assert "no positive multiple" in world.refusal(lambda: trade(USER, world.coin, Side.BUY, Decimal("1e-9")))
    assert "no positive multiple" in world.refusal(lambda: trade(USER, world.coin, Side.BUY, Decimal(-1)))
    assert "margin" in world.refusal(lambda: trade(USER, world.coin, Side.BUY, world.size_of(2_000_000)))
    size = world.size_of(100)
    assert "Reduce only" in world.refusal(lambda: trade(USER, world.coin, Side.BUY, size, reduce_only=True))
    assert "house" in world.refusal(lambda: trade(MAKER, world.coin, Side.BUY, size))


def test_leverage_changes_elsewhere(world: World) -> None:
    world.operator.set_leverage(USER, world.coin, 3, is_cross=False)
    setting = world.user.leverage[world.coin]
    assert (setting.value, setting.is_cross) == (3, False)
    assert "Invalid leverage" in world.refusal(lambda: world.operator.set_leverage(USER, world.coin, 1_000))


def test_open_orders_are_canceled_by_hand(world: World) -> None:
    oids = [world.rest("0.9"), world.rest("0.8")]
    assert world.operator.cancel_all(USER) == {"canceled": oids}
    assert not world.user.orders
    assert {world.user.history[oid].status for oid in oids} == {Status.CANCELED}
    assert world.operator.cancel_all(USER) == {"canceled": []}
    world.rest()
    other = world.exchange.instruments[1].symbol
    assert world.operator.cancel_all(USER, other) == {"canceled": []}
    assert len(world.operator.cancel_all(USER, world.coin)["canceled"]) == 1  # type: ignore[arg-type]


def test_an_account_is_liquidated(world: World) -> None:
    assert "no position" in world.refusal(lambda: world.operator.liquidate(USER))
    world.operator.trade(USER, world.coin, Side.BUY, world.size_of(5_000))
    oid = world.rest()
    told = world.operator.liquidate(USER)
    assert told == {"user": USER, "positions": {world.coin: "0.0"}}
    assert world.user.history[oid].status is Status.LIQUIDATED_CANCELED
    assert world.user.fills[-1].liquidation is not None
    assert_books_balance(world.exchange)


def test_a_position_is_deleveraged(world: World) -> None:
    assert f"no position in {world.coin}" in world.refusal(lambda: world.operator.deleverage(USER, world.coin))
    world.operator.trade(USER, world.coin, Side.SELL, world.size_of(5_000))
    told = world.operator.deleverage(USER, world.coin)
    assert told == {"user": USER, "positions": {world.coin: "0.0"}}
    assert world.user.fills[-1].direction == "Auto-Deleveraging"
    assert_books_balance(world.exchange)


def test_a_coin_is_delisted(world: World) -> None:
    world.operator.trade(USER, world.coin, Side.BUY, world.size_of(500))
    oid = world.rest()
    world.exchange.take_events()
    assert world.operator.delist(world.coin) == {"coin": world.coin}
    assert world.user.size(world.coin) == 0
    events = world.exchange.take_events()
    assert [event.oid for event in events if isinstance(event, NonUserCanceled)] == [oid]
    assert "already" in world.refusal(lambda: world.operator.delist(world.coin))
    assert "no coin" in world.refusal(lambda: world.operator.delist("btc"))
    assert_books_balance(world.exchange)


def test_money_comes(world: World) -> None:
    assert world.operator.deposit(USER, Decimal("250.5"))["cash"] == "10250.5"
    assert (world.user.cash, world.user.deposits) == (Decimal("10250.5"), Decimal("10250.5"))
    assert world.user.ledger_updates[-1].delta == {"type": "deposit", "usdc": "250.5"}
    world.operator.deposit(STRANGER.upper().replace("0X", "0x"), Decimal(5))
    assert world.exchange.accounts[STRANGER].cash == 5
    for wrong in (Decimal(0), Decimal(-1), Decimal("0.0000001")):
        assert "no positive amount" in world.refusal(partial(world.operator.deposit, USER, wrong))
    for nobody in ("", "0x1", "0x" + 40 * "g", 42 * "a"):
        assert "is no address" in world.refusal(partial(world.operator.deposit, nobody, Decimal(1)))
    assert_books_balance(world.exchange)


def test_money_goes_as_far_as_it_is_free(world: World) -> None:
    world.operator.withdraw(USER, Decimal(100))
    assert world.user.cash == 9_900
    delta = world.user.ledger_updates[-1].delta
    assert (delta["type"], delta["usdc"], delta["fee"]) == ("withdraw", "99.0", "1.0")
    world.operator.trade(USER, world.coin, Side.BUY, world.size_of(20_000))
    free = withdrawable(world.user, world.exchange.marks, world.exchange.by_coin)
    assert 0 < free < 9_900
    beyond = free.quantize(Decimal("0.01")) + 1
    assert beyond < world.user.cash
    assert "can withdraw" in world.refusal(lambda: world.operator.withdraw(USER, beyond))
    assert "more than its fee" in world.refusal(lambda: world.operator.withdraw(USER, Decimal(1)))
    assert "no account" in world.refusal(lambda: world.operator.withdraw(STRANGER, Decimal(1)))
    assert_books_balance(world.exchange)


def test_an_agent_is_one_no_more(world: World) -> None:
    assert world.signers.account_of(AGENT, world.exchange.now_ms) == USER
    assert world.operator.remove_agent(AGENT.upper().replace("0X", "0x")) == {"agent": AGENT}
    assert world.signers.account_of(AGENT, world.exchange.now_ms) is None
    assert "is no agent" in world.refusal(lambda: world.operator.remove_agent(AGENT))


def test_the_chain_halts_and_goes_on(world: World) -> None:
    now = world.exchange.now_ms
    assert world.operator.halt(5_000) == {"until_ms": now + 5_000}
    assert world.operator.post_only(9_000) == {"until_ms": now + 9_000}
    assert (world.chain.halted_until_ms, world.chain.post_only_until_ms) == (now + 5_000, now + 9_000)
    world.operator.halt(0)
    assert world.chain.halted_until_ms == now


def test_acts_are_performed_by_name(world: World) -> None:
    told = world.operator.perform("deposit", {"user": USER, "usd": 12.5})
    assert told == {"user": USER, "cash": "10012.5"}
    row = world.log.rows("operator")[-1]
    assert row | {"n": 0, "time": 0} == {
        "n": 0,
        "time": 0,
        "kind": "operator",
        "act": "deposit",
        "arguments": {"user": USER, "usd": 12.5},
        "rule": None,
        "result": told,
    }
    assert set(ACTS) == {name for name in ACTS if callable(getattr(world.operator, name))}


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("explode", {}, "the operator knows no 'explode'; it knows: cancel_all, deleverage"),
        ("delist", {}, "missing required field `coin`"),
        ("delist", {"coin": "BTC", "at": 1}, "arguments of delist knows no 'at'; it knows: coin"),
        ("halt", {"ms": "5"}, "Expected `int`, got `str` - in `ms`"),
        ("halt", {"ms": -5}, ">= 0"),
        ("trade", {"user": USER, "coin": "X", "side": "long", "size": 1}, "side knows no 'long'; it knows: buy, sell"),
        ("deposit", {"user": USER, "usd": "ten"}, "usd 'ten' is no number"),
        ("deposit", {"user": USER, "usd": "nan"}, "usd 'nan' is no amount"),
        ("deposit", {"user": USER, "usd": "1e400"}, "is no amount"),
        ("deposit", {"user": USER, "usd": None}, "got `null`"),
    ],
)
def test_an_act_that_makes_no_sense_is_refused_with_a_reason(
    world: World, name: str, arguments: dict[str, Any], says: str
) -> None:
    assert says in world.refusal(lambda: world.operator.perform(name, arguments))


def test_what_rules_ask_for_is_done_or_stands_in_the_log_as_refused(world: World) -> None:
    world.operator.perform_due(
        [
            Act(4, "liquidate", {"user": USER}),
            Act(5, "deposit", {"user": USER, "usd": "5"}),
        ]
    )
    refused, done = world.log.rows("operator")
    assert (refused["rule"], refused["refused"]) == (4, f"{USER} has no position")
    assert (done["rule"], done["act"]) == (5, "deposit")
    assert world.user.cash == 10_005
