"""The canonical text of facts: nothing is lost on the way, and equal facts have equal texts."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.confidence import Confidence
from domain.exits import ExitState
from domain.fact_text import GENESIS, chained, exact_sum, fact_from_json, fact_to_json
from domain.facts import CashSet, ExitStateChanged, FillRecorded, LedgerFact
from domain.fills import FillCause
from domain.value_text import ValueTextError, decimal_from_text, decimal_text
from tests.fact_strategies import any_fact
from tests.ledger_facts import intent, recorded, story, troubles

FINITE = st.decimals(allow_nan=False, allow_infinity=False)
HAS_NAN = ExitStateChanged("BTC", ExitState("BTC", math.nan, Confidence.LOW, math.inf, -math.inf, 1))


def has_nan(value: Any) -> bool:
    """NaN is not equal to itself, so facts with one cannot be compared."""
    if isinstance(value, float):
        return math.isnan(value)
    if dataclasses.is_dataclass(value):
        return any(has_nan(getattr(value, field.name)) for field in dataclasses.fields(value))
    return False


@given(any_fact())
@example(HAS_NAN)
def test_a_fact_comes_back_as_it_was(fact: LedgerFact) -> None:
    text = fact_to_json(fact)
    again = fact_from_json(text)
    assert fact_to_json(again) == text
    assert type(again) is type(fact)
    assert again == fact or has_nan(fact)


@given(any_fact())
def test_a_text_is_one_line_of_sorted_ascii_json(fact: LedgerFact) -> None:
    text = fact_to_json(fact)
    assert text.isascii() and "\n" not in text
    members = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert json.dumps(members, sort_keys=True, separators=(",", ":")) == text


@given(FINITE.filter(lambda amount: abs(amount.adjusted()) < 300))
@example(Decimal("-0.00"))
@example(Decimal("1E+28"))
def test_an_amount_has_one_text_whatever_its_exponent(amount: Decimal) -> None:
    text = decimal_text(amount)
    assert decimal_from_text(text) == amount
    sign, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    assert decimal_text(Decimal((sign, (*digits, 0, 0), exponent - 2))) == text
    assert "E" not in text.upper()


@given(st.lists(st.decimals(-(10**30), 10**30, allow_nan=False, places=30), max_size=20), st.randoms())
def test_a_sum_does_not_depend_on_order(amounts: list[Decimal], chance: Any) -> None:
    shuffled = list(amounts)
    chance.shuffle(shuffled)
    assert exact_sum(shuffled) == exact_sum(amounts)


@given(st.lists(any_fact().map(fact_to_json), min_size=1, max_size=6), st.data())
def test_any_change_of_a_history_changes_its_hash(texts: list[str], data: st.DataObject) -> None:
    def head(history: list[str]) -> bytes:
        value = GENESIS
        for text in history:
            value = chained(value, text)
        return value

    place = data.draw(st.integers(0, len(texts) - 1))
    shorter = texts[:place] + texts[place + 1 :]
    edited = [*texts[:place], texts[place] + " ", *texts[place + 1 :]]
    assert len({head(texts), head(shorter), head(edited), head([*texts, texts[place]])}) == 4


@pytest.mark.parametrize("fact", [*story(), *troubles()], ids=lambda fact: type(fact).__name__)
def test_every_kind_of_fact_is_carried(fact: LedgerFact) -> None:
    assert fact_from_json(fact_to_json(fact)) == fact


def test_the_examples_are_of_every_kind() -> None:
    assert {type(fact) for fact in (*story(), *troubles())} == set(typing.get_args(LedgerFact))


def test_the_text_is_what_earlier_ledgers_hold() -> None:
    assert fact_to_json(CashSet(Decimal("10000.00"), 7)) == '{"at_ms":7,"cash_usd":"10000","fact":"cash"}'
    text = fact_to_json(recorded(intent()))
    assert text.startswith('{"fact":"intent","intent":{"config_digest":"c0ffee","deadline_ms":1700000066000,')
    assert '"side":"buy","size":"0.5","time_in_force":"ioc","trigger":null' in text


def test_a_text_from_before_a_field_existed_takes_its_default() -> None:
    text = fact_to_json(story()[10])
    older = text.replace(',"take_profit_taken":false', "")
    assert older != text
    assert fact_from_json(older) == story()[10]


def fill_text(older: str) -> str:
    """A fill's text with `older` in place of its cause."""
    fact = next(fact for fact in story() if isinstance(fact, FillRecorded))
    text = fact_to_json(fact)
    assert '"cause":"order",' in text
    return text.replace('"cause":"order",', "").replace('"oid":', f'{older}"oid":')


@pytest.mark.parametrize(
    ("older", "cause"),
    [
        ('"liquidation":true,', FillCause.LIQUIDATION),
        ('"liquidation":false,', FillCause.ORDER),
        ("", FillCause.ORDER),
        ('"cause":"adl",', FillCause.ADL),
    ],
)
def test_fills_from_before_they_had_causes_are_read(older: str, cause: FillCause) -> None:
    fact = fact_from_json(fill_text(older))
    assert isinstance(fact, FillRecorded) and fact.fill.cause is cause
    plain = next(fact for fact in story() if isinstance(fact, FillRecorded))
    assert fact == replace(plain, fill=replace(plain.fill, cause=cause))


@pytest.mark.parametrize("older", ['"liquidation":1,', '"liquidation":true,"cause":"order",', '"cause":"magic",'])
def test_a_fill_with_no_cause_that_we_know_is_no_fact(older: str) -> None:
    with pytest.raises(ValueTextError, match="fill"):
        fact_from_json(fill_text(older))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[]", "no kind of fact"),
        ('{"fact":"rumour"}', "'rumour'"),
        ('{"fact":["cash"]}', "no kind of fact"),
        ('{"at_ms":7,"cash_usd":"1","fact":"cash","more":1}', "is not CashSet"),
        ('{"cash_usd":"1","fact":"cash"}', "at_ms"),
        ('{"at_ms":7.0,"cash_usd":"1","fact":"cash"}', "at_ms: 7.0 is not int"),
        ('{"at_ms":true,"cash_usd":"1","fact":"cash"}', "at_ms: True is not int"),
        ('{"at_ms":7,"cash_usd":1,"fact":"cash"}', "cash_usd: 1 is not a plain decimal"),
        ('{"at_ms":7,"cash_usd":"1_0","fact":"cash"}', "1_0"),
        ('{"at_ms":7,"cash_usd":"NaN","fact":"cash"}', "NaN"),
        ('{"at_ms":7,"cash_usd":"1e9","fact":"cash"}', "1e9"),
        ('{"at_ms":7,"cash_usd":"\u0661","fact":"cash"}', "plain decimal"),
        ('{"at_ms":NaN,"cash_usd":"1","fact":"cash"}', "NaN"),
        ('{"fact":"position","position":[]}', "position: "),
        ('{"fact":"anchor","interval":"1w","open_ms":1,"symbol":"BTC"}', "interval: '1w'"),
    ],
)
def test_what_is_no_fact_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ValueTextError, match=problem.replace("[", r"\[")):
        fact_from_json(text)


def test_amounts_that_are_no_numbers_stop_us() -> None:
    with pytest.raises(AssertionError):
        fact_to_json(replace(CashSet(Decimal(1), 7), cash_usd=Decimal("NaN")))
