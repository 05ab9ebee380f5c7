"""The engine and who is watched: entering, leaving, held whatever happens; spot checks; candles nobody decided on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.market_desk import VOLUMES_PATIENCE_MS
from application.step import Step
from domain.candles import Interval
from domain.effects import FetchCandles, SubmitOrder, WatchMarket
from domain.events import (
    AccountSnapshot,
    CandlesChecked,
    Event,
    FillArrived,
    HistoryLoaded,
    MidsChecked,
    OrderCanceled,
    OrderOutcome,
    Recovered,
    TimerFired,
    VolumesHeard,
)
from domain.facts import CandlesSkipped, DecisionsRecorded, LedgerState
from domain.fills import Fill
from domain.gating import first_refusal
from domain.intents import OrderRequest
from domain.orders import Accepted
from ports.strategy import WARMUP_CANDLES
from tests.engine_builders import (
    BUY,
    EASY_ENTRIES,
    MINUTE_MS,
    START_MS,
    Opinion,
    ScriptedStrategy,
    effects_of,
    facts_of,
    flat_bar,
    manager_of,
    quotes_of,
    universe_of,
    updates_of,
    window_of,
)

SYMBOLS = ("BTC", "ETH", "SOL", "XRP", "DOGE")


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


class Rig:
    """One-minute candles; the most traded `top` of five, or the `named` ones."""

    def __init__(
        self, *, top: int | None = None, named: tuple[str, ...] | None = None, script: Mapping[tuple[str, int], Opinion]
    ) -> None:
        self.universe = universe_of(*SYMBOLS)
        self.strategy = ScriptedStrategy(self.universe, script)
        settings = EngineSettings(
            "account", Interval.M1, candle_close_grace_ms=1_000, named=named, top=top, waits_for_volumes=True
        )
        self.engine = UnifiedEngine(settings, self.universe, self.strategy, manager_of(EASY_ENTRIES))
        self.steps: list[Step] = []
        self.now_ms = START_MS + 500
        self.take(Recovered(LedgerState(instance_tag=b"ab"), ""))
        self.take(AccountSnapshot(Decimal(10_000), (), self.now_ms))

    def take(self, event: Event, at_ms: int | None = None) -> Step:
        self.now_ms = max(self.now_ms, at_ms or 0)
        step = self.engine.handle(len(self.steps) + 1, self.now_ms, event)
        self.steps.append(step)
        return step

    def volumes(self, *ranking: str, delisted: tuple[str, ...] = ()) -> Step:
        notional = np.array([100.0 - ranking.index(symbol) if symbol in ranking else 0.0 for symbol in SYMBOLS])
        return self.take(VolumesHeard(np.arange(len(SYMBOLS), dtype=np.intp), notional, delisted))

    def warm(self, *symbols: str, last: int = -1) -> None:
        for symbol in symbols:
            window = window_of(symbol, candle(last), [100.0] * (WARMUP_CANDLES + 1), quiet_every=2)
            self.take(HistoryLoaded(symbol, Interval.M1, window, "venue"))

    def close(self, number: int, *symbols: str) -> Step:
        bars = {self.universe.id_of(symbol): flat_bar(100.0) for symbol in symbols}
        self.take(updates_of(candle(number), bars, candle(number) + 59_000), candle(number) + 59_000)
        at_ms = candle(number + 1) + 1_000
        return self.take(quotes_of(at_ms, dict.fromkeys(range(len(SYMBOLS)), (100.0, 100.0))), at_ms)

    def fill(self, request: OrderRequest) -> Step:
        self.take(OrderOutcome(request.cloid, Accepted(7)))
        held = self.engine.portfolio.position(request.symbol).size
        fill = Fill(
            request.symbol,
            request.side,
            Decimal(100),
            request.size,
            self.now_ms,
            len(self.steps),
            7,
            request.cloid,
            Decimal("0.01"),
            held,
        )
        return self.take(FillArrived(fill))


def watched(*steps: Step) -> list[tuple[str, ...]]:
    return [effect.symbols for effect in effects_of(WatchMarket, *steps)]


def fetched(*steps: Step) -> list[str]:
    return [effect.symbol for effect in effects_of(FetchCandles, *steps)]


def test_nothing_is_asked_for_before_somebody_said_who_is_most_traded_and_then_in_that_order() -> None:
    rig = Rig(script={})
    assert watched(*rig.steps) == [] and fetched(*rig.steps) == []
    step = rig.volumes("SOL", "XRP", "ETH", "BTC", "DOGE")
    assert watched(step) == [("BTC", "SOL", "XRP", "ETH", "DOGE")]
    assert fetched(step) == ["BTC", "SOL", "XRP", "ETH", "DOGE"]


def test_where_nobody_says_it_the_named_start_after_a_while_and_the_most_traded_go_on_waiting() -> None:
    for top, expected in ((None, [SYMBOLS]), (2, [])):
        rig = Rig(top=top, script={})
        assert watched(rig.take(TimerFired(), rig.now_ms + VOLUMES_PATIENCE_MS - 1)) == []
        assert watched(rig.take(TimerFired(), rig.now_ms + 1)) == expected


def test_symbols_enter_and_leave_while_running_and_whoever_leaves_is_forgotten() -> None:
    rig = Rig(top=2, script={})
    rig.volumes("ETH", "SOL", "XRP")
    rig.warm("BTC", "ETH", "SOL")
    step = rig.volumes("XRP", "ETH", "DOGE", "BTC", "SOL")
    assert watched(step) == [("BTC", "XRP", "ETH")] and fetched(step) == ["XRP"]
    assert rig.strategy.forgotten == ["SOL"]
    rig.warm("SOL", "XRP")
    rig.close(0, "BTC", "ETH", "SOL", "XRP")
    assert {symbol for symbol, open_ms in rig.strategy.analysed if open_ms == candle(0)} == {"BTC", "ETH", "XRP"}


def test_a_context_that_is_not_on_the_list_is_analysed_and_never_entered() -> None:
    rig = Rig(named=("ETH",), script={("BTC", candle(0)): BUY, ("ETH", candle(0)): BUY})
    rig.volumes(*SYMBOLS)
    rig.warm("BTC", "ETH")
    step = rig.close(0, "BTC", "ETH")
    assert [effect.request.symbol for effect in effects_of(SubmitOrder, step)] == ["ETH"]
    (record,) = facts_of(DecisionsRecorded, step)
    refusal = first_refusal(record.entry_gates[record.symbols.index("BTC")])
    assert refusal is not None and (refusal.name, refusal.value) == ("watchlist", "not on it")


def test_a_position_is_streamed_and_managed_though_its_symbol_left_the_list_until_it_is_flat() -> None:
    rig = Rig(top=2, script={("SOL", candle(0)): BUY, ("SOL", candle(1)): BUY})
    rig.volumes("ETH", "SOL", "XRP")
    rig.warm("BTC", "ETH", "SOL")
    (entry,) = [effect.request for effect in effects_of(SubmitOrder, rig.close(0, "BTC", "ETH", "SOL"))]
    rig.fill(entry)
    step = rig.volumes("XRP", "ETH", "DOGE", "BTC", "SOL")
    assert watched(step) == [("SOL", "BTC", "XRP", "ETH")]
    step = rig.close(1, "BTC", "ETH", "SOL")
    assert ("SOL", candle(1)) in rig.strategy.analysed and not effects_of(SubmitOrder, step), "no adding to it"
    price = rig.take(quotes_of(rig.now_ms + 1, {2: (50.0, 50.0)}), rig.now_ms + 1)
    (exit_,) = [effect.request for effect in effects_of(SubmitOrder, price) if effect.request.reduce_only]
    assert (exit_.symbol, exit_.size) == ("SOL", entry.size)
    rig.fill(exit_)
    resting = [live.order.request.cloid for live in rig.engine.oms.all_live_orders()]
    assert resting, "its stop and target are being cancelled, and are at the venue until then"
    last = [rig.take(OrderCanceled(cloid, "canceled")) for cloid in resting][-1]
    assert watched(last) == [("BTC", "XRP", "ETH")] and "SOL" in rig.strategy.forgotten


def test_a_delisted_symbol_leaves() -> None:
    rig = Rig(named=("ETH", "SOL"), script={})
    rig.volumes(*SYMBOLS)
    assert watched(rig.volumes(*SYMBOLS, delisted=("SOL",))) == [("BTC", "ETH")]


def test_a_history_that_comes_after_its_symbol_left_changes_nothing() -> None:
    rig = Rig(top=1, script={})
    rig.volumes("ETH")
    rig.volumes("SOL", "XRP", "ETH")
    before = rig.engine.hub.candles.taken.copy()
    rig.warm("ETH")
    assert (rig.engine.hub.candles.taken == before).all() and "ETH" not in rig.strategy.rebuilt


# ── spot checks ──────────────────────────────────────────────────────────────────────────────


def checked(rig: Rig, price: float, at_ms: int) -> Step:
    return rig.take(MidsChecked(at_ms, np.array([1], dtype=np.intp), np.array([price])), at_ms + 300)


def price_of(rig: Rig) -> tuple[float, str, int]:
    view = rig.engine.hub.price(1, rig.now_ms)
    assert view is not None
    return view.price, view.source, view.age_ms


def test_an_old_quote_that_a_spot_check_confirms_is_as_young_as_the_question() -> None:
    rig = Rig(script={})
    rig.take(quotes_of(rig.now_ms, {1: (100.0, 100.0)}))
    rig.now_ms += 60_000
    assert price_of(rig) == (100.0, "mid", 60_000)
    checked(rig, 100.02, rig.now_ms)
    assert price_of(rig) == (100.0, "mid", 300)


def test_a_spot_check_that_says_otherwise_replaces_the_quote_and_the_next_quote_replaces_it() -> None:
    rig = Rig(script={})
    rig.take(quotes_of(rig.now_ms, {1: (100.0, 100.0)}))
    rig.now_ms += 60_000
    checked(rig, 97.0, rig.now_ms)
    assert price_of(rig) == (97.0, "checked", 300)
    rig.take(quotes_of(rig.now_ms, {1: (98.0, 98.0)}))
    assert price_of(rig) == (98.0, "mid", 0)


def test_a_quote_from_after_the_question_is_newer_than_its_answer() -> None:
    rig = Rig(script={})
    asked_ms = rig.now_ms
    rig.take(quotes_of(asked_ms + 100, {1: (100.0, 100.0)}), asked_ms + 100)
    checked(rig, 97.0, asked_ms)
    assert price_of(rig)[0] == 100.0


def test_exits_look_at_a_price_that_only_a_spot_check_knows() -> None:
    rig = Rig(script={("ETH", candle(0)): BUY})
    rig.volumes(*SYMBOLS)
    rig.warm(*SYMBOLS)
    (entry,) = [effect.request for effect in effects_of(SubmitOrder, rig.close(0, *SYMBOLS))]
    rig.fill(entry)
    step = checked(rig, 50.0, rig.now_ms + 20_000)
    assert [effect.request.reduce_only for effect in effects_of(SubmitOrder, step)] == [True]


# ── candles that nobody decided on ───────────────────────────────────────────────────────────


def test_candles_that_were_repaired_too_late_are_on_record() -> None:
    rig = Rig(named=("BTC", "ETH"), script={})
    rig.volumes(*SYMBOLS)
    rig.warm("BTC", "ETH")
    rig.close(0, "BTC", "ETH")
    rig.take(TimerFired(), candle(4) + 30_000)
    rig.close(4, "BTC", "ETH")
    assert fetched(rig.steps[-1]) == ["BTC", "ETH"]
    rig.now_ms += 2_000
    rig.warm("ETH", last=4)
    (skipped,) = facts_of(CandlesSkipped, *rig.steps)
    assert (skipped.symbol, skipped.first_ms, skipped.last_ms) == ("ETH", candle(1), candle(3))
    assert rig.strategy.analysed[-1] == ("ETH", candle(4))


def test_what_the_venue_says_otherwise_rebuilds_its_symbol_and_decides_nothing_again() -> None:
    rig = Rig(named=("BTC", "ETH"), script={})
    rig.volumes(*SYMBOLS)
    rig.warm("BTC", "ETH")
    rig.close(0, "BTC", "ETH")
    same = rig.take(CandlesChecked("ETH", Interval.M1, window_of("ETH", candle(0), [100.0] * 1)))
    assert fetched(same) == []
    rig.strategy.script[("ETH", candle(0))] = BUY
    other = rig.take(CandlesChecked("ETH", Interval.M1, window_of("ETH", candle(0), [90.0] * 1)))
    assert fetched(other) == ["ETH"]
    done = len(rig.strategy.analysed)
    rig.warm("ETH", last=0)
    assert len(rig.strategy.analysed) == done and not effects_of(SubmitOrder, *rig.steps)
