"""What the digest of a run depends on, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from application.digest import RunDigest
from application.step import Step
from domain.effects import SubmitOrder
from domain.facts import DecisionsRecorded, Fact, FillRecorded, FundingRecorded, IntentRecorded, PositionChanged
from domain.gating import GateResult
from tests.engine_builders import BUY, START_MS, EngineRig, effects_of, facts_of, universe_of


def steps_of_a_trade() -> list[Step]:
    rig = EngineRig(universe_of("BTC", "ETH"))
    rig.open_position("BTC")
    rig.strategy.script[("ETH", START_MS + 60_000)] = BUY
    rig.close_candle(START_MS + 60_000)
    assert effects_of(SubmitOrder, *rig.steps)
    return rig.steps


def facts() -> list[Fact]:
    told = [fact for step in steps_of_a_trade() for fact in step.facts]
    return [*told, FundingRecorded("BTC", START_MS, Decimal(1), Decimal("0.0001"), Decimal("-0.01"))]


def digest_of(facts: list[Fact]) -> str:
    digest = RunDigest()
    for fact in facts:
        digest.add(fact)
    return digest.hexdigest()


def changed(kind: type[Fact], change: Callable[[Fact], Fact]) -> list[Fact]:
    """The facts of the trade with the last one of a kind changed."""
    all_facts = facts()
    place = max(number for number, fact in enumerate(all_facts) if isinstance(fact, kind))
    all_facts[place] = change(all_facts[place])
    return all_facts


def with_column(name: str, value: int) -> Callable[[Fact], Fact]:
    def change(fact: Fact) -> Fact:
        assert isinstance(fact, DecisionsRecorded)
        holder = fact if hasattr(fact, name) else fact.analyses
        column = getattr(holder, name).copy()
        column[-1] = value
        setattr(holder, name, column)
        return fact

    return change


def with_gates(fact: Fact) -> Fact:
    assert isinstance(fact, DecisionsRecorded)
    fact.entry_gates = {place: [GateResult("other", 1, 0, False), *gates] for place, gates in fact.entry_gates.items()}
    return fact


def with_fill(**values: object) -> Callable[[Fact], Fact]:
    def change(fact: Fact) -> Fact:
        assert isinstance(fact, FillRecorded)
        return replace(fact, fill=replace(fact.fill, **values))  # type: ignore[arg-type]

    return change


def with_intent(fact: Fact) -> Fact:
    assert isinstance(fact, IntentRecorded)
    return replace(fact, intent=replace(fact.intent, size=fact.intent.size + 1))


def test_the_same_run_has_the_same_digest() -> None:
    assert digest_of(facts()) == digest_of(facts())


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (DecisionsRecorded, with_column("signal", -1)),
        (DecisionsRecorded, with_column("verdict", 5)),
        (DecisionsRecorded, with_column("confidence", 0)),
        (DecisionsRecorded, with_column("first_no", 3)),
        (DecisionsRecorded, with_gates),
        (DecisionsRecorded, lambda fact: replace(fact, open_ms=fact.open_ms + 1)),
        (DecisionsRecorded, lambda fact: replace(fact, batch_no=fact.batch_no + 1)),
        (DecisionsRecorded, lambda fact: replace(fact, config_digest="other")),
        (DecisionsRecorded, lambda fact: replace(fact, symbols=("BTC", "SOL"))),
        (IntentRecorded, with_intent),
        (FillRecorded, with_fill(price=Decimal("100.5"))),
        (FillRecorded, with_fill(size=Decimal(2))),
        (FillRecorded, with_fill(fee=Decimal(1))),
        (FillRecorded, with_fill(tid=77)),
        (FundingRecorded, lambda fact: replace(fact, amount_usd=Decimal(1))),
    ],
)
def test_every_decision_intent_fill_and_funding_counts(kind: type[Fact], change: Callable[[Fact], Fact]) -> None:
    assert digest_of(changed(kind, change)) != digest_of(facts())


def test_the_order_of_the_facts_counts() -> None:
    assert digest_of(facts()[::-1]) != digest_of(facts())


def test_floats_and_what_follows_from_the_rest_do_not_count() -> None:
    def blurred(fact: Fact) -> Fact:
        assert isinstance(fact, DecisionsRecorded)
        fact.analyses.features = np.nextafter(fact.analyses.features, np.inf)
        return fact

    assert digest_of(changed(DecisionsRecorded, blurred)) == digest_of(facts())
    assert digest_of([fact for fact in facts() if not isinstance(fact, PositionChanged)]) == digest_of(facts())
    assert facts_of(PositionChanged, *steps_of_a_trade())
