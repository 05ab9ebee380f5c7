"""Sessions of the simulated daemon, given away: under another name, and as a market without any account.

Its lives are recorded under faults, crashes and restarts, so they begin with orders and decisions of earlier ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.hyperliquid.heard import FillsHeard
from adapters.session_files.export import redaction_of
from adapters.session_files.reader import SessionReader
from adapters.session_files.redaction import Ids
from application.replay import Replayed
from application.step import Step
from domain.event_text import event_from_plain
from domain.events import Recovered
from domain.facts import FillRecorded, IntentRecorded
from domain.intents import IntentKey, cloid_of, intent_id_of
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from entrypoints.recording import setup_of
from entrypoints.sessions import market_only, redacting
from entrypoints.sessions.market_only import export_market
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of
from entrypoints.sessions.redacting import ReplaysOtherwise, export_redacted
from entrypoints.sessions.simulated import simulate_session
from entrypoints.simulation.eager_strategy import EagerStrategy
from entrypoints.simulation.run import ENTRIES_PER_CANDLE, live_through
from ports.session_log import Tag
from tests.planting import planted
from tests.session_bundles import text_of
from tests.session_edits import edited, entries_of

SEED = 25
HOURS = 1.5
DENSITY = 4.0

ADDRESS = re.compile("0x[0-9a-fA-F]{40}(?![0-9a-fA-F])")
OF_THE_ACCOUNT = re.compile(
    "(?<![0-9a-fx.])(?:0x[0-9a-f]{32}|0x[0-9a-f]{40}|0x[0-9a-f]{64}|[0-9a-f]{24})(?![0-9a-f])", re.IGNORECASE
)
"""Ids of orders, addresses, hashes of transactions, ids of intents; digits behind a point are an amount."""


def strategy() -> EagerStrategy:
    return EagerStrategy(SEED, ENTRIES_PER_CANDLE * DENSITY)


@dataclass
class Decided:
    """What a replay came to, and what it decided, without names."""

    result: Replayed
    intents: list[tuple[Any, ...]]
    fills: list[tuple[Any, ...]]
    keys: list[IntentKey]


def decided(session: Path) -> Decided:
    opened = OpenedSession(session, quiet=True)
    replay = replay_of(opened.manifest, strategy())
    replay.stops_at_difference = True
    found = Decided(replay.result, [], [], [])

    def keep(step: Step) -> None:
        for fact in step.facts:
            if isinstance(fact, IntentRecorded):
                intent, order = replace(fact.intent, key=replace(fact.intent.key, account="")), fact.order
                found.intents.append((step.seq, step.at_ms, intent, order.sent_ms, order.status))
                found.keys.append(fact.intent.key)
            elif isinstance(fact, FillRecorded):
                fill = replace(fact.fill, cloid=None, hash="")
                found.fills.append((step.seq, step.at_ms, fill, fact.via, fact.realised, fact.reason))

    replay.on_step = keep
    replay.run(opened.entries())
    return found


def recovered(session: Path) -> Recovered:
    for entry in entries_of(session):
        if entry[0] == Tag.EVENT and entry[3] == "recovered":
            event = event_from_plain(entry[3], entry[4])
            assert isinstance(event, Recovered)
            return event
    raise AssertionError("it recovered first")


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("lives") / "sessions"
    assert not live_through(SEED, HOURS, density=DENSITY, sessions=folder).violations
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def bundles(lives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bundles")
    for life in lives:
        export_redacted(life, folder / f"{life.name}.tar", make_strategy=strategy)
    return sorted(folder.iterdir())


@pytest.fixture
def busiest(lives: list[Path]) -> Path:
    return max(lives, key=lambda each: SessionReader(each).bytes)


# ── under another name ───────────────────────────────────────────────────────────────────────────


def test_a_redacted_session_replays_as_the_recorded_one_did(lives: list[Path], bundles: list[Path]) -> None:
    seen = 0
    for life, bundle in zip(lives, bundles, strict=True):
        before, after = decided(life), decided(bundle)
        assert after.result.difference is None
        for what in ("events", "frames", "steps", "decisions", "trades", "first_ms", "last_ms", "last_seq", "ended"):
            assert getattr(after.result, what) == getattr(before.result, what), what
        assert after.intents == before.intents and after.fills == before.fills
        ended = SessionReader(bundle).manifest.ended
        assert ended is None or ended.digest == after.result.ledger_digest
        assert SessionReader(bundle).manifest.previous == SessionReader(life).manifest.previous
        seen += bool(after.fills and after.intents and recovered(life).state.live_orders)
    assert len(lives) > 2 and seen, "a life that begins with orders of another trades"


def test_no_name_of_the_account_is_left(lives: list[Path], bundles: list[Path]) -> None:
    for life, bundle in zip(lives, bundles, strict=True):
        whole = life.parent.parent / f"{life.name}.tar"
        assert run(["sessions", "export", str(life), "--out", str(whole)]) == ExitCode.DONE
        names, others = names_in(text_of(whole)), names_in(text_of(bundle))
        whole.unlink()
        assert setup_of(SessionReader(life).manifest).engine.account in names
        assert not names & others, sorted(names & others)[:5]
        assert [len(each) for each in sorted(names, key=len)] == [len(each) for each in sorted(others, key=len)]


def names_in(text: str) -> set[str]:
    found = {each.lower() for each in OF_THE_ACCOUNT.findall(text)}
    return {each for each in found if set(each[2:]) != {"0"}}


def test_what_was_signed_has_the_digest_of_what_it_is_now(lives: list[Path], bundles: list[Path]) -> None:
    digest = re.compile(r'"digest": ?"([0-9a-f]{64})"')
    for life, bundle in zip(lives, bundles, strict=True):
        payloads = []
        for state in (recovered(life).state, recovered(bundle).state):
            orders = [order.request.payload for _, order in (*state.live_orders, *state.ended_orders)]
            payloads.append({payload.digest for payload in orders if payload is not None})
        assert len(payloads[0]) == len(payloads[1]) and not payloads[0] & payloads[1]
        assert not set(digest.findall(text_of(bundle))) & payloads[0]


def test_a_decision_that_only_its_id_tells_of_is_found_by_its_key(lives: list[Path]) -> None:
    """Else the redacted session might take once more what had been decided on the same candle before."""
    life = lives[1]
    manifest = SessionReader(life).manifest
    redact, renamed = redaction_of(SessionReader(life))
    setup, engine = setup_of(renamed), setup_of(manifest).engine
    keys = decided(lives[0]).keys
    state = replace(recovered(lives[0]).state, intent_ids=frozenset(map(intent_id_of, keys)))
    ids = Ids(redact)
    beginning = redacting._Beginning(
        state, engine.account, strategy().name, setup, manifest.began_ms, ids, set(state.intent_ids)
    )
    assert keys and beginning.unknown
    beginning.learn_keys_that_may_come_again()
    assert not beginning.unknown
    for key in keys:
        now = intent_id_of(replace(key, account=setup.engine.account))
        assert ids.of_inputs(intent_id_of(key).encode()) == now.encode()
        order = cloid_of(intent_id_of(key), 1, state.instance_tag)
        assert ids.of_inputs(order.encode()) == cloid_of(now, 1, state.instance_tag).encode()


def test_what_does_not_replay_is_refused_at_its_first_difference(busiest: Path, tmp_path: Path) -> None:
    def other_decision(entries: list[list[Any]]) -> None:
        fact = next(fact for each in entries if each[0] == Tag.STEP for fact in each[2] if fact["fact"] == "intent")
        fact["intent"]["size"] = "1"

    folder = edited(busiest, tmp_path / "edited", other_decision)
    with pytest.raises(ReplaysOtherwise, match="nothing was written") as raised:
        export_redacted(folder, tmp_path / "s.tar", make_strategy=strategy)
    assert raised.value.difference.before, "it is told by a replay of the session as it is"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["edited"]


def test_the_command_shows_the_difference_and_ends_with_1(
    busiest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The strategy that the session names is not the one that decided."""
    arguments = ["sessions", "export", str(busiest), "--out", str(tmp_path / "s.tar"), "--hash-addresses"]
    assert run(arguments) == ExitCode.FAILED
    captured = capsys.readouterr()
    assert "first difference at seq" in captured.out and "nothing was written" in captured.err
    assert not (tmp_path / "s.tar").exists()


