"""One connection's health. What is judged is the age of its newest data; pongs only show that somebody is there.

    STARTING ──speaks──▶ WELL ──silent beyond chance──▶ SUSPECT ──a spot check agrees──▶ QUIET
                          │ ▲                              │
       its time stands    │ └──────── speaks ◀── DEAD ◀────┘ prices moved, others speak, or no chance left
       still, or lags     └──▶ FROZEN
    any of them ──lost──▶ CONNECTING ──10 s──▶ DOWN

DEAD lasts until data is heard, or there is a new connection to be judged. Then what was learned of the old one is
forgotten: a connection that was busy and has become quiet is started again once, and found to be quiet after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.hyperliquid.feed_health import Judgement, Moment, Report, Verdict, at_text, count_text, silence_text
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.usual_gaps import UsualGap

SUSPECT_MS = 3_000
"""The least; the longest silence of a busy connection that healed by itself in half an hour of recording was 2.3 s."""
BUSY_DEAD_MS = 5_000
"""For a busy connection, where another one speaks."""
DEAD_MS = 10_000
"""Where nobody else speaks either, the whole way to the venue may be stalled: such a stall healed itself after 8.0 s in
recordings, and new connections would not have shortened it. And by then a spot check had its chance."""
NOT_EVEN_PONGS_MS = 25_000
"""A ping every 20 s, and time for its answer."""
HANDFUL = 5
"""With more coins than this, silence is not their own."""
START_MS = 30_000
DOWN_MS = 10_000
BEHIND_MS = 10_000
FROZEN_LOOKS = 5
"""At which quotes came, all of them old: after a subscription a quiet coin's old quote is sent again, once."""


@dataclass(frozen=True, slots=True)
class Around:
    """What others know of a connection's silence."""

    speaking: int | None
    """Another market connection that has spoken since, and still does."""
    moved: str
    """Whose price has moved meanwhile, in words."""
    is_confirmed: bool
    """A spot check in this silence found our prices unchanged."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all connections, `passed_ms` after the one before; no silence is longer than we are awake."""

    now: Moment
    passed_ms: int
    awake_ms: int
    is_steady: bool
    """Our clock was not set lately."""
    is_first: bool
    of_quotes: bool
    """The feed streams quotes: a connection that carries none of them has little or nothing to say, then."""


