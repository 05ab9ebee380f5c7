"""Chains of short lives: a real daemon on a venue on loopback, killed again and again at a point drawn by seed.

Every life is at once the recovery from the last kill and the run up to the next. Between two lives the clock is set
forward, so that prices move, stops trigger while nobody looks and a candle closes soon after the next start; and the
account's owner trades or cancels by hand, so that there is something to protect.
"""

from __future__ import annotations

import enum
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from config.variables import MASTER_KEY_CONSENT
from tests.daemon_process import PATIENCE_S, environment
from tests.hyperliquid_rigs import VenueControl
from tests.kill_oracle import (
    LedgerImage,
    Tally,
    VenueTruth,
    check_at_any_time,
    check_at_rest,
    check_recovered,
    ledger_image,
    unsettled,
    venue_truth,
)
from tests.replayed_kills import check_sessions
from tests.set_clock import ClockFile, Nursery, under_clock

SYMBOLS = 3
"""Each costs weight: with more, a first start has spent its minute's budget before its first order."""
INTERVAL_MS = 300_000
INTERVAL = "5m"
"""Its entries may leave for half a minute after a close: a slow machine is in time, too."""
RESTART_LIMIT_MS = 10_000
LEAD_MS = 9_500
"""From a start to the moment of decisions: entries wait until the feed has been well for a while."""
LONGEST_LEAD_MS = 20_000
AFTER_DECISION_S = 3.0
IDLE_S = 1.5
"""A life whose kill point was not reached ends once it has asked for nothing for so long."""
LONGEST_S = 15.0
GRACE_MS = 200
QUIET_MS = 2_000
"""Nothing is under way once nothing has been asked for so long."""

WIDE = """\
global:
  trade:
    entry_min_confidence: low
    enable_reef_filter: false
    enable_ssf_filter: false
    reentry_cooldown_minutes: 0
    entry_cooldown_s: 0
    exit_cooldown_s: 0
    add_cooldown_minutes: 0
    add_min_profit_atr: 0
    add_min_confidence: low
    max_adds_per_symbol: 20
    max_entry_orders_per_loop: 50
    sl_atr_mult: 30
"""
TIGHT = WIDE.replace("sl_atr_mult: 30", "sl_atr_mult: 0.1").replace("trade:\n", "trade:\n    min_atr_pct: 0.0001\n", 1)
OVERRIDES = {WIDE: "wide.yaml", TIGHT: "tight.yaml"}


class Life(enum.Enum):
    """What a life is started into."""

    ENTRY = "entry"
    """A candle closes after its start: opens, adds and reversals, then their stops, targets and cancels."""
    AGAIN = "again"
    """The same candle once more, its history told late: what was decided must be known, the rest may be decided."""
    EXIT = "exit"
    """Stops are tight and prices have moved: what is held is closed at the first price."""
    PROTECT = "protect"
    """The account's owner has traded or canceled by hand: stops and targets are missing, or of another size."""
    RECOVERY = "recovery"
    """Nothing new: it dies while it asks what happened."""


MARKING = ("pwrite64", "pwrite64", "fdatasync", "fdatasync", "sendto", "sendto", "openat", "connect", "write")
"""System calls after which something outside of the process is not what it was."""
DECIDING = (Life.ENTRY, Life.AGAIN)


@dataclass(frozen=True, slots=True)
class KillPoint:
    """A request or frame, counted from the life's start, and the side of it on which the process dies."""

    match: dict[str, str]
    nth: int
    how: dict[str, object]

    @property
    def name(self) -> str:
        what = "/".join(self.match.values()) or "any request"
        point = "after" if self.how["point"] == "after" else "before" if self.how.get("handled") else "unheard"
        return f"{what} {point}"


FIRST_POINT = KillPoint({"action": "order"}, 1, {"point": "after"})
"""A chain begins with positions: the venue has taken the first orders, and nobody has heard of it."""


