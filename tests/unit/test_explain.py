"""`explain`, `show-orders`, `show-fills`: what the ledger has on one id, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.explain_queries import Candidate, Chain, TradeChain, explain
from adapters.sqlite.order_queries import executions, orders
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from tests.ledger_facts import T0, intent, order_for, story, troubles
from tests.sound_ledger import sound_desk
from tests.sqlite_files import opened, run_sql, write_ledger

BTC_FILL = f"BTC:{T0 + 61_300}:900:77:buy"
ETH_FILL = f"ETH:{T0 + 121_300}:902:77:buy"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The story and its troubles: a BTC trip, a stop that rests, an ETH fill that turned out to be somebody's."""
    write_ledger(tmp_path / "ledger.sqlite", [*story(), *troubles()])
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    made = tmp_path / "sound.sqlite"
    with opened(made) as ledger:
        for commit in sound_desk().commits:
            ledger.commit(commit)
    return made


def found(path: Path, text: str) -> Chain:
    chain = explain(path, text)
    assert isinstance(chain, Chain), chain
    return chain


def several(path: Path, text: str) -> list[Candidate]:
    candidates = explain(path, text)
    assert isinstance(candidates, list)
    return candidates


@pytest.mark.parametrize("text", [BTC_FILL, f"fill:{BTC_FILL}", "900", f" {BTC_FILL} "])
def test_a_fill_is_named_by_its_trade_id_or_tid(path: Path, text: str) -> None:
    chain = found(path, text)
    assert (chain.kind, chain.key) == ("fill", BTC_FILL)
    [attempt] = chain.attempts
    assert attempt["cloid"] == order_for(intent()).request.cloid
    assert chain.intent is not None and chain.intent["intent_id"] == intent().intent_id
    assert chain.config is not None and chain.config["text"] == "global: {}\n"


def test_an_order_is_named_by_its_cloid_or_what_it_begins_with(path: Path) -> None:
    cloid = order_for(intent()).request.cloid
    for text in (cloid, cloid.upper().replace("0X", "0x"), cloid[2:], cloid[:20], f"order:{cloid}"):
        chain = found(path, text)
        assert (chain.kind, chain.key) == ("order", cloid)
        assert [fill["tid"] for fill in chain.fills] == [900, 901]
    stop = found(path, "78")
    assert stop.kind == "order" and stop.intent is not None and stop.intent["action"] == "STOP"


def test_an_intent_is_named_by_what_its_id_begins_with(path: Path) -> None:
    for length in (6, 12, 24):
        chain = found(path, intent().intent_id[:length])
        assert (chain.kind, chain.key) == ("intent", intent().intent_id)
    assert several(path, intent().intent_id[:5]) == [], "too short to be meant"


def test_what_may_mean_several_things_is_listed(path: Path) -> None:
    assert {each.key for each in several(path, "0xfeed")} >= {BTC_FILL, ETH_FILL}
    assert {each.kind for each in several(path, "a19c01")} == {"order"}
    assert len(several(path, "a19c01")) == 3
    assert several(path, "nothing") == []


def test_of_an_external_fill_there_is_no_decision(path: Path) -> None:
    chain = found(path, ETH_FILL)
    assert chain.intent is None and chain.attempts == []
    assert [gap["cause"] for gap in chain.gaps] == ["the missing fills came"]


def test_a_trade_shows_both_its_ends(sound: Path) -> None:
    [(trade_no, closing)] = run_sql(sound, "SELECT id, closing_trade_id FROM trades WHERE symbol = 'BTC'")
    for text in (f"trade:{trade_no}", f"trade:{closing}"):
        chain = explain(sound, text)
        assert isinstance(chain, TradeChain) and chain.opened is not None and chain.closed is not None
        assert chain.opened.intent is not None and chain.opened.intent["action"] == "OPEN"
        assert chain.closed.intent is not None and chain.closed.intent["action"] == "STOP"
    assert found(sound, closing).trades[0]["id"] == trade_no, "a closing fill says which trade it ended"


def test_the_page_goes_from_the_fill_to_the_config(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(trade_id,)] = run_sql(sound, "SELECT trade_id FROM fills WHERE tid = 901")
    assert run(["explain", trade_id, "--db", str(sound)]) == ExitCode.DONE
    page = capsys.readouterr().out
    wanted = (
        f"fill {trade_id}",
        "matched by cloid",
        "← order 71",
        "filled; 3 of 3 filled",
        "← attempt 1, sent",
        "nonce 1700",
        "action hash 0000",
        "← intent ",
        "OPEN buy 3 BTC, limit 100, ioc, leverage 3",
        "signal BUY high; BTC up, breadth 55 %",
        "gate ok  price_age_ms",
        "needs 15000",
        "← candle BTC 1m of ",
        "← price 100.5, source bbo, 120 ms old",
        "← config c0ffee, overrides.yaml",
        "| global:",
    )
    places = [page.index(text) for text in wanted]
    assert places == sorted(places)