def old_in_frames(self: Ids, text: bytes) -> bytes:
    """A planted bug: frames go on naming orders as they were."""
    return text


def old_digests(self: Any, before: Any, intent: Any) -> None:
    """A planted bug: orders of earlier sessions are forgotten, but for their ids."""


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [(Ids, "of_frame", old_in_frames), (redacting._Beginning, "learn_order", old_digests)],
    ids=["frames", "earlier orders"],
)
def test_that_these_tests_notice_what_keeps_its_name(
    lives: list[Path], tmp_path: Path, owner: Any, name: str, bug: Any
) -> None:
    noticed = 0
    for life in lives:
        bundle = tmp_path / f"{life.name}.tar"
        with planted(owner, name, bug):
            try:
                export_redacted(life, bundle, make_strategy=strategy)
            except ReplaysOtherwise:
                noticed += 1
                continue
        before = recovered(life).state
        signed = {each.request.payload.digest for _, each in before.live_orders if each.request.payload is not None}
        noticed += any(each in text_of(bundle) for each in signed)
    assert noticed


# ── a market alone ───────────────────────────────────────────────────────────────────────────────


def test_a_market_is_traded_on_paper_and_says_nothing_of_the_account(lives: list[Path], tmp_path: Path) -> None:
    traded = 0
    for life in lives:
        bundle = tmp_path / f"{life.name}-market.tar"
        export_market(life, bundle)
        text = text_of(bundle)
        for word in ("userFills", "orderUpdates", "userFundings", "subscriptionResponse", "/exchange", "/info"):
            assert word not in text
        assert not ADDRESS.search(text)
        decisions = "\n".join(json.dumps(each) for each in entries_of(life) if each[0] == Tag.STEP)
        assert names_in(decisions) and not names_in(text) & names_in(decisions)
        tags = {each[0] for each in entries_of(bundle)}
        assert tags <= {Tag.FRAME, Tag.HELD, Tag.DELIVER, Tag.FEED, Tag.TAKEN, Tag.EVENT, Tag.DROPPED, Tag.END}
        manifest = SessionReader(bundle).manifest
        setup = setup_of(manifest)
        assert (manifest.origin, setup.engine.account) == ("import", "imported")
        assert (setup.assets, setup.vault, setup.user, setup.ledger) == (None, None, None, "")
        first, again = (simulate_session(OpenedSession(bundle, quiet=True), make_strategy=strategy) for _ in range(2))
        assert first.digest == again.digest
        traded += bool(first.intents and first.fills)
    assert traded


