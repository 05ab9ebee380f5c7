"""StrategyHealth: who fails three candles in a row takes no entries until somebody has looked."""

import numpy as np

from application.step import Step
from application.strategy_health import MOST_FAILURES, StrategyHealth
from domain.effects import Alert
from domain.events import OperatorSpoke, StrategyAnswered
from domain.operator import OperatorVerb
from tests.engine_builders import (
    BUY,
    EASY_ENTRIES,
    MINUTE_MS,
    NEUTRAL,
    START_MS,
    EngineRig,
    analyses_of,
    effects_of,
    overrides_text,
    submitted,
    universe_of,
)
from tests.job_strategy import JobStrategy, job_in

ALL = ("BTC", "ETH")


class Counted:
    """A health and what it has told; the n-th candle opens at n."""

    def __init__(self) -> None:
        self.health = StrategyHealth()
        self.told: list[str] = []

    def take(self, candle: int, *failed: str, asked: tuple[str, ...] = ALL) -> None:
        step = Step(candle, candle)
        self.health.take(step, asked, dict.fromkeys(failed, "it raised"), candle)
        self.told += [effect.text for effect in step.effects if isinstance(effect, Alert)]

    def is_off(self, symbol: str) -> bool:
        gates = self.health.gates(symbol)
        assert all(gate.name == "strategy_healthy" and not gate.passed for gate in gates)
        return bool(gates)


def test_three_candles_in_a_row_end_a_symbols_entries_with_one_alert() -> None:
    counted = Counted()
    for candle in (1, 2):
        counted.take(candle, "BTC")
    assert not counted.is_off("BTC")
    for candle in (3, 4, 5):
        counted.take(candle, "BTC")
    assert counted.is_off("BTC") and not counted.is_off("ETH")
    assert len(counted.told) == 1 and counted.told[0].startswith("BTC: 3 analyses in a row have failed")


def test_a_good_answer_in_between_begins_the_count_anew() -> None:
    counted = Counted()
    for candle in range(1, 20):
        counted.take(candle, *(["BTC"] if candle % 3 else []))
    assert not counted.is_off("BTC") and counted.told == []


def test_a_good_answer_afterwards_does_not_put_entries_on_again() -> None:
    counted = Counted()
    for candle in range(1, 4):
        counted.take(candle, "BTC")
    for candle in range(4, 50):
        counted.take(candle)
    assert counted.is_off("BTC")
    counted.health.clear()
    assert not counted.is_off("BTC") and counted.health.disabled == {}


def test_a_candle_counts_once_however_often_it_is_told_of() -> None:
    counted = Counted()
    for candle in (1, 1, 2, 2, 1):
        counted.take(candle, "BTC")
    assert not counted.is_off("BTC")
    counted.take(2)
    counted.take(3, "BTC")
    assert counted.is_off("BTC"), "a good word on a candle that failed already changes nothing"


def test_who_is_not_in_a_batch_keeps_his_count() -> None:
    counted = Counted()
    counted.take(1, "BTC")
    counted.take(2, asked=("ETH",))
    counted.take(3, "BTC")
    counted.take(4, "BTC", asked=("BTC",))
    assert counted.is_off("BTC")


def test_many_at_once_are_one_alert() -> None:
    counted, many = Counted(), tuple(f"S{number}" for number in range(8))
    for candle in range(1, 4):
        counted.take(candle, *many, asked=many)
    assert len(counted.told) == 1 and counted.told[0].startswith("S0, S1, S2, S3, S4 and 3 more:")


# ── in the engine ────────────────────────────────────────────────────────────────────────────


def failed(rig: EngineRig, number: int, *, whole: bool = False) -> None:
    """One candle on which BTC fails and ETH has no signal; or of which there is no answer at all."""
    job = job_in(rig.close_candle(START_MS + number * MINUTE_MS))
    analyses = analyses_of(job.batch.ids, [NEUTRAL, NEUTRAL], job.batch.close.tolist())
    analyses.failures[0] = "it raised ValueError"
    event = StrategyAnswered(job.job_no, None, "it is gone") if whole else StrategyAnswered(job.job_no, analyses)
    assert submitted(rig.take(event)) == []