def test_evidence_and_attempts_are_on_the_page(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(intent_id,)] = run_sql(sound, "SELECT intent_id FROM order_attempts WHERE attempt = 2")
    run(["explain", intent_id, "--db", str(sound)])
    page = capsys.readouterr().out
    assert "rejected: no_immediate_match: no match" in page
    assert "← attempt 2" in page and "evidence found: the venue knows it" in page
    assert "1.5 of 2 filled" in page


def test_a_trade_of_somebody_else_says_so(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(trade_no,)] = run_sql(sound, "SELECT id FROM trades WHERE symbol = 'SOL'")
    assert run(["explain", f"trade:{trade_no}", "--db", str(sound)]) == ExitCode.DONE
    page = capsys.readouterr().out
    assert "by no intent of this ledger" in page and "external, manual: it carries no cloid" in page


def test_liquidations_and_gaps_are_explained(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(trade_id,)] = run_sql(sound, "SELECT trade_id FROM fills WHERE symbol = 'XRP'")
    run(["explain", trade_id, "--db", str(sound)])
    assert "external, liquidation: the venue closed the position" in capsys.readouterr().out
    [(before,)] = run_sql(sound, "SELECT before_trade_id FROM gaps")
    run(["explain", before, "--db", str(sound)])
    page = capsys.readouterr().out
    assert "gap near it: 1 was expected" in page and "still open" in page
    assert "difference near it (position): ours 2, venue 6" in page


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_json_is_one_object_with_the_same_chain(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(trade_id,)] = run_sql(sound, "SELECT trade_id FROM fills WHERE tid = 901")
    assert run(["explain", trade_id, "--db", str(sound), "--json"]) == ExitCode.DONE
    chain = told(capsys)
    assert (chain["kind"], chain["key"]) == ("fill", trade_id)
    assert chain["attempts"][0]["nonce"] % 2 == 0 and chain["attempts"][0]["action_json"]["type"] == "order"
    assert chain["gates"][1] == {"name": "price_age_ms", "value": 120, "threshold": 15000, "passed": True}
    assert chain["candle"]["end_ms"] - chain["candle"]["open_ms"] == 60_000
    assert chain["price"] == {"price": 100.5, "source": "bbo", "age_ms": 120}
    assert chain["config"]["text"] == "global:\n  trade: {}\n"
    [(trade_no,)] = run_sql(sound, "SELECT id FROM trades WHERE symbol = 'BTC'")
    run(["explain", f"trade:{trade_no}", "--db", str(sound), "--json"])
    trade = told(capsys)
    assert trade["opened"]["kind"] == "intent" and trade["closed"]["kind"] == "fill"
    run(["explain", "XRP", "--db", str(sound), "--json"])
    assert told(capsys) == {"kind": None, "candidates": []}


def test_codes_say_none_and_several(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "nothing", "--db", str(path)]) == ExitCode.FAILED
    assert "no fill, order, intent or trade" in capsys.readouterr().err
    assert run(["explain", "0xfeed", "--db", str(path)]) == ExitCode.USAGE
    assert f"fill:{BTC_FILL}" in capsys.readouterr().err
    assert run(["explain", "1", "--db", str(path.parent / "none")]) == ExitCode.DATA


def test_orders_can_be_asked_for_by_symbol_number_and_state(path: Path) -> None:
    assert [(row.symbol, row.action, row.status) for row in orders(path)] == [
        ("BTC", "STOP", "open"),
        ("BTC", "OPEN", "filled"),
        ("ETH", "OPEN", "sent"),
    ]
    assert [row.action for row in orders(path, "BTC")] == ["STOP", "OPEN"]
    assert [row.symbol for row in orders(path, limit=1)] == ["ETH"]
    assert [row.status for row in orders(path, may_live=True)] == ["open", "sent"]
    [eth] = orders(path, "ETH")
    assert eth.evidence == 1 and eth.oid is None


def test_fills_can_be_asked_for_by_symbol_number_and_owner(path: Path) -> None:
    assert [row.tid for row in executions(path)] == [900, 901, 902]
    assert [row.tid for row in executions(path, "BTC", 1)] == [901]
    [external] = executions(path, external=True)
    assert (external.reason, external.intent_id, external.matched_via) == ("manual", None, "external")


def test_both_lists_have_a_table_and_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show-orders", "--db", str(path), "--open"]) == ExitCode.DONE
    assert "2 orders" in capsys.readouterr().out
    assert run(["show-orders", "--db", str(path), "--json"]) == ExitCode.DONE
    assert told(capsys)[0]["trigger_price"] == 49000
    assert run(["show-fills", "--db", str(path), "--external"]) == ExitCode.DONE
    assert "manual" in capsys.readouterr().out
    assert run(["show-fills", "--db", str(path), "--json", "--symbol", "BTC"]) == ExitCode.DONE
    assert [row["tid"] for row in told(capsys)] == [900, 901]
    assert run(["show-fills", "--db", str(path), "--symbol", "DOGE"]) == ExitCode.DONE
    assert "no fill is on record" in capsys.readouterr().out