def test_a_market_is_the_one_that_was_recorded(lives: list[Path], tmp_path: Path) -> None:
    """The same candles are decided on, as where the whole session is simulated."""
    for life in lives:
        bundle = tmp_path / f"{life.name}.tar"
        export_market(life, bundle)
        whole = simulate_session(OpenedSession(life, quiet=True), make_strategy=strategy)
        alone = simulate_session(OpenedSession(bundle, quiet=True), make_strategy=strategy)
        assert alone.verdicts.keys() == whole.verdicts.keys()
        assert not alone.recorded_fills
        kinds = [(each[2], each[3]) for each in entries_of(life) if each[0] == Tag.EVENT and each[3] in KEPT]
        assert kinds == [(each[2], each[3]) for each in entries_of(bundle) if each[0] == Tag.EVENT and each[3] in KEPT]


def test_trades_name_no_side(busiest: Path, tmp_path: Path) -> None:
    users = ["0x" + "ab12cd34" * 5, "0x" + "AB12CD35" * 5]

    def with_trades(entries: list[list[Any]]) -> None:
        place = next(place for place, entry in enumerate(entries) if entry[0] == Tag.FRAME)
        _, number, line, at_ms, _ = entries[place]
        coin = setup_of(SessionReader(busiest).manifest).universe[0].symbol
        trade = {"coin": coin, "side": "B", "px": "1.5", "sz": "2", "time": at_ms, "hash": "0x" + "4f" * 32, "tid": 7}
        raw = json.dumps({"channel": "trades", "data": [{**trade, "users": users}]})
        entries[place:place] = [[Tag.FRAME, number, line, at_ms, raw]]

    export_market(edited(busiest, tmp_path / "edited", with_trades), tmp_path / "market.tar")
    text = text_of(tmp_path / "market.tar")
    assert text.count("trades") == 1 and not ADDRESS.search(text)
    with planted(market_only, "without_addresses", lambda text: text):
        export_market(tmp_path / "edited", tmp_path / "named.tar")
    assert ADDRESS.search(text_of(tmp_path / "named.tar")), "and this test would notice them"


KEPT = ("timer", "history", "venue_time", "mids_checked", "volumes", "candles_checked", "overrides")


def test_a_market_opens_with_every_command(
    busiest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["sessions", "export", str(busiest), "--out", "market.tar", "--market-only"]) == ExitCode.DONE
    for command in (["sessions", "verify"], ["replay"]):
        assert run([*command, str(tmp_path / "market.tar")]) == ExitCode.DONE
    assert "simulated as recorded" in capsys.readouterr().out
    arguments = ["sessions", "export", "market.tar", "--out", "again.tar", "--hash-addresses"]
    assert run(arguments) == ExitCode.DONE, "there is nothing that a replay would have to come to"
    assert run(["sessions", "show", str(tmp_path / "again.tar")]) == ExitCode.DONE
    assert "addresses are replaced" in capsys.readouterr().out


@pytest.fixture
def fills_too() -> Iterator[None]:
    with planted(market_only, "_HEARD_BY_ANYBODY", (*market_only._HEARD_BY_ANYBODY, FillsHeard)):
        yield


def test_that_these_tests_notice_an_account_frame(lives: list[Path], tmp_path: Path, fills_too: None) -> None:
    for life in lives:
        export_market(life, tmp_path / f"{life.name}.tar")
    assert any("userFills" in text_of(each) for each in tmp_path.iterdir())