class LineHealth:
    """One market connection. Those that are there at the daemon's first look are given time to start."""

    def __init__(self, number: int, look: Look) -> None:
        self.number = number
        self.gap = UsualGap()
        self.judgement = Judgement(Verdict.STARTING if look.is_first else Verdict.CONNECTING)
        self._starts_until_ms = look.now.real_ms + (START_MS if look.is_first else 0)
        self._opened_ms: int | None = None
        self._lost_ms = look.now.real_ms
        self._was_heard = False
        """On this connection."""
        self._cause = ""
        """Why it is dead."""
        self._newest_venue_ms = -1
        self._newest_ms = 0
        self._stuck = self._behind = 0

    def look(self, report: Report, look: Look, around: Callable[[], Around]) -> Judgement:
        """Judge the connection; `around` is asked where it is silent."""
        now = look.now
        if report.phase in (Phase.SUBSCRIBING, Phase.LIVE):
            opened_ms = self._opened(look) if self._opened_ms is None else self._opened_ms
            self.judgement = self._connected(report, look, now.real_ms - opened_ms, around)
        else:
            if self._opened_ms is not None:
                self._opened_ms, self._lost_ms = None, now.real_ms
            self.judgement = self._lost(report, now)
        return self.judgement

    # ── not connected ────────────────────────────────────────────────────────────────────────────

    def _lost(self, report: Report, now: Moment) -> Judgement:
        """What was sick stays so: a new connection has to prove itself first."""
        self._newest_venue_ms = report.newest_venue_ms
        gone_ms = now.real_ms - self._lost_ms
        since_ms = now.before(gone_ms)
        if now.real_ms < self._starts_until_ms:
            return Judgement(Verdict.STARTING, f"connection {self.number}: still connecting", since_ms)
        if gone_ms > DOWN_MS:
            gone = f"{gone_ms / 1000:.1f} s (since {at_text(since_ms)})"
            return Judgement(Verdict.DOWN, f"connection {self.number}: not connected for {gone}", since_ms)
        if self.judgement.verdict.is_sick:
            return self.judgement
        return Judgement(Verdict.CONNECTING, f"connection {self.number}: lost, connecting", since_ms)

    def _opened(self, look: Look) -> int:
        """A connection is there, to be judged afresh. Returns since when it is, for all we know."""
        if self.judgement.verdict is Verdict.DEAD:
            self.gap = UsualGap()
        self.gap.skip()
        self._stuck = self._behind = 0
        self._was_heard = False
        if self.judgement.verdict is not Verdict.STARTING:
            self.judgement = Judgement(Verdict.CONNECTING)
        self._opened_ms = look.now.real_ms - (look.awake_ms if look.is_first else 0)
        return self._opened_ms

    # ── connected ────────────────────────────────────────────────────────────────────────────────

    def _connected(self, report: Report, look: Look, open_ms: int, around: Callable[[], Around]) -> Judgement:
        heard = self.gap.look(report.data_silence_ms, look.passed_ms) and report.data_silence_ms < open_ms
        was_dead = self.judgement.verdict is Verdict.DEAD
        # Before its first frame a connection is as silent as it is old, and no stream is older than it.
        heard |= report.newest_venue_ms > self._newest_venue_ms
        if heard or report.data_silence_ms < max(report.quiet.values(), default=0):
            self._was_heard = True
        was_dead &= not heard
        if not self._was_heard and look.now.real_ms < self._starts_until_ms:
            return Judgement(Verdict.STARTING, f"connection {self.number}: nothing heard yet", look.now.venue_ms)
        if look.of_quotes and not report.quiet and report.phase is Phase.LIVE:
            return Judgement(Verdict.WELL)
        known_ms = min(look.awake_ms, open_ms)
        silence_ms, mute_ms = min(report.data_silence_ms, known_ms), min(report.any_silence_ms, known_ms)
        limit_ms = self.gap.limit_ms(SUSPECT_MS) if self._was_heard else SUSPECT_MS
        if not was_dead and silence_ms <= limit_ms and mute_ms <= NOT_EVEN_PONGS_MS:
            return self._speaking(report, look)
        verdict = Verdict.DEAD
        if not was_dead:
            verdict, self._cause = self._silent(report, silence_ms, mute_ms, around())
        silent = f"{silence_text(silence_ms, look.now)}{count_text(len(report.quiet))}"
        reason = f"connection {self.number}: {silent} while the socket is open{self._cause}"
        return Judgement(verdict, reason, look.now.before(silence_ms))

    def _speaking(self, report: Report, look: Look) -> Judgement:
        problem = self._frozen(report, look)
        if not self._was_heard:
            return Judgement(Verdict.CONNECTING, f"connection {self.number}: nothing heard yet", look.now.venue_ms)
        if problem:
            return Judgement(Verdict.FROZEN, f"connection {self.number}: {problem}", report.newest_venue_ms)
        return Judgement(Verdict.WELL)

    def _silent(self, report: Report, silence_ms: int, mute_ms: int, around: Around) -> tuple[Verdict, str]:
        """What a silence means, and what says so; for `mute_ms` there was not even a pong.

        A connection that never spoke is not quiet: streams of quotes begin with the current one.
        """
        usual = f"it usually speaks every {self.gap.usual_ms / 1000:.2f} s"
        if around.moved:
            return Verdict.DEAD, f"; meanwhile {around.moved}"
        if mute_ms > NOT_EVEN_PONGS_MS:
            return Verdict.DEAD, "; not even pongs come"
        if around.is_confirmed and self._was_heard and not self.gap.is_busy:
            return Verdict.QUIET, "; prices are still the same"
        witness = "" if around.speaking is None else f"; connection {around.speaking} speaks"
        if self.gap.is_busy and witness and silence_ms > BUSY_DEAD_MS:
            return Verdict.DEAD, f"{witness}; {usual}"
        if (self.gap.is_busy or self.gap.is_regular or len(report.quiet) > HANDFUL) and silence_ms > DEAD_MS:
            return Verdict.DEAD, f"{witness}; {usual}"
        return Verdict.SUSPECT, f"; {usual}"

    def _frozen(self, report: Report, look: Look) -> str:
        """What is wrong with the times of quotes that come, or empty. Looks at which no quote came say nothing."""
        now, newest_ms = look.now, report.newest_venue_ms
        quote_ms = min(report.quiet.values(), default=look.passed_ms + 1)
        is_new = quote_ms <= look.passed_ms
        lag_ms = int((now.before(quote_ms) - newest_ms) / now.pace)
        if newest_ms != self._newest_venue_ms:
            self._newest_venue_ms, self._newest_ms, self._stuck = newest_ms, now.real_ms, 0
        elif is_new:
            self._stuck += 1
        if is_new:
            self._behind = self._behind + 1 if lag_ms > BEHIND_MS and look.is_steady else 0
        still_ms = now.real_ms - self._newest_ms
        if self._stuck >= FROZEN_LOOKS and still_ms > BEHIND_MS:
            return f"quotes come, but their time has stood at {at_text(newest_ms)} for {still_ms / 1000:.1f} s"
        if self._behind >= FROZEN_LOOKS:
            return f"quotes come {lag_ms / 1000:.1f} s late, the newest is of {at_text(newest_ms)}"
        return ""