def draw_point(life: Life, chance: random.Random) -> KillPoint:
    how: dict[str, object] = {"point": chance.choice(("before", "after"))}
    if how["point"] == "before":
        how["handled"] = chance.random() < 0.6
    if life is Life.RECOVERY:
        return KillPoint({"path": "/info"}, chance.randint(1, 14), how)
    matches: list[tuple[dict[str, str], int]] = [({"path": "/exchange"}, 2), ({"action": "order"}, 1), ({}, 18)]
    if life is Life.ENTRY:
        matches = [
            ({"path": "/exchange"}, 6),
            ({"action": "order"}, 3),
            ({"action": "order"}, 1),
            ({"action": "updateLeverage"}, 1),
            ({"action": "cancelByCloid"}, 1),
            ({"channel": "user"}, 2),
            ({"channel": "orderUpdates"}, 2),
        ]
    elif life is Life.EXIT or life is Life.AGAIN:
        matches.append(({"action": "cancelByCloid"}, 1))
    match, most = chance.choice(matches)
    if "channel" in match:
        how = {"point": how["point"]}
        match = {**match, "phase": "later"}
    return KillPoint(match, chance.randint(1, most), how)


@dataclass(slots=True)
class Chain:
    """One venue, one ledger, many lives."""

    folder: Path
    control: VenueControl
    clock: ClockFile
    nursery: Nursery
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    lead_ms: int = LEAD_MS
    lives: int = 0
    barren: int = 0
    """So many lives are to pass before another entry is tried: the last one came to nothing."""
    most_calls: dict[tuple[Life, str], int] = field(default_factory=dict)
    """How often a life of a kind makes a system call in one thread, as far as it was seen."""
    _rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.sqlite"

    def fitting(self, life: Life) -> Life:
        """This life, or an entry where there is nothing that it could be about."""
        if life in (Life.PROTECT, Life.EXIT) and not self._held():
            life = Life.ENTRY
        if life is Life.ENTRY and self.barren:
            self.barren -= 1
            return Life.RECOVERY
        return life

    # ── a life ───────────────────────────────────────────────────────────────────────────────────

    def live(self, life: Life) -> bool:
        """Start, run to a kill point and die; then judge. False where the point was not reached; it dies anyway."""
        self._prepare(life)
        point = draw_point(life, self.chance) if self.lives else FIRST_POINT
        pid = self._born(life)
        self._arm(life, pid, point)
        reached = self._lived(life, pid)
        if reached:
            self.tally.points[f"{life.value}: {point.name}"] += 1
        return reached

    def live_to_a_call(self, life: Life) -> bool:
        """The same, to the n-th system call of a kind that leaves a mark, in any of its threads."""
        self._prepare(life)
        pid = self._born(life)
        self._arm(life, pid)
        trace = self.folder / "trace"
        call = self.chance.choice(MARKING)
        nth = self.chance.randint(1, self.most_calls.get((life, call), 20))
        tracer = subprocess.Popen(
            [
                *("strace", "-f", "-p", str(pid), "-o", str(trace), "-e", f"trace={call}"),
                *("-e", f"inject={call}:signal=SIGKILL:when={nth}"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        assert "attached" in (said := tracer.stderr.readline()), said
        reached = self._lived(life, pid)
        tracer.communicate(timeout=PATIENCE_S)
        told = [line.split() for line in trace.read_text().splitlines() if "(" in line]
        if reached:
            self.tally.points[f"{life.value}: {call}"] += 1
        else:
            self.most_calls[life, call] = max(1, max(Counter(words[0] for words in told).values(), default=1))
        return reached

    def _born(self, life: Life) -> int:
        self.lives += 1
        self.control.no_faults()
        return self.nursery.start(self.clock, self.folder, self.settings(life), self._log)

    @property
    def _log(self) -> Path:
        return self.folder / f"life-{self.lives}.log"

    def _lived(self, life: Life, pid: int) -> bool:
        begun_ms = self.clock.now_ms()
        self.nursery.go(pid)
        reached = self._await_death(pid, self.lead_ms / 1000 + AFTER_DECISION_S if life in DECIDING else 0.0)
        if life in DECIDING and '"gate": "entries_held"' in self._log.read_text():
            self.lead_ms = min(self.lead_ms + 1_500, LONGEST_LEAD_MS)  # a slow machine
        if life is Life.ENTRY and not reached:
            self.barren = BARREN_LIVES
        self._judge(begun_ms)
        return reached

    def _arm(self, life: Life, pid: int, point: KillPoint | None = None) -> None:
        rules: list[dict[str, object]] = []
        if point is not None:
            how = {"pid": pid, **point.how}
            rules.append({"fault": "kill", "match": point.match, "when": {"nth": point.nth}, "with": how})
        if life is Life.AGAIN:
            first_history = {"match": {"request_type": "candleSnapshot"}, "when": {"nth": 1}}
            rules.append({"fault": "delay_answer", **first_history, "with": {"ms": self.lead_ms}})
        answer = requests.post(self.control.ready["control_url"] + "/faults", json=rules, timeout=PATIENCE_S)
        assert answer.ok, answer.text

    def _await_death(self, pid: int, least_s: float) -> bool:
        """Whether it was killed at its point; in the end it is killed anyway."""
        sockets, asked = self._traffic()
        begun_s = quiet_s = time.monotonic()
        is_recovered = False
        while (status := self.nursery.status(pid)) is None:
            time.sleep(0.03)
            now_s = time.monotonic()
            if now_s < begun_s + least_s:
                continue
            before, (opened, asked) = asked, self._traffic()
            is_recovered |= opened > sockets
            quiet_s = quiet_s if asked == before and is_recovered else now_s
            if now_s > quiet_s + IDLE_S or now_s > begun_s + least_s + LONGEST_S:
                break
        reached = status is not None
        if status is None:
            self.control.no_faults()
            os.kill(pid, signal.SIGKILL)
            status = until(lambda: self.nursery.status(pid))
        log = self._log.read_text()
        assert status == -signal.SIGKILL, f"it ended by itself with {status}:\n{log[-3000:]}"
        assert "Traceback" not in log, log[-3000:]
        return reached

    def _traffic(self) -> tuple[int, int]:
        """Sockets and requests that the venue has seen so far."""
        state = requests.get(self.control.ready["control_url"] + "/state", timeout=PATIENCE_S).json()
        return int(state["traffic"]["sockets"]), int(state["traffic"]["requests"])

    def _prepare(self, life: Life) -> None:
        """Set the clock, and be the account's owner."""
        now_ms, chance = self.clock.now_ms(), self.chance
        close_ms = (now_ms // INTERVAL_MS + 1) * INTERVAL_MS
        if life is Life.ENTRY:
            if close_ms - now_ms < self.lead_ms:
                close_ms += INTERVAL_MS
            self._let_time_pass(close_ms - self.lead_ms)
        elif life is Life.EXIT or (life is not Life.AGAIN and chance.random() < 0.3):
            # Never close to a candle's end: what these lives are about is not an entry.
            self._let_time_pass(min(now_ms + chance.randint(60_000, 400_000), close_ms + 60_000))
        if life is Life.PROTECT:
            self._act_by_hand()

    def _let_time_pass(self, until_ms: int) -> None:
        self.clock.set_to(max(until_ms, self.clock.now_ms()))
        until(lambda: self.control.now_ms() >= until_ms - 1_000 or None)

    def _act_by_hand(self) -> None:
        """Cancel, or make what the daemon holds larger or smaller; what the owner alone holds is left alone."""
        held = sorted(self._held())
        trades = bool(held) and self.chance.random() < 0.6
        if not trades or self.chance.random() < 0.5:
            self.control.operate("cancel_all", user=self.control.user)
        if trades:
            trade_by_hand(self.control, self.chance.choice(held), self.chance.choice(("buy", "sell")))

    def settings(self, life: Life) -> dict[str, str]:
        # Only entries need opinions; our own strategy has few, and needs no worker.
        strategy = MOODY if life in DECIDING else "mei_alpha_v1"
        return live_settings(self.folder, self.control.ready, strategy, TIGHT if life is Life.EXIT else WIDE)

    # ── judging ──────────────────────────────────────────────────────────────────────────────────

    def truth(self) -> VenueTruth:
        newest = self._rows[-1]["n"] if self._rows else 0
        url = f"{self.control.ready['control_url']}/log?from={newest + 1}"
        lines = requests.get(url, timeout=PATIENCE_S).text.splitlines()
        self._rows += [row for row in map(json.loads, lines) if row["n"] > newest]
        return venue_truth(self._rows, self.control.user.lower())

    def _judge(self, begun_ms: int) -> None:
        truth, took_ms = self.truth(), self._recovered_in(begun_ms)
        if self.ledger.exists():
            image = ledger_image(self.ledger)
            check_at_any_time(truth, image)
        if took_ms is not None:
            check_recovered(truth, image, begun_ms)
            self.tally.note_restart(took_ms)

    def _recovered_in(self, begun_ms: int) -> int | None:
        """When a life begun then asked for the market, which it does once it has recovered."""
        for row in reversed(self._rows):
            if row["time"] < begun_ms:
                return None
            opened_ms = row["time"] if row["kind"] == "socket_opened" else None
            if opened_ms is not None:
                first = [r["time"] for r in self._rows if r["kind"] == "socket_opened" and r["time"] >= begun_ms]
                return int(min(first) - begun_ms)
        return None

    # ── the end ──────────────────────────────────────────────────────────────────────────────────

    def rest(self, calm_s: float, *, settles: bool) -> None:
        """A calm life, started cold and stopped in the end: all must agree, and with `settles` be known."""
        self.control.no_faults()
        self.lives += 1
        begun_ms, begun_s, out = self.clock.now_ms(), time.monotonic(), self._log
        with out.open("w") as log:
            daemon = subprocess.Popen(
                under_clock(self.clock, "entrypoints.daemon"),
                env=environment(self.folder, self.settings(Life.RECOVERY)),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                while not self._agrees(begun_ms) and time.monotonic() < begun_s + PATIENCE_S:
                    assert daemon.poll() is None, out.read_text()[-3000:]
                    time.sleep(0.2)
                until_s = begun_s + calm_s
                while settles and unsettled(self._alive()) and time.monotonic() < until_s:
                    time.sleep(0.2)
                daemon.send_signal(signal.SIGTERM)
                assert daemon.wait(timeout=PATIENCE_S) == 0, out.read_text()[-3000:]
            finally:
                daemon.kill()
                daemon.wait()
        truth, image = self.truth(), ledger_image(self.ledger)
        check_at_any_time(truth, image)
        check_at_rest(truth, image, self._held())
        took_ms = self._recovered_in(begun_ms)
        assert took_ms is not None
        self.tally.note_restart(took_ms, cold=True)
        self.tally.orders = Counter(image.keys[cloid][1] for cloid in truth.oids)
        self.tally.fills = len(truth.fills)
        self.tally.unsettled = unsettled(image)

    def _alive(self) -> LedgerImage:
        return ledger_image(self.ledger, alive=True)

    def _agrees(self, begun_ms: int) -> bool:
        truth = self.truth()
        asked = [row["time"] for row in self._rows if row["kind"] == "request"]
        if self._recovered_in(begun_ms) is None or self.clock.now_ms() < asked[-1] + QUIET_MS:
            return False
        image = self._alive()
        return image.fills.keys() == truth.fills.keys() and image.positions == truth.positions

    def _held(self) -> dict[str, Decimal]:
        question = {"type": "clearinghouseState", "user": self.control.user}
        state = requests.post(self.control.ready["url"] + "/info", json=question, timeout=PATIENCE_S).json()
        return {each["position"]["coin"]: Decimal(each["position"]["szi"]) for each in state["assetPositions"]}


SIZE_DECIMALS = {"BTC": 5, "ETH": 4, "SOL": 2, "HYPE": 2}
"""Of the venue's first symbols."""


MOODY = "tests.moody_strategy:analyze"


def live_settings(folder: Path, ready: Mapping[str, Any], strategy: str, overrides: str) -> dict[str, str]:
    """A live daemon on a venue of `loopback`, with the texts of overrides that it put there."""
    toy = ready["accounts"][0]
    return {
        "AI_QUANT_MODE": "live",
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_VENUE_URL": ready["url"],
        "AI_QUANT_ACCOUNT_ADDRESS": toy["address"],
        "AI_QUANT_AGENT_KEY": toy["key"],
        "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
        "AI_QUANT_SYMBOLS": ",".join(ready["symbols"]),
        "AI_QUANT_INTERVAL": INTERVAL,
        "AI_QUANT_CANDLE_CLOSE_GRACE_MS": str(GRACE_MS),
        "AI_QUANT_STRATEGY": strategy,
        "AI_QUANT_STRATEGY_YAML": str(folder / OVERRIDES[overrides]),
        "AI_QUANT_DB_PATH": str(folder / "ledger.sqlite"),
    }


def trade_by_hand(control: VenueControl, symbol: str, side: str) -> None:
    """A trade of the account's owner, of some hundred dollars."""
    url = control.ready["url"] + "/info"
    mid = Decimal(requests.post(url, json={"type": "allMids"}, timeout=PATIENCE_S).json()[symbol])
    step = Decimal(1).scaleb(-SIZE_DECIMALS.get(symbol, 0))
    size = (Decimal(400) / mid // step + 1) * step
    control.operate("trade", user=control.user, coin=symbol, side=side, size=str(size))


@contextmanager
def loopback(folder: Path, seed: int, symbols: int = SYMBOLS) -> Iterator[tuple[ClockFile, VenueControl]]:
    """A venue under a clock of its own."""
    folder.mkdir(parents=True)
    for text, name in OVERRIDES.items():
        (folder / name).write_text(text)
    clock = ClockFile(folder / "clock")
    arguments = ("--json", "--symbols", str(symbols), "--no-limits", "--block", "20", "--seed", str(seed))
    with ExitStack() as stack:
        venue = stack.enter_context(
            subprocess.Popen(
                under_clock(clock, "entrypoints.cli", "venue", *arguments, "--balance", "100000"),
                env=environment(folder),
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(venue.kill)
        assert venue.stdout is not None
        yield clock, VenueControl(json.loads(venue.stdout.readline()))
        assert venue.poll() is None, "the venue is gone"


@contextmanager
def chain(folder: Path, nursery: Nursery, seed: int) -> Iterator[Chain]:
    with loopback(folder, seed) as (clock, control):
        yield Chain(folder, control, clock, nursery, random.Random(seed))


def until(found: Callable[[], Any]) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := found()) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return answer


CYCLE = (
    *(Life.ENTRY, Life.AGAIN, Life.PROTECT, Life.RECOVERY, Life.PROTECT, Life.RECOVERY, Life.PROTECT),
    *(Life.RECOVERY, Life.EXIT, Life.RECOVERY, Life.EXIT),
)
BARREN_LIVES = 4
MOST_LIVES_PER_POINT = 5


def sweep(
    folder: Path, seeds: Sequence[int], points: int, *, calm_s: float, settles: bool, calls: bool = False
) -> Tally:
    """Kill at so many points of a chain for each seed, side by side: most of an entry's life is waiting.

    The venue kills, or with `calls` strace.
    """
    folder.mkdir(exist_ok=True)

    failed = threading.Event()

    def one(seed: int) -> Tally:
        try:
            return run(seed)
        except BaseException as error:
            failed.set()
            error.add_note(f"chain {seed}, in {folder / str(seed)}")
            raise

    def run(seed: int) -> Tally:
        with chain(folder / str(seed), nursery, seed) as lives:
            for number in range(points * MOST_LIVES_PER_POINT):
                if lives.tally.points.total() == points or failed.is_set():
                    break
                if settles and lives.barren:  # what a kill left open stands in the way of entries
                    lives.rest(calm_s, settles=True)
                    lives.barren = 0
                life = lives.fitting(CYCLE[number % len(CYCLE)])
                if calls and lives.lives:
                    lives.live_to_a_call(life)
                else:
                    lives.live(life)
            if not failed.is_set():
                lives.rest(calm_s, settles=settles)
        lives.tally.replayed += check_sessions(folder / str(seed) / "sessions")
        return lives.tally

    total = Tally()
    with Nursery(folder) as nursery, ThreadPoolExecutor(len(seeds)) as side_by_side:
        running = [side_by_side.submit(one, seed) for seed in seeds]
        errors = [error for each in running if (error := each.exception()) is not None]
        if errors:
            raise errors[0]
        for each in running:
            total.add(each.result())
    return total