def bought(rig: EngineRig, number: int) -> list[str]:
    """One candle on which both have a signal: the symbols of the entries."""
    job = job_in(rig.close_candle(START_MS + number * MINUTE_MS))
    analyses = analyses_of(job.batch.ids, [BUY, BUY], job.batch.close.tolist())
    return [request.symbol for request in submitted(rig.take(StrategyAnswered(job.job_no, analyses)))]


def disabled_rig(*, whole: bool = False) -> EngineRig:
    """BTC has failed on three candles, on its own or with the whole batch."""
    rig = EngineRig(universe_of(*ALL), JobStrategy(*ALL))
    for number in range(MOST_FAILURES):
        failed(rig, number, whole=whole)
    told = [alert.text for alert in effects_of(Alert, *rig.steps) if alert.code == "strategy_disabled"]
    assert len(told) == 1 and told[0].startswith("BTC, ETH:" if whole else "BTC:")
    return rig


def test_a_disabled_symbol_is_refused_by_its_own_gate() -> None:
    rig = disabled_rig()
    assert bought(rig, MOST_FAILURES) == ["ETH"]
    gates = rig.decisions()[-1].entry_gates[rig.universe.id_of("BTC")]
    assert [gate.name for gate in gates if not gate.passed] == ["strategy_healthy"]


def test_a_batch_without_an_answer_counts_for_everybody_in_it() -> None:
    assert bought(disabled_rig(whole=True), MOST_FAILURES) == []


def offer(rig: EngineRig, content: str) -> None:
    """A new overrides text, and the same once it has settled."""
    for seen_ms in (0, 1_000):
        rig.take(overrides_text(content, seen_ms))


def test_a_resume_enables_again() -> None:
    rig = disabled_rig()
    rig.take(OperatorSpoke("r1", OperatorVerb.RESUME, None, "", "test"))
    assert bought(rig, MOST_FAILURES) == ["BTC", "ETH"]


def test_a_new_config_enables_again() -> None:
    rig = disabled_rig()
    offer(rig, EASY_ENTRIES.replace("low", "medium"))
    assert bought(rig, MOST_FAILURES) == ["BTC", "ETH"]


def test_a_refused_config_enables_nothing() -> None:
    rig = disabled_rig()
    offer(rig, "global: {trade: {leverage: none}}")
    assert "config_refused" in [alert.code for alert in effects_of(Alert, *rig.steps)]
    assert bought(rig, MOST_FAILURES) == ["ETH"]


def test_exits_of_a_disabled_symbol_go_on() -> None:
    rig = EngineRig(universe_of(*ALL), JobStrategy(*ALL))
    job = job_in(rig.close_candle(START_MS))
    entry = analyses_of(job.batch.ids, [BUY, NEUTRAL], job.batch.close.tolist())
    (order,) = submitted(rig.take(StrategyAnswered(job.job_no, entry)))
    rig.fill(order)
    for number in range(1, MOST_FAILURES + 1):
        failed(rig, number)
    assert "BTC" in rig.engine.health.disabled
    step = rig.quote(60.0, "BTC")
    assert [request.symbol for request in submitted(step) if request.reduce_only] == ["BTC"]


def test_columns_of_nonsense_count_for_everybody_who_was_asked() -> None:
    rig = EngineRig(universe_of(*ALL), JobStrategy(*ALL))
    for number in range(MOST_FAILURES):
        job = job_in(rig.close_candle(START_MS + number * MINUTE_MS))
        analyses = analyses_of(job.batch.ids, [BUY, BUY], job.batch.close.tolist())
        analyses.features[1, 0] = np.inf
        assert submitted(rig.take(StrategyAnswered(job.job_no, analyses))) == []
    assert sorted(rig.engine.health.disabled) == ["BTC", "ETH"]
