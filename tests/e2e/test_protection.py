"""A daemon dies with positions open: what protects them at the venue meanwhile, and what the next start makes of it.

The real daemon on a real venue over loopback, under a clock that the test sets. One run, lived through once, serves
every test here. What is judged is the venue's own word (`frontendOpenOrders`, `clearinghouseState`, its log) against
the ledger's file.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from tests.daemon_process import PATIENCE_S, environment
from tests.hyperliquid_rigs import VenueControl
from tests.kill_oracle import LedgerImage, VenueTruth, check_at_any_time, check_at_rest, ledger_image, venue_truth
from tests.kill_points import INTERVAL_MS, SIZE_DECIMALS, WIDE, live_settings, loopback
from tests.set_clock import ClockFile, under_clock
from tests.steady_strategy import ATR_SHARE

pytestmark = [pytest.mark.xdist_group("protection"), pytest.mark.timeout(240)]

SYMBOLS = 3
SEED = 4
LEADS_MS = (15_000, 25_000, 60_000)
"""From a start to the first candle's close: entries wait until the feed has been well for a while. A machine that is
busy with other things gets another try with a longer one."""
AFTER_CLOSE_MS = 12_000
QUIET_MS, ENTRY_MS = 90_000, 31_000
"""How long the second life takes at most, and how long after a close entries may leave."""
LEAST_POSITIONS = 3
STEP_MS = 300_000
MOST_STEPS = 100
RESTORED_LIMIT_S = 30.0
DEPOSIT_USD = 20_000_000
"""With so much cash an entry takes all that stands in a book, and the rest of it is never filled."""
CLOSE_BY = "BTC"
"""Its stop is near, and fires soon; the others' are far away."""
STOP_ATR = {CLOSE_BY: 0.3}
FAR_ATR = 12
OVERRIDES = (
    WIDE.replace("sl_atr_mult: 30", f"sl_atr_mult: {FAR_ATR}\n    tp_atr_mult: 20").replace(
        "max_adds_per_symbol: 20", "max_adds_per_symbol: 0"
    )
    + f"""\
symbols:
  {CLOSE_BY}:
    trade:
      sl_atr_mult: {STOP_ATR[CLOSE_BY]}
"""
)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Stop:
    """A resting stop as the venue shows it."""

    oid: int
    cloid: str
    is_sell: bool
    size: Decimal
    trigger: Decimal


@dataclass(frozen=True, slots=True)
class Seen:
    """What the venue said of the account at one moment."""

    positions: Mapping[str, Decimal]
    entries: Mapping[str, Decimal]
    """Entry prices."""
    stops: Mapping[str, tuple[Stop, ...]]
    mids: Mapping[str, Decimal]

    @property
    def is_protected(self) -> bool:
        """Every position by exactly one stop of its own size, and nothing rests for anything else."""
        covered = {
            symbol: all(stop.size == abs(self.positions.get(symbol, 0)) for stop in stops) and len(stops) == 1
            for symbol, stops in self.stops.items()
        }
        return covered == dict.fromkeys(self.positions, True)


@dataclass(frozen=True, slots=True)
class Taken:
    """Two lives and the absence between them. Times in seconds since the second start, or the act before."""

    asked: Mapping[str, Decimal]
    """Sizes of the first entries as they were sent."""
    killed: Seen
    intents: Mapping[str, str]
    away: Seen
    restored: Seen
    restored_s: float
    taken_over: Mapping[str, str]
    exits_in_force: frozenset[str]
    canceled: str
    canceled_s: float
    recreated: Seen
    reduced: str
    reduced_s: float
    resized: Seen
    truth: VenueTruth
    ledger: LedgerImage
    rows: list[dict[str, Any]]
    reasons: Mapping[int, str | None]
    """Of the booked fills, by oid: what the ledger says it was for."""
    held: Mapping[str, Decimal]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("protection") / "chain"
    with loopback(folder, SEED, SYMBOLS) as (clock, control):
        return _Story(folder, clock, control).live()


