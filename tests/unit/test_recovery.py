"""A lost ledger from what the venue remembers: orders get their decisions back, fills their owners."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from adapters.hyperliquid.old_orders import OldOrder, decode_past_orders, decode_resting_orders, each_once
from adapters.sqlite.ledger_check import check_ledger
from application.entry_desk import exit_state_of
from application.live_oms import LiveOms
from application.portfolio import Portfolio
from domain.candles import Interval
from domain.events import AccountSnapshot, FundingPaid, HeldPosition, RestingOrder
from domain.facts import BORN, FILLS_READ, LedgerState
from domain.fills import Fill, MatchedVia
from domain.intents import (
    Action,
    IntentKey,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    cloid_of,
    intent_id_of,
)
from domain.orders import OrderStatus
from entrypoints.gates import GateClosed
from entrypoints.recovery.identities import Identities, tag_of
from entrypoints.recovery.new_ledger import refuse_filled, write_new
from entrypoints.recovery.rebuild import Rebuilt, rebuild
from entrypoints.recovery.venue_word import VenueWord
from ports.ledger import LedgerHeld, StorageError
from tests.ledger_facts import story
from tests.sqlite_files import PAPER, open_ledger, opened, write_ledger

TAG = b"\xbe\xef"
MINUTE = 60_000
T0 = 1_700_000_040_000
"""A minute begins."""


def key(symbol: str, action: Action, open_ms: int = T0, ordinal: int = 0, strategy: str = "mei_alpha_v1") -> IntentKey:
    return IntentKey("0xme", strategy, symbol, action, Interval.M1, open_ms, ordinal)


def old(
    what: IntentKey,
    side: Side,
    size: str,
    *,
    oid: int,
    placed_ms: int,
    status: str = "filled",
    attempt: int = 1,
    trigger: Trigger | None = None,
) -> OldOrder:
    return OldOrder(
        symbol=what.symbol,
        oid=oid,
        cloid=cloid_of(intent_id_of(what), attempt, TAG),
        side=side,
        size=Decimal(size),
        limit_price=Decimal(105),
        time_in_force=TimeInForce.GTC if trigger else TimeInForce.IOC,
        reduce_only=not what.action.increases_exposure,
        trigger=trigger,
        placed_ms=placed_ms,
        status=status,
        status_ms=placed_ms + 50,
    )


class Story:
    """What a venue tells, put together fill by fill."""

    def __init__(self) -> None:
        self.orders: list[OldOrder] = []
        self.fills: list[Fill] = []
        self.held: dict[str, Decimal] = {}
        self.payments: list[FundingPaid] = []

    def fill(
        self, symbol: str, side: Side, size: str, at_ms: int, order: OldOrder | None = None, cloid: str | None = None
    ) -> None:
        start = self.held.get(symbol, Decimal(0))
        fill = Fill(
            symbol=symbol,
            side=side,
            price=Decimal(100) + len(self.fills),
            size=Decimal(size),
            time_ms=at_ms,
            tid=len(self.fills) + 1,
            oid=9_000 + len(self.fills) if order is None else order.oid,
            cloid=cloid if order is None else order.cloid,
            fee=Decimal("0.1"),
            start_position=start,
        )
        self.fills.append(fill)
        self.held[symbol] = start + fill.signed_size

    def word(self, at_ms: int = T0 + 30 * MINUTE, since_ms: int = 0, **positions: str) -> VenueWord:
        held = {symbol: size for symbol, size in self.held.items() if size} | {
            symbol: Decimal(size) for symbol, size in positions.items()
        }
        resting = tuple(RestingOrder(o.symbol, o.oid, o.cloid, o.placed_ms) for o in self.orders if o.is_open)
        snapshot = AccountSnapshot(
            Decimal("9999.5"),
            tuple(held.items()),
            at_ms,
            tuple(HeldPosition(symbol, Decimal(100), 3) for symbol in held),
            resting,
            since_ms,
        )
        return VenueWord("0xme", tuple(self.fills), tuple(self.payments), tuple(self.orders), snapshot, since_ms)


def trip() -> Story:
    """A round trip, an entry in two attempts, an ADD, a stop and a target that rest; strangers besides."""
    told = Story()
    opening = old(key("BTC", Action.OPEN), Side.BUY, "2", oid=1, placed_ms=T0 + MINUTE + 900)
    closing = old(key("BTC", Action.CLOSE, T0 + MINUTE), Side.SELL, "2", oid=2, placed_ms=T0 + 2 * MINUTE + 500)
    again = old(key("ETH", Action.OPEN), Side.SELL, "4", oid=3, placed_ms=T0 + MINUTE + 2_000, attempt=2)
    adding = old(key("ETH", Action.ADD, T0 + 3 * MINUTE), Side.SELL, "1", oid=4, placed_ms=T0 + 4 * MINUTE + 700)
    stop_at, target_at = Trigger(TriggerKind.STOP_LOSS, Decimal(120)), Trigger(TriggerKind.TAKE_PROFIT, Decimal(80))
    old_stop = old(
        key("ETH", Action.STOP), Side.BUY, "4", oid=5, placed_ms=T0 + MINUTE + 2_500, status="canceled", trigger=stop_at
    )
    stop_key, target_key = key("ETH", Action.STOP, T0 + 3 * MINUTE, 17), key("ETH", Action.TAKE_PROFIT, T0)
    placed_ms = T0 + 4 * MINUTE + 900
    stop = old(stop_key, Side.BUY, "5", oid=6, placed_ms=placed_ms, status="open", trigger=stop_at)
    target = old(target_key, Side.BUY, "2", oid=7, placed_ms=T0 + MINUTE + 2_600, status="open", trigger=target_at)
    told.orders = [opening, closing, again, adding, old_stop, stop, target]
    told.fill("BTC", Side.BUY, "1.5", T0 + MINUTE + 1_000, opening)
    told.fill("BTC", Side.BUY, "0.5", T0 + MINUTE + 1_000, opening)
    told.fill("ETH", Side.SELL, "4", T0 + MINUTE + 2_100, again)
    told.fill("BTC", Side.SELL, "2", T0 + 2 * MINUTE + 600, closing)
    told.fill("ETH", Side.SELL, "1", T0 + 4 * MINUTE + 800, adding)
    told.fill("SOL", Side.BUY, "3", T0 + 5 * MINUTE)
    told.fill("SOL", Side.SELL, "1", T0 + 6 * MINUTE, cloid="0x" + "7" * 32)
    told.payments = [FundingPaid("ETH", T0 + 20 * MINUTE, Decimal(-5), Decimal("0.0001"), Decimal("0.05"))]
    return told


def rebuilt(word: VenueWord, *, claims: bool = True, strategy: str = "mei_alpha_v1", recent_ms: int = 0) -> Rebuilt:
    return rebuild(word, Identities("0xme", strategy, Interval.M1), claims=claims, recent_ms=recent_ms)


def written(made: Rebuilt, folder: Path) -> LedgerState:
    """The ledger as the next daemon finds it; what it says adds up."""
    path = folder / "ledger.sqlite"
    write_new(path, PAPER, made.facts)
    assert check_ledger(path).problems == []
    with opened(path) as ledger:
        return ledger.load()


def test_positions_orders_and_owners_come_back(tmp_path: Path) -> None:
    made = rebuilt(trip().word())
    assert (made.decisions, made.proven, made.problems) == (6, 6, [])
    assert made.tags == {"beef": 6}
    state = written(made, tmp_path)
    sizes = {position.symbol: (position.size, position.intent_id) for position in state.positions}
    assert sizes == {
        "ETH": (Decimal(-5), intent_id_of(key("ETH", Action.OPEN))),
        "SOL": (Decimal(2), None),
    }
    live = {intent.key.action: order for intent, order in state.live_orders}
    assert {action: order.oid for action, order in live.items()} == {Action.STOP: 6, Action.TAKE_PROFIT: 7}
    assert all(order.status is OrderStatus.OPEN for order in live.values())
    vias = {each.fill.tid: (each.via, each.reason) for each in state.recent_fills}
    assert vias[1] == (MatchedVia.CLOID, "recovered") and vias[6] == (MatchedVia.EXTERNAL, "manual")
    assert vias[7] == (MatchedVia.EXTERNAL, "other_bot")
    assert dict(state.last_closes)["BTC"].side_sign == 1
    assert state.cash_usd == Decimal("9999.5") and state.funding_usd == Decimal("0.05")
    assert dict(state.cursors) == {BORN: T0 + MINUTE + 900, FILLS_READ: T0 + 30 * MINUTE}


def test_what_was_decided_is_not_decided_again(tmp_path: Path) -> None:
    state = written(rebuilt(trip().word()), tmp_path)
    oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, Portfolio())
    oms.restore(state)
    assert oms.has_decided(Action.OPEN, "BTC", T0) and oms.has_decided(Action.OPEN, "ETH", T0)
    assert oms.has_decided(Action.STOP, "ETH", T0 + 3 * MINUTE, 17)
    assert not oms.has_decided(Action.OPEN, "BTC", T0 + MINUTE)


def test_the_new_ledger_has_a_tag_of_its_own(tmp_path: Path) -> None:
    """An ordinal that is forgotten must not lead to a cloid that the venue has seen."""
    state = written(rebuilt(trip().word()), tmp_path)
    assert state.instance_tag != TAG
    assert tag_of(cloid_of("x", 1, TAG)) == TAG


def test_exits_go_on_from_the_stop_that_rests(tmp_path: Path) -> None:
    [exits] = written(rebuilt(trip().word()), tmp_path).exit_states
    assert (exits.symbol, exits.locked_stop, exits.adds, exits.take_profit_taken) == ("ETH", 120.0, 1, False)
    entry = (4 * 102 + 104) / 5
    assert exits.entry_atr * exits.tp_mult == pytest.approx(entry - 80), "and with the target that rests"


def test_a_target_that_filled_is_taken(tmp_path: Path) -> None:
    told = trip()
    target = next(order for order in told.orders if order.oid == 7)
    told.orders.remove(target)
    told.orders.append(replace(target, status="filled", status_ms=T0 + 10 * MINUTE))
    told.fill("ETH", Side.BUY, "2", T0 + 10 * MINUTE, target)
    [exits] = written(rebuilt(told.word()), tmp_path).exit_states
    assert exits.take_profit_taken


def test_without_proof_a_decision_stands_in(tmp_path: Path) -> None:
    """Another strategy or interval is configured now: the orders are ours all the same."""
    made = rebuilt(trip().word(), strategy="another")
    assert (made.decisions, made.proven) == (6, 0)
    state = written(made, tmp_path)
    assert {intent.key.strategy for intent, _ in state.live_orders} == {"recovered"}
    actions = {intent.key.action for intent, _ in (*state.live_orders, *state.ended_orders)}
    assert actions == {Action.OPEN, Action.ADD, Action.CLOSE, Action.STOP, Action.TAKE_PROFIT}
    assert all(position.intent_id for position in state.positions if position.symbol == "ETH")


def test_a_late_fill_of_an_entry_finds_exits(tmp_path: Path) -> None:
    state = written(rebuilt(trip().word()), tmp_path)
    exits = [exit_state_of(intent) for intent in state.opening_intents]
    assert [each.entry_atr for each in exits if each is not None] == [0.0]


def test_orders_that_the_history_has_forgotten_are_known_by_their_fills(tmp_path: Path) -> None:
    told = trip()
    told.orders = [order for order in told.orders if order.is_open]
    made = rebuilt(told.word())
    assert (made.decisions, made.proven) == (6, 6)
    state = written(made, tmp_path)
    assert {position.symbol: position.size for position in state.positions} == {"ETH": -5, "SOL": 2}


def test_entries_of_the_last_candles_count_though_nothing_came_of_them(tmp_path: Path) -> None:
    told = trip()
    placed_ms = T0 + 29 * MINUTE + 800
    lost = [
        old(key("DOGE", Action.OPEN, T0 + 28 * MINUTE), Side.BUY, "9", oid=8, placed_ms=placed_ms, status=status)
        for status in ("iocCancelRejected",)
    ]
    second = replace(lost[0], oid=9, cloid=cloid_of(intent_id_of(key("DOGE", Action.OPEN, T0 + 28 * MINUTE)), 2, TAG))
    told.orders += [*lost, replace(second, placed_ms=placed_ms + 1_500)]
    assert rebuilt(told.word()).decisions == 6
    made = rebuilt(told.word(), recent_ms=2 * MINUTE)
    assert made.decisions == 7
    state = written(made, tmp_path)
    assert intent_id_of(key("DOGE", Action.OPEN, T0 + 28 * MINUTE)) in state.intent_ids


def test_what_was_held_before_the_first_fill_is_an_opening_balance(tmp_path: Path) -> None:
    told = trip()
    told.held["HYPE"] = Decimal(5)
    told.fill("HYPE", Side.SELL, "2", T0 + 7 * MINUTE)
    made = rebuilt(told.word(XRP="-70"))
    assert [(held.symbol, held.size) for held in made.opening] == [("HYPE", Decimal(5)), ("XRP", Decimal(-70))]
    state = written(made, tmp_path)
    sizes = {position.symbol: position.size for position in state.positions}
    assert (sizes["HYPE"], sizes["XRP"]) == (Decimal(3), Decimal(-70))


def test_payments_before_the_first_fill_belong_to_what_was_held(tmp_path: Path) -> None:
    told = trip()
    told.held["HYPE"] = Decimal(5)
    told.fill("HYPE", Side.SELL, "2", T0 + 7 * MINUTE)
    paid = [
        FundingPaid(symbol, T0 - 60 * MINUTE, Decimal(5), Decimal("0.0001"), Decimal("-0.25"))
        for symbol in ("HYPE", "XRP")
    ]
    told.payments = [*paid, *told.payments]
    made = rebuilt(told.word(XRP="-70"))
    assert made.problems == []
    assert [(held.symbol, held.size) for held in made.opening] == [("HYPE", Decimal(5)), ("XRP", Decimal(-70))]
    state = written(made, tmp_path)
    assert {held.symbol: held.funding for held in state.positions if held.symbol in ("HYPE", "XRP")} == {
        "HYPE": Decimal("-0.25"),
        "XRP": Decimal("-0.25"),
    }


def test_a_gap_between_fills_is_on_record(tmp_path: Path) -> None:
    told = trip()
    told.held["SOL"] = Decimal(9)
    told.fill("SOL", Side.BUY, "1", T0 + 8 * MINUTE)
    state = written(rebuilt(told.word()), tmp_path)
    assert {position.symbol: position.size for position in state.positions}["SOL"] == 10


def test_what_nothing_explains_is_told() -> None:
    assert rebuilt(trip().word(ETH="-6")).problems == ["ETH: its fills add up to -5, the venue says -6"]


def test_a_ledger_that_never_sent_claims_nothing(tmp_path: Path) -> None:
    made = rebuilt(trip().word(), claims=False)
    assert (made.decisions, made.resting) == (0, [])
    state = written(made, tmp_path)
    assert {each.reason for each in state.recent_fills} == {"other_bot", "manual"}


def test_since_is_the_ledgers_first_moment(tmp_path: Path) -> None:
    told = trip()
    since_ms = T0 + 4 * MINUTE
    told.fills = [fill for fill in told.fills if fill.time_ms >= since_ms]
    made = rebuilt(told.word(since_ms=since_ms))
    assert [(held.symbol, held.size) for held in made.opening] == [("ETH", Decimal(-4))]
    state = written(made, tmp_path)
    assert state.born_ms == since_ms
    assert {position.symbol: position.size for position in state.positions} == {"ETH": -5, "SOL": 2}


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_a_ledger_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    refuse_filled(path)
    path.touch()
    refuse_filled(path)
    path.unlink()
    with opened(path), pytest.raises(LedgerHeld):
        refuse_filled(path)
    refuse_filled(path)
    path.unlink()
    write_ledger(path, story()[:1])
    with pytest.raises(GateClosed, match="holds 1 events"):
        refuse_filled(path)
    path.rename(tmp_path / "elsewhere")
    path.with_name("ledger.sqlite-wal").write_bytes(b"x")
    with pytest.raises(GateClosed, match="without its ledger"):
        refuse_filled(path)


def test_an_empty_ledger_gives_its_place(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    open_ledger(path).close()
    state = written(rebuilt(trip().word()), tmp_path)
    assert len(state.trade_ids) == 7
    assert [each.name for each in tmp_path.iterdir() if "recovering" in each.name] == []


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    facts = rebuilt(trip().word()).facts
    with pytest.raises(StorageError):
        write_new(tmp_path / "ledger.sqlite", PAPER, [*facts, facts[0]])
    assert list(tmp_path.iterdir()) == []


# ── the wire ─────────────────────────────────────────────────────────────────────────────────────


def wire(cloid: str | None, status: str, at_ms: int, **changes: object) -> dict[str, object]:
    order = {
        "coin": "BTC",
        "side": "A",
        "limitPx": "95.5",
        "sz": "1.5",
        "oid": 11,
        "timestamp": T0,
        "triggerCondition": "Price below 100",
        "isTrigger": True,
        "triggerPx": "100.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": True,
        "orderType": "Stop Market",
        "origSz": "2.0",
        "tif": None,
        "cloid": cloid,
    }
    return {"order": order | changes, "status": status, "statusTimestamp": at_ms}


def test_an_order_is_read_as_it_stood_last() -> None:
    cloid = cloid_of("x", 1, TAG)
    rows = [
        wire(cloid, "canceled", T0 + 5),
        wire(cloid, "open", T0),
        wire(None, "open", T0, oid=12),
        wire("0x" + "1" * 32, "open", T0, oid=13),
        wire(cloid_of("y", 1, TAG), "filled", T0, oid=14, coin="@107"),
    ]
    [order] = decode_past_orders(msgspec.json.encode(rows))
    assert (order.status, order.size, order.is_open) == ("canceled", Decimal("2.0"), False)
    assert order.trigger == Trigger(TriggerKind.STOP_LOSS, Decimal("100.0"))
    [resting] = decode_resting_orders(msgspec.json.encode([rows[0]["order"], rows[2]["order"]]))
    assert resting.is_open and resting.reduce_only
    assert each_once([order, resting]) == {cloid: resting}
