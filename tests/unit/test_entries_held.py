"""Held entries: refused by a named gate and on record, until every source has let go. Exits are never asked."""

from __future__ import annotations

from application.inbox import Inbox
from domain.events import EntriesHeld, TimerFired
from domain.facts import IntentRecorded
from domain.gating import GateResult, first_refusal
from domain.intents import Action
from domain.verdicts import Verdict
from tests.engine_builders import BUY, MINUTE_MS, SELL, START_MS, EngineRig, facts_of, submitted, universe_of


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


def rig_of(*symbols: str) -> EngineRig:
    return EngineRig(universe_of(*(symbols or ("BTC",))))


def gates_of(rig: EngineRig, symbol: str = "BTC") -> list[GateResult]:
    record = rig.decisions()[-1]
    return record.entry_gates[record.symbols.index(symbol)]


def verdict_of(rig: EngineRig, symbol: str = "BTC") -> Verdict:
    record = rig.decisions()[-1]
    return Verdict(int(record.verdict[record.symbols.index(symbol)]))


def actions_of(rig: EngineRig) -> list[Action]:
    return [fact.intent.key.action for fact in facts_of(IntentRecorded, *rig.steps)]


def offer(rig: EngineRig, number: int) -> list[str]:
    """A signal to buy at the close of this candle; which symbols were ordered."""
    rig.strategy.script |= {(symbol, candle(number)): BUY for symbol in rig.universe.symbols}
    return [request.symbol for request in submitted(rig.close_candle(candle(number)))]


def test_a_held_entry_is_refused_for_a_named_reason_that_is_on_record() -> None:
    rig = rig_of("BTC", "ETH")
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    assert offer(rig, 0) == []
    for symbol in ("BTC", "ETH"):
        assert verdict_of(rig, symbol) is Verdict.REFUSED
        refused = first_refusal(gates_of(rig, symbol))
        assert refused == GateResult("entries_held", "clock_skew: 11 s off", "no", False)
    assert not actions_of(rig)


def test_an_entry_that_is_not_held_says_so_too() -> None:
    rig = rig_of()
    assert offer(rig, 0) == ["BTC"]
    assert GateResult("entries_held", "no", "no", True) in gates_of(rig)


def test_an_empty_reason_lets_go_and_the_next_candle_is_entered() -> None:
    rig = rig_of()
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    offer(rig, 0)
    rig.take(EntriesHeld("clock_skew", ""))
    assert offer(rig, 1) == ["BTC"]


def test_the_reason_of_one_source_may_change_and_is_one_hold() -> None:
    rig = rig_of()
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    rig.take(EntriesHeld("clock_skew", "12 s off"))
    offer(rig, 0)
    refused = first_refusal(gates_of(rig))
    assert refused is not None and refused.value == "clock_skew: 12 s off"
    rig.take(EntriesHeld("clock_skew", ""))
    assert offer(rig, 1) == ["BTC"]


def test_each_source_lets_go_only_of_its_own_hold() -> None:
    rig = rig_of()
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    rig.take(EntriesHeld("agent_ends", "59 minutes"))
    offer(rig, 0)
    refused = first_refusal(gates_of(rig))
    assert refused is not None and refused.value == "agent_ends: 59 minutes; clock_skew: 11 s off"
    rig.take(EntriesHeld("clock_skew", ""))
    assert offer(rig, 1) == []
    rig.take(EntriesHeld("operator", ""))
    assert offer(rig, 2) == [], "who holds nothing lifts nothing"
    rig.take(EntriesHeld("agent_ends", ""))
    assert offer(rig, 3) == ["BTC"]


def test_adding_to_a_position_is_held_as_well() -> None:
    rig = rig_of()
    rig.open_position("BTC")
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    before = len(actions_of(rig))
    offer(rig, 1)
    assert GateResult("entries_held", "clock_skew: 11 s off", "no", False) in gates_of(rig)
    assert Action.ADD not in actions_of(rig)[before:]


def test_a_position_keeps_its_stop_and_target_and_closes_while_entries_are_held() -> None:
    rig = rig_of()
    rig.strategy.script[("BTC", candle(0))] = BUY
    (entry,) = submitted(rig.close_candle(candle(0)))
    rig.take(EntriesHeld("clock_skew", "11 s off"))
    rig.fill(entry)
    assert {Action.STOP, Action.TAKE_PROFIT} <= set(actions_of(rig))
    rig.strategy.script[("BTC", candle(1))] = SELL
    rig.close_candle(candle(1))
    assert verdict_of(rig) is Verdict.CLOSE
    assert actions_of(rig)[-1] is Action.CLOSE


def test_a_hold_is_taken_before_time_and_market() -> None:
    inbox, hold = Inbox(), EntriesHeld("clock_skew", "11 s off")
    inbox.put(TimerFired())
    inbox.put(hold)
    assert inbox.take() is hold