class _Story:
    def __init__(self, folder: Path, clock: ClockFile, control: VenueControl) -> None:
        self.folder, self.clock, self.control = folder, clock, control
        self.ledger = folder / "ledger.sqlite"
        (folder / "wide.yaml").write_text(OVERRIDES)

    def live(self) -> Taken:
        self.control.operate("deposit", user=self.control.user, usd=str(DEPOSIT_USD))
        self.open_positions()
        killed = self.seen()
        intents, asked = self.intents_of_positions(), self.entry_sizes()
        away = self.until_a_stop_fires(killed)
        self.stay_away_from_a_close()
        with self.daemon("second"):
            began_s = time.monotonic()
            restored = self.wait(lambda: self.seen_if(lambda seen: seen.is_protected and self.agrees(seen)))
            restored_s = time.monotonic() - began_s
            taken_over, in_force = self.intents_of_positions(), self.exit_states()
            canceled = sorted(restored.positions)[0]
            before = {stop.oid for stop in restored.stops[canceled]}
            self.control.operate("cancel_all", user=self.control.user, coin=canceled)
            began_s = time.monotonic()
            recreated = self.wait(
                lambda: self.seen_if(
                    lambda seen: seen.is_protected and not before & {stop.oid for stop in seen.stops.get(canceled, ())}
                )
            )
            canceled_s = time.monotonic() - began_s
            for reduced in sorted(recreated.positions):  # an exit of its own may take one off meanwhile
                self.reduce_by_hand(reduced, recreated.positions[reduced])
                began_s = time.monotonic()
                resized = self.wait(lambda: self.seen_if(lambda seen: seen.is_protected and self.agrees(seen)))
                reduced_s = time.monotonic() - began_s
                if reduced in resized.positions:
                    break
            self._running.send_signal(signal.SIGTERM)
            assert self._running.wait(PATIENCE_S) == 0, self.said()
        rows = self.control.log("order") + self.control.log("fill") + self.control.log("request")
        return Taken(
            asked=asked,
            killed=killed,
            intents=intents,
            away=away,
            restored=restored,
            restored_s=restored_s,
            taken_over=taken_over,
            exits_in_force=in_force,
            canceled=canceled,
            canceled_s=canceled_s,
            recreated=recreated,
            reduced=reduced,
            reduced_s=reduced_s,
            resized=resized,
            truth=venue_truth(rows, self.control.user.lower()),
            ledger=ledger_image(self.ledger),
            rows=rows,
            reasons=dict(self.query("SELECT oid, reason FROM fills")),
            held=self.seen().positions,
        )

    def open_positions(self) -> None:
        """Start shortly before a candle closes, and die as soon as what was opened is protected."""
        for lead_ms in LEADS_MS:
            close_ms = (self.clock.now_ms() // INTERVAL_MS + 1) * INTERVAL_MS
            if close_ms - self.clock.now_ms() < lead_ms:
                close_ms += INTERVAL_MS
            self.let_pass(close_ms - lead_ms)
            with self.daemon("first"):
                while self.clock.now_ms() < close_ms + AFTER_CLOSE_MS:
                    assert self._running.poll() is None, self.said()
                    seen = self.seen()
                    if len(seen.positions) >= LEAST_POSITIONS and seen.is_protected:
                        return
                    time.sleep(0.1)
            if self.seen().positions:
                break
        raise AssertionError(f"not enough was opened and protected; the venue shows {self.seen()}\n{self.said()}")

    # ── the daemon ───────────────────────────────────────────────────────────────────────────

    @contextmanager
    def daemon(self, name: str) -> Iterator[None]:
        self._out = self.folder / f"{name}.log"
        settings = live_settings(self.folder, self.control.ready, "tests.steady_strategy:analyze", WIDE)
        with self._out.open("w") as log:
            self._running = subprocess.Popen(
                under_clock(self.clock, "entrypoints.daemon"),
                env=environment(self.folder, settings),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield
            finally:
                self._running.kill()
                self._running.wait()

    def said(self) -> str:
        return self._out.read_text()[-3000:]

    def wait(self, found: Callable[[], Found | None]) -> Found:
        deadline = time.monotonic() + PATIENCE_S
        while (answer := found()) is None:
            assert self._running.poll() is None, f"the daemon ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"waited in vain; the venue shows {self.seen()}\n{self.said()}"
            time.sleep(0.1)
        return answer

    # ── the venue ────────────────────────────────────────────────────────────────────────────

    def ask(self, kind: str) -> Any:
        question = {"type": kind, "user": self.control.user}
        return requests.post(self.control.ready["url"] + "/info", json=question, timeout=PATIENCE_S).json()

    def seen(self) -> Seen:
        held = [each["position"] for each in self.ask("clearinghouseState")["assetPositions"]]
        stops: dict[str, list[Stop]] = {}
        for order in self.ask("frontendOpenOrders"):
            if order["isTrigger"] and order["orderType"].startswith("Stop"):
                assert order["reduceOnly"], "a stop never opens anything"
                stop = Stop(
                    order["oid"],
                    order["cloid"],
                    order["side"] == "A",
                    Decimal(order["sz"]),
                    Decimal(order["triggerPx"]),
                )
                stops.setdefault(order["coin"], []).append(stop)
        return Seen(
            {each["coin"]: Decimal(each["szi"]) for each in held},
            {each["coin"]: Decimal(each["entryPx"]) for each in held},
            {coin: tuple(each) for coin, each in stops.items()},
            {coin: Decimal(price) for coin, price in self.ask("allMids").items()},
        )

    def seen_if(self, wanted: Callable[[Seen], bool]) -> Seen | None:
        seen = self.seen()
        return seen if wanted(seen) else None

    def until_a_stop_fires(self, killed: Seen) -> Seen:
        """Let the market go on without a daemon until the position with the near stop is closed by it."""
        for _ in range(MOST_STEPS):
            self.let_pass(self.clock.now_ms() + STEP_MS)
            seen = self.seen()
            if CLOSE_BY not in seen.positions:
                return seen
        raise AssertionError(f"no stop fired in {MOST_STEPS * STEP_MS / 60_000} minutes: {killed}")

    def stay_away_from_a_close(self) -> None:
        """What follows is not about entries: no candle closes while it lasts."""
        close_ms = (self.clock.now_ms() // INTERVAL_MS + 1) * INTERVAL_MS
        if close_ms - self.clock.now_ms() < QUIET_MS:
            self.let_pass(close_ms + ENTRY_MS)

    def reduce_by_hand(self, symbol: str, position: Decimal) -> None:
        step = Decimal(1).scaleb(-SIZE_DECIMALS[symbol])
        size = abs(position) / 3 // step * step
        side = "sell" if position > 0 else "buy"
        self.control.operate("trade", user=self.control.user, coin=symbol, side=side, size=str(size), reduce_only=True)

    def let_pass(self, until_ms: int) -> None:
        self.clock.set_to(max(until_ms, self.clock.now_ms()))
        deadline = time.monotonic() + PATIENCE_S
        while self.control.now_ms() < until_ms - 1_000:
            assert time.monotonic() < deadline, "the venue does not follow the clock"
            time.sleep(0.02)

    # ── the ledger ───────────────────────────────────────────────────────────────────────────

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def positions(self) -> dict[str, Decimal]:
        rows = self.query("SELECT symbol, size FROM positions")
        return {symbol: Decimal(size) for symbol, size in rows if Decimal(size)}

    def agrees(self, seen: Seen) -> bool:
        return self.positions() == seen.positions

    def intents_of_positions(self) -> dict[str, str]:
        rows = self.query("SELECT symbol, size, intent_id FROM positions")
        return {symbol: intent for symbol, size, intent in rows if Decimal(size)}

    def exit_states(self) -> frozenset[str]:
        return frozenset(symbol for (symbol,) in self.query("SELECT symbol FROM exit_states"))

    def entry_sizes(self) -> dict[str, Decimal]:
        rows = self.query("SELECT symbol, size FROM order_intents WHERE action = 'OPEN'")
        return {symbol: Decimal(size) for symbol, size in rows}


# ── what must be true ────────────────────────────────────────────────────────────────────────────


def test_while_nobody_is_there_every_position_has_a_stop_of_its_size_on_its_losing_side(taken: Taken) -> None:
    seen = taken.killed
    assert len(seen.positions) >= LEAST_POSITIONS and {position > 0 for position in seen.positions.values()} == {
        True,
        False,
    }
    assert seen.stops.keys() == seen.positions.keys()
    for symbol, position in seen.positions.items():
        (stop,) = seen.stops[symbol]
        assert stop.size == abs(position) and stop.is_sell == (position > 0)
        entry = seen.entries[symbol]
        away = float((entry - stop.trigger) / entry) * (1 if position > 0 else -1)
        wanted = ATR_SHARE * STOP_ATR.get(symbol, FAR_ATR)
        assert away == pytest.approx(wanted, rel=0.25), f"{symbol}: {stop} of an entry at {entry}"


def test_an_entry_that_filled_in_part_is_protected_for_that_part(taken: Taken) -> None:
    held = {symbol: abs(size) for symbol, size in taken.killed.positions.items()}
    in_part = [symbol for symbol, size in held.items() if size < taken.asked[symbol]]
    assert in_part, "less stood in some book than was wanted"
    for symbol in in_part:
        assert [stop.size for stop in taken.killed.stops[symbol]] == [held[symbol]]


def test_a_stop_fires_without_us_and_its_fill_is_booked_with_its_reason(taken: Taken) -> None:
    (stop,) = taken.killed.stops[CLOSE_BY]
    fills = [row for row in taken.rows if row["kind"] == "fill" and row["oid"] == stop.oid]
    assert sum(Decimal(row["size"]) for row in fills) == abs(taken.killed.positions[CLOSE_BY])
    assert taken.ledger.keys[stop.cloid][:2] == (CLOSE_BY, "STOP")
    assert taken.reasons[stop.oid] == "stop_loss"
    assert taken.away.positions, "something is left to take over"


def test_what_is_left_is_taken_over_as_it_was(taken: Taken) -> None:
    assert taken.restored.positions.keys() <= taken.away.positions.keys()
    assert taken.taken_over == {symbol: taken.intents[symbol] for symbol in taken.restored.positions}
    assert taken.exits_in_force == taken.restored.positions.keys()


def test_soon_after_the_restart_each_has_exactly_one_stop_of_its_size_and_nothing_else_rests(taken: Taken) -> None:
    assert taken.restored_s <= RESTORED_LIMIT_S
    assert taken.restored.is_protected


def test_nothing_is_doubled_and_the_books_are_the_venues(taken: Taken) -> None:
    check_at_any_time(taken.truth, taken.ledger)
    check_at_rest(taken.truth, taken.ledger, taken.held)
    opened = [taken.ledger.keys[cloid][:3] for cloid in taken.truth.entries if taken.ledger.keys[cloid][1] == "OPEN"]
    assert len(opened) == len(set(opened)) >= LEAST_POSITIONS


def test_a_stop_that_somebody_canceled_is_put_there_again(taken: Taken) -> None:
    assert taken.canceled_s <= RESTORED_LIMIT_S
    (old,), (new,) = taken.restored.stops[taken.canceled], taken.recreated.stops[taken.canceled]
    assert new.oid != old.oid and new.size == old.size


def test_a_position_that_was_reduced_by_hand_gets_a_stop_of_what_is_left(taken: Taken) -> None:
    assert taken.reduced_s <= RESTORED_LIMIT_S
    before, after = taken.recreated.positions[taken.reduced], taken.resized.positions[taken.reduced]
    assert 0 < abs(after) < abs(before)
    assert [stop.size for stop in taken.resized.stops[taken.reduced]] == [abs(after)]
