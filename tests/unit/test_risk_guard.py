"""RiskGuard: what counts as exposure, what counts as an entry, and what a restart must not loosen."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from domain.candles import Interval
from domain.effects import Alert
from domain.events import CashFlowed, OrderCanceled, OrderOutcome
from domain.facts import LedgerState, RiskChanged
from domain.gating import GateResult
from domain.intents import Action, OrderIntent, Side, cloid_of
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from domain.risk import FOREVER_MS, Latch, RiskState
from domain.sizing import SizedEntry
from domain.strategy_config import RiskConfig
from tests.builders import T0, TAG, book_fill, make_config, make_fill, make_wish

D = Decimal
SMALL = SizedEntry(size=D("0.1"), leverage=D(1), margin_usd=D(10), notional_usd=D(10), worst_usd=D(10))


class Bench:
    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, self.portfolio)
        self.oms.restore(LedgerState(TAG))
        self.guard = RiskGuard(self.portfolio, self.oms)

    def place(self, symbol: str = "BTC", action: Action = Action.OPEN, **changes: Any) -> OrderIntent:
        intent = self.oms.place(Step(1, T0), make_wish(action, symbol, **changes))
        assert intent is not None
        return intent

    def gates(self, symbol: str = "SOL", equity: str = "1000", at_ms: int = T0, **risk: Any) -> dict[str, GateResult]:
        config = replace(RiskConfig(), **({"max_total_notional_usd": D(500)} | risk))
        found = self.guard.gates(
            symbol, Side.BUY, SMALL, D(equity), make_config({"max_open_positions": 3}), config, at_ms
        )
        return {gate.name: gate for gate in found}

    def value(self, name: str, symbol: str = "SOL") -> float | str | None:
        return self.gates(symbol)[name].value


def test_a_position_counts_with_its_notional_and_margin() -> None:
    bench = Bench()
    bench.guard.note_entry("BTC", D(5), T0, D(0))
    book_fill(bench.portfolio, make_fill(Side.SELL, "2", "100"), None, "")
    assert bench.value("total_notional") == 210.0
    assert bench.value("margin_cap") == 50.0
    assert bench.value("max_open_positions") == 2


def test_a_position_whose_leverage_is_not_known_counts_in_full() -> None:
    bench = Bench()
    book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
    assert bench.value("margin_cap") == 210.0


def test_what_remains_of_an_entry_order_counts_at_its_limit_as_if_it_had_filled() -> None:
    bench = Bench()
    intent = bench.place(size=D(2), limit_price=D(101), leverage=D(2))
    for outcome in (Unknown("timed out"), Accepted(7)):
        assert bench.value("total_notional") == 212.0
        assert bench.value("margin_cap") == 111.0
        assert bench.value("max_open_positions") == 2
        bench.oms.on_outcome(Step(2, T0), OrderOutcome(cloid_of(intent.intent_id, 1, TAG), outcome))
    bench.oms.on_canceled(Step(3, T0), OrderCanceled(cloid_of(intent.intent_id, 1, TAG), "canceled"))
    assert bench.value("total_notional") == 10.0


def test_an_entry_order_of_a_symbol_that_is_held_is_no_second_position() -> None:
    bench = Bench()
    book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
    bench.place(action=Action.ADD)
    assert bench.value("max_open_positions") == 2
    assert bench.value("max_open_positions", "BTC") == 1


def test_orders_that_reduce_count_nothing() -> None:
    bench = Bench()
    for action in (Action.REDUCE, Action.CLOSE, Action.STOP, Action.TAKE_PROFIT):
        bench.place(action=action, side=Side.SELL)
    assert (bench.value("total_notional"), bench.value("max_open_positions")) == (10.0, 1)


def test_a_rejected_order_counts_nothing() -> None:
    bench = Bench()
    intent = bench.place()
    rejected = Rejected(RejectReason.OTHER, "no")
    bench.oms.on_outcome(Step(2, T0), OrderOutcome(cloid_of(intent.intent_id, 1, TAG), rejected))
    assert bench.value("total_notional") == 10.0


def test_the_leverage_of_an_add_does_not_lighten_the_position_before_it_has_filled() -> None:
    """The venue may refuse the add; the margin of what is held is then still that of the first entry."""
    bench = Bench()
    bench.guard.note_entry("BTC", D(1), T0, D(0))
    book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
    bench.guard.note_entry("BTC", D(5), T0, D(0))
    assert bench.value("margin_cap") == 210.0


def test_a_new_position_has_its_own_leverage() -> None:
    bench = Bench()
    bench.guard.note_entry("BTC", D(1), T0, D(0))
    bench.guard.note_entry("BTC", D(5), T0 + 60_000, D(0))
    book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
    assert bench.value("margin_cap") == 50.0


def test_entries_count_for_one_minute() -> None:
    bench = Bench()
    for number in range(3):
        bench.guard.note_entry("BTC", D(1), T0 + number, D(0))
    bench.guard.note_entry("ETH", D(1), T0 + 10, D(0))
    last_ms = T0 + 59_999
    assert bench.gates("BTC", at_ms=last_ms)["entries_per_minute"].value == 5
    assert bench.gates("BTC", at_ms=last_ms)["entries_per_minute_symbol"].value == 4
    assert bench.gates("BTC", at_ms=last_ms + 1)["entries_per_minute"].value == 4
    assert bench.gates("BTC", at_ms=T0 + 60_010)["entries_per_minute"].value == 1


def test_entries_of_the_last_minute_count_after_a_restart() -> None:
    bench = Bench()
    entries = ((T0 - 90_000, "SOL", D(5)), (T0 - 59_999, "BTC", D(7)), (T0 - 30_000, "ETH", D(11)))
    bench.guard.restore(LedgerState(TAG, recent_entries=entries))
    assert bench.gates(max_notional_per_window_usd=D(100))["window_notional"].value == 28.0
    assert bench.gates(max_notional_per_window_usd=D(100), notional_window_s=3600)["window_notional"].value == 33.0
    assert bench.gates("BTC", at_ms=T0)["entries_per_minute"].value == 3
    assert bench.gates("BTC", at_ms=T0)["entries_per_minute_symbol"].value == 2
    assert bench.gates("BTC", at_ms=T0 + 1)["entries_per_minute_symbol"].value == 1


def test_a_new_equity_is_a_fact_and_a_trip_is_told_once() -> None:
    bench, limits = Bench(), replace(RiskConfig(), max_drawdown_pct=D(10))
    steps = []
    for number, equity in enumerate((1000, 1000, 1100, 980, 980)):
        steps.append(Step(number, T0))
        bench.guard.update_equity(steps[-1], D(equity), limits)
    assert [len(step.facts) for step in steps] == [1, 0, 1, 1, 0]
    assert [effect.code for step in steps for effect in step.effects if isinstance(effect, Alert)] == ["kill_latch"]
    assert steps[3].facts == [RiskChanged(bench.guard.state, T0)]
    assert bench.guard.state.latch is Latch.CLOSE_ONLY
    assert not bench.gates()["kill_latch"].passed


def test_what_was_shut_is_shut_after_a_restart_and_a_trip_of_an_older_ledger_too() -> None:
    for state in (RiskState(latch=Latch.HALT, latch_why="cli"), RiskState(tripped="drawdown")):
        bench = Bench()
        bench.guard.restore(LedgerState(TAG, risk=state))
        assert not bench.gates()["kill_latch"].passed
        assert bench.guard.bars_entries().startswith("the kill latch is ")


def test_a_position_counts_with_its_worth_and_never_with_less_than_it_cost() -> None:
    marks: tuple[tuple[dict[str, Decimal], float], ...] = (
        ({"BTC": D(130)}, 270.0),
        ({"BTC": D(70)}, 210.0),
        ({}, 210.0),
    )
    for known, value in marks:
        bench = Bench()
        bench.guard = RiskGuard(bench.portfolio, bench.oms, known.get)
        book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
        assert bench.value("total_notional") == value


def test_exposure_is_counted_by_symbol_and_by_side() -> None:
    bench = Bench()
    book_fill(bench.portfolio, make_fill(Side.BUY, "2", "100"), None, "")
    book_fill(bench.portfolio, make_fill(Side.SELL, "3", "100", symbol="ETH"), None, "")
    bench.place("BTC", Action.ADD, size=D(1), limit_price=D(101))
    caps: dict[str, Any] = {"max_symbol_notional_usd": D(1), "max_side_notional_usd": D(1)}
    of_btc, of_sol = bench.gates("BTC", **caps), bench.gates("SOL", **caps)
    assert (of_btc["symbol_notional"].value, of_btc["side_notional"].value) == (311.0, 311.0)
    assert (of_sol["symbol_notional"].value, of_sol["side_notional"].value) == (10.0, 311.0)


def test_a_flow_of_cash_counts_once_however_often_it_is_told() -> None:
    bench, flow = Bench(), CashFlowed("f1", "deposit", T0, D(500))
    bench.guard.restore(LedgerState(TAG, risk=RiskState(peak_equity_usd=D(1000)), flow_ids=frozenset(("f0",))))
    steps = [Step(number, T0) for number in range(3)]
    for step in steps[:2]:
        bench.guard.note_flow(step, flow)
    bench.guard.note_flow(steps[2], replace(flow, flow_id="f0"))
    assert [len(step.facts) for step in steps] == [2, 0, 0]
    assert bench.guard.state.peak_equity_usd == D(1500)


def test_nothing_but_its_own_reason_is_lifted_by_resume() -> None:
    bench = Bench()
    bench.guard.pause(Step(1, T0), "cli")
    bench.guard.cool(Step(1, T0), "BTC", FOREVER_MS)
    bench.guard.shut(Step(1, T0), Latch.CLOSE_ONLY, "cli")
    bench.guard.hold_entries("account", "silent")
    bench.guard.resume(Step(2, T0))
    assert bench.guard.bars_entries() == "the kill latch is close_only: cli"
    bench.guard.open(Step(3, T0), D(1000))
    assert (bench.guard.bars_entries(), bench.guard.is_holding) == ("", True)
    assert bench.gates("BTC")["reject_cooldown_ms"].passed
