"""A quiet coin is no stale feed, and a dead feed is seen although its socket is open: the classifier, by example."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.hyperliquid.coin_streams import CONFIRMED_FOR_MS, ON_ITS_WAY_MS
from adapters.hyperliquid.feed_health import Judgement, Verdict, coins_text
from adapters.hyperliquid.line_reports import LineReport
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.staleness import UNSTEADY_MS, Judged, Staleness
from adapters.hyperliquid.usual_gaps import CEILING_MS, FLOOR_MS, LATE_LOOK_MS, UsualGap
from tests.feed_reports import Line, thin

START_MS = 1_791_275_808_695
STEP_MS = 1_000


class Rig:
    """Connections that speak until they are told to be silent, and looks once a second, of real time."""

    def __init__(self, *lines: Line, pace: float = 1.0) -> None:
        self.now_ms = 0
        self.ahead_ms = 0
        self.lag_ms = 300
        self.pace = pace
        self.lines = dict(enumerate(lines))
        self.silent: set[int] = set()
        self.mute: set[str] = set()
        self.time_stands = False
        self.pongs = True
        self.ours: dict[str, float] = {}
        self.staleness = Staleness(pace)
        self.judged = Judged({}, {}, {})

    @property
    def venue_ms(self) -> int:
        return START_MS + int(self.now_ms * self.pace) + self.ahead_ms

    def report(self, number: int) -> LineReport:
        return self.lines[number].report(number, self.now_ms)

    def run(self, seconds: float, step_ms: int = STEP_MS) -> Judged:
        """Let time pass, and look every second."""
        for _ in range(int(seconds * 1_000 / step_ms)):
            self.now_ms += step_ms
            for number, line in self.lines.items():
                self._speak(number, line)
            self.look()
        return self.judged

    def look(self) -> Judged:
        reports = [self.report(number) for number in self.lines]
        self.judged = self.staleness.look(reports, self.now_ms, self.venue_ms)
        return self.judged

    def _speak(self, number: int, line: Line) -> None:
        if self.pongs:
            line.pong(self.now_ms)
        if number not in self.silent:
            stamp_ms = None if self.time_stands else START_MS - int(self.lag_ms * self.pace)
            line.speak(self.now_ms, self.mute, stamp_ms, self.pace)

    def check(self, **mids: float) -> None:
        """The venue answers a question at once; our own prices are 100 unless told otherwise."""
        self.staleness.checked(self.now_ms, mids, lambda coin: self.ours.get(coin, 100.0))

    def of(self, number: int = 0) -> Judgement:
        return self.judged.lines[number]

    def verdict(self, number: int = 0) -> Verdict:
        return self.of(number).verdict

    def until(
        self, verdict: Verdict, number: int = 0, limit_s: int = 120, then: Callable[[], None] | None = None
    ) -> int:
        """Look until this verdict falls; how long that took (ms)."""
        begin_ms = self.now_ms
        for _ in range(limit_s):
            self.run(1)
            if self.verdict(number) is verdict:
                return self.now_ms - begin_ms
            if then is not None:
                then()
        raise AssertionError(f"never {verdict}: {self.of(number)}")


MANY = tuple(f"C{number}" for number in range(60))


def many() -> Line:
    return Line(MANY)


# ── what is usual ────────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_learned_when_it_has_ended() -> None:
    gap = UsualGap()
    for _ in range(100):
        gap.look(70, 1_000)
    assert gap.usual_ms == pytest.approx(70, rel=0.2)
    for seconds in range(1, 60):
        gap.look(seconds * 1_000, 1_000)
    assert gap.usual_ms == pytest.approx(70, rel=0.2), "an age that grows teaches nothing"
    gap.look(70, 1_000)
    assert gap.usual_ms > 200
    assert gap.longest_ms == 59_000


def test_the_usual_gap_has_a_floor_and_a_ceiling() -> None:
    fast, slow = UsualGap(), UsualGap()
    for _ in range(1_000):
        fast.look(0, 1_000)
    for _ in range(200):
        for minute in range(1, 11):
            slow.look(minute * 60_000, 4_000)
        slow.look(1, 4_000)
    assert fast.usual_ms == FLOOR_MS
    assert slow.usual_ms == pytest.approx(CEILING_MS, rel=0.05)
    assert slow.limit_ms(3_000) <= 20 * CEILING_MS


def test_neither_a_skipped_gap_nor_one_that_we_slept_through_is_learned() -> None:
    gap = UsualGap()
    for _ in range(50):
        gap.look(70, 1_000)
    for silence_ms, passed_ms in ((600_070, 600_000), (601_070, 1_000), (70, 1_000)):
        gap.look(silence_ms, passed_ms)
    gap.skip()
    for silence_ms in (90_000, 91_000, 70):
        gap.look(silence_ms, 1_000)
    assert gap.longest_ms == 70


def test_what_speaks_like_a_clock_gets_a_shorter_limit_than_what_speaks_by_chance() -> None:
    regular = UsualGap()
    for _ in range(60):
        for silence_ms in (4_900, 100):
            regular.look(silence_ms, 1_000)
    assert regular.limit_ms(3_000) < 4 * 4_900


# ── one connection ───────────────────────────────────────────────────────────────────────────────


def test_a_busy_connection_is_suspect_after_three_seconds_and_dead_after_ten() -> None:
    rig = Rig(many())
    rig.run(60)
    assert rig.verdict() is Verdict.WELL
    rig.silent.add(0)
    assert 3_000 <= rig.until(Verdict.SUSPECT) <= 4_000
    rig.until(Verdict.DEAD)
    assert 10_000 < rig.report(0).data_silence_ms <= 11_100
    reason = rig.of().reason
    assert reason.startswith("connection 0: nothing for 1") and " on 60 coins while the socket is open" in reason
    assert "UTC" in reason and "it usually speaks every 0.0" in reason
    assert abs(rig.of().since_ms - (START_MS + rig.lines[0].data_ms)) < 5


def test_pongs_are_no_data() -> None:
    """The session is content with them for ever: only data tells of the market."""
    rig = Rig(many())
    rig.run(60)
    rig.silent.add(0)
    for _ in range(30):
        rig.run(1)
        rig.lines[0].any_ms = rig.now_ms
    assert rig.verdict() is Verdict.DEAD
    assert rig.report(0).any_silence_ms == 0


def test_where_another_connection_speaks_five_seconds_are_enough() -> None:
    rig = Rig(many(), many())
    rig.run(60)
    rig.silent.add(1)
    assert 5_000 <= rig.until(Verdict.DEAD, 1) <= 6_000
    assert "connection 0 speaks" in rig.of(1).reason
    assert rig.verdict(0) is Verdict.WELL


def test_one_that_fell_silent_at_the_same_time_is_no_witness() -> None:
    rig = Rig(many(), many())
    rig.run(60)
    rig.silent |= {0, 1}
    rig.run(9)
    assert {rig.verdict(0), rig.verdict(1)} == {Verdict.SUSPECT}


def test_one_quiet_coin_does_not_make_its_connection_silent() -> None:
    rig = Rig(many())
    rig.mute.add("C7")
    rig.run(600)
    assert rig.verdict() is Verdict.WELL
    assert rig.judged.coins.keys() == {"C7"}
    assert rig.judged.coins["C7"].verdict is Verdict.SUSPECT


def test_a_few_thin_coins_are_quiet_where_their_prices_stand() -> None:
    rig = Rig(thin("A", "B"))
    rig.run(120)
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    rig.check(A=100.0, B=100.04)
    rig.run(1)
    assert rig.verdict() is Verdict.QUIET
    assert "prices are still the same" in rig.of().reason
    rig.run(CONFIRMED_FOR_MS // 1_000)
    assert rig.verdict() is Verdict.SUSPECT, "an answer does not stand for ever"


def test_prices_that_moved_meanwhile_are_a_death_once_no_frame_can_be_on_its_way() -> None:
    rig = Rig(thin("A", "B"))
    rig.run(120)
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    rig.check(A=100.0, B=100.06)
    rig.run(ON_ITS_WAY_MS // 1_000)
    assert rig.verdict() is Verdict.SUSPECT
    rig.run(1)
    assert rig.verdict() is Verdict.DEAD
    assert "meanwhile B went from 100 to 100.06 (+6.0 bps)" in rig.of().reason


def test_equal_prices_prove_nothing_on_a_busy_connection() -> None:
    rig = Rig(Line(("BTC", "ETH"), (100,)))
    rig.run(60)
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    rig.check(BTC=100.0, ETH=100.0)
    rig.until(Verdict.DEAD, limit_s=8)


def test_many_thin_coins_are_dead_where_nobody_confirms_them_and_quiet_where_somebody_does() -> None:
    coins = tuple("ABCDEFGH")
    for mids in ({}, dict.fromkeys(coins, 100.0)):
        rig = Rig(thin(*coins))
        rig.run(300)
        rig.silent.add(0)
        rig.until(Verdict.QUIET if mids else Verdict.DEAD, then=lambda rig=rig, mids=mids: rig.check(**mids))  # type: ignore[misc]


def test_thin_and_not_even_pongs() -> None:
    rig = Rig(thin())
    rig.run(120)
    rig.pongs, rig.lines[0].any_ms = False, rig.now_ms
    rig.silent.add(0)
    for _ in range(24):
        rig.run(1)
        rig.check(THIN=100.0)
        assert rig.verdict() in (Verdict.WELL, Verdict.SUSPECT, Verdict.QUIET)
    rig.until(Verdict.DEAD, limit_s=3)
    assert "not even pongs come" in rig.of().reason


def test_an_answer_from_before_the_silence_says_nothing_about_it() -> None:
    rig = Rig(thin("A", "B"))
    rig.mute.add("B")
    rig.run(120)
    rig.check(B=100.0)
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    rig.run(5)
    assert rig.verdict() is Verdict.SUSPECT


def test_what_is_dead_stays_dead_until_it_speaks() -> None:
    rig = Rig(many())
    rig.run(60)
    rig.silent.add(0)
    rig.until(Verdict.DEAD)
    cause = rig.of().reason.rsplit(";", 1)[1]
    rig.run(120)
    assert rig.verdict() is Verdict.DEAD and rig.of().reason.endswith(cause)
    rig.silent.clear()
    rig.run(1)
    assert rig.verdict() is Verdict.WELL


def test_a_price_that_comes_back_raises_nobody_from_the_dead() -> None:
    rig = Rig(thin("A", "B"))
    rig.run(120)
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    rig.check(B=100.2)
    rig.until(Verdict.DEAD)
    for _ in range(30):
        rig.check(A=100.0, B=100.0)
        rig.run(1)
        assert rig.verdict() is Verdict.DEAD
        assert "meanwhile B went from 100 to 100.2" in rig.of().reason


def test_account_connections_and_those_without_streams_are_not_judged_for_data() -> None:
    rig = Rig(many(), Line((), is_account=True), Line(()))
    rig.silent |= {1, 2}
    rig.run(300)
    assert rig.judged.lines.keys() == {0, 2}
    assert rig.verdict(2) is Verdict.WELL


def test_where_no_quotes_are_streamed_data_are_judged_all_the_same() -> None:
    rig = Rig(Line((), (5_000,)))
    rig.run(400)
    assert rig.verdict() is Verdict.WELL
    rig.silent.add(0)
    rig.until(Verdict.DEAD, limit_s=25)


# ── coming and going ─────────────────────────────────────────────────────────────────────────────


def test_a_start_takes_its_time_and_then_is_down() -> None:
    rig = Rig(many())
    rig.lines[0].phase = Phase.WAITING
    rig.run(29)
    assert rig.verdict() is Verdict.STARTING
    rig.run(2)
    assert rig.verdict() is Verdict.DOWN


def test_a_lost_connection_is_connecting_for_ten_seconds() -> None:
    rig = Rig(many())
    rig.run(60)
    rig.lines[0].phase = Phase.WAITING
    rig.run(10)
    assert rig.verdict() is Verdict.CONNECTING
    rig.run(2)
    assert rig.verdict() is Verdict.DOWN
    assert "not connected for 11.0 s (since " in rig.of().reason


def test_what_was_dead_is_not_well_while_it_reconnects() -> None:
    rig = Rig(many())
    rig.run(60)
    rig.silent.add(0)
    rig.until(Verdict.DEAD)
    rig.lines[0].phase = Phase.WAITING
    rig.run(5)
    assert rig.verdict() is Verdict.DEAD
    rig.lines[0].open(rig.now_ms)
    rig.run(2)
    assert rig.verdict() is Verdict.CONNECTING, "nothing was heard yet on the new one"
    rig.silent.clear()
    rig.run(2)
    assert rig.verdict() is Verdict.WELL


def test_a_new_connection_is_not_silent_since_the_old_one_was() -> None:
    rig = Rig(many(), many())
    rig.run(60)
    rig.lines[0].phase = Phase.WAITING
    rig.run(8)
    rig.lines[0].phase = Phase.SUBSCRIBING
    rig.run(3)
    assert rig.verdict(0) is Verdict.CONNECTING


def test_a_busy_connection_that_becomes_quiet_dies_once_and_is_then_quiet() -> None:
    rig = Rig(Line(("A",), (50,)))
    rig.run(120)
    rig.silent.add(0)
    rig.until(Verdict.DEAD)
    rig.lines[0].phase = Phase.WAITING
    rig.run(2)
    line = rig.lines[0]
    line.open(rig.now_ms)
    line.data_ms = line.heard_ms["A"] = rig.now_ms + 500
    line.stamp_ms = START_MS + rig.now_ms
    for _ in range(300):
        rig.run(1)
        rig.check(A=100.0)
        assert rig.verdict() is not Verdict.DEAD
    assert rig.verdict() is Verdict.QUIET


@pytest.mark.parametrize(("make", "verdict"), [(many, Verdict.DEAD), (thin, Verdict.SUSPECT)])
def test_a_new_connection_that_never_spoke_is_not_quiet_whatever_prices_say(
    make: Callable[[], Line], verdict: Verdict
) -> None:
    """Streams of quotes begin with the current one."""
    rig = Rig(make())
    rig.run(60)
    rig.lines[0].phase = Phase.WAITING
    rig.run(12)
    rig.lines[0].open(rig.now_ms)
    rig.silent.add(0)
    for _ in range(20):
        rig.run(1)
        rig.check(**dict.fromkeys(rig.lines[0].coins, 100.0))
        assert not rig.verdict().is_well
    assert rig.verdict() is verdict


def test_first_quotes_that_came_before_we_looked_are_heard() -> None:
    rig = Rig(thin("A", "B"))
    rig.run(60)
    rig.lines[0].phase = Phase.WAITING
    rig.run(12)
    rig.lines[0].open(rig.now_ms)
    rig.lines[0].data_ms = rig.lines[0].heard_ms["B"] = rig.now_ms + 700
    rig.silent.add(0)
    rig.run(1)
    assert rig.verdict() is Verdict.WELL


@pytest.mark.parametrize("asleep_s", [6, 60, 3_600])
def test_after_a_sleep_of_our_own_nothing_is_stale_at_once(asleep_s: int) -> None:
    rig = Rig(many(), thin())
    rig.run(60)
    rig.now_ms += asleep_s * 1_000
    assert asleep_s * 1_000 > LATE_LOOK_MS
    rig.look()
    assert {rig.verdict(0), rig.verdict(1)} == {Verdict.WELL}
    rig.silent.add(0)
    rig.until(Verdict.DEAD, limit_s=12)


def test_connections_come_and_go() -> None:
    rig = Rig(many())
    rig.run(60)
    rig.lines[1] = Line(("NEW",), phase=Phase.WAITING)
    rig.run(5)
    assert rig.verdict(1) is Verdict.CONNECTING
    rig.lines[1].phase = Phase.LIVE
    rig.run(5)
    assert rig.verdict(1) is Verdict.WELL
    del rig.lines[1]
    rig.run(1)
    assert rig.judged.lines.keys() == {0}


# ── frozen ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pace", [1.0, 60.0])
def test_quotes_whose_time_stands_still_are_frozen(pace: float) -> None:
    rig = Rig(many(), pace=pace)
    rig.run(60)
    rig.time_stands = True
    assert 10_000 <= rig.until(Verdict.FROZEN) <= 12_000
    assert "connection 0: quotes come" in rig.of().reason
    rig.time_stands = False
    rig.run(2)
    assert rig.verdict() is Verdict.WELL


@pytest.mark.parametrize("pace", [1.0, 60.0])
@pytest.mark.parametrize(("lag_ms", "verdict"), [(9_000, Verdict.WELL), (11_500, Verdict.FROZEN)])
def test_quotes_that_come_late_are_frozen(lag_ms: int, verdict: Verdict, pace: float) -> None:
    rig = Rig(many(), pace=pace)
    rig.run(60)
    rig.lag_ms = lag_ms
    rig.run(20)
    assert rig.verdict() is verdict
    if verdict is Verdict.FROZEN:
        assert "quotes come 11.5 s late" in rig.of().reason


def test_an_old_quote_that_is_sent_again_after_a_subscription_is_not_frozen() -> None:
    rig = Rig(thin())
    rig.run(60)
    rig.silent.add(0)
    rig.run(20)
    rig.lines[0].data_ms = rig.lines[0].heard_ms["THIN"] = rig.now_ms + 500
    for _ in range(30):
        rig.run(1)
        assert rig.verdict() is not Verdict.FROZEN


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_set_does_not_freeze_the_feed(step_ms: int) -> None:
    """The venue's clock is compared with ours every minute: by then we know better."""
    rig = Rig(many())
    rig.run(60)
    rig.ahead_ms = step_ms
    rig.run(UNSTEADY_MS // 1_000 - 10)
    assert rig.verdict() is Verdict.WELL
    rig.ahead_ms = 0
    rig.run(200)
    assert rig.verdict() is Verdict.WELL


# ── one coin ─────────────────────────────────────────────────────────────────────────────────────


def muted(coin: str = "C7") -> Rig:
    """A rig whose connection speaks, but for one coin that has been silent for more than half a minute."""
    rig = Rig(many())
    rig.run(60)
    rig.mute.add(coin)
    rig.run(32)
    return rig


def coin(rig: Rig, symbol: str = "C7") -> Judgement | None:
    return rig.run(1).coins.get(symbol)


def test_two_answers_in_a_row_make_a_dead_stream() -> None:
    rig = muted()
    rig.check(C7=100.2)
    assert (first := coin(rig)) and first.verdict is Verdict.SUSPECT
    rig.run(9)
    rig.check(C7=100.3)
    assert (second := coin(rig)) and second.verdict is Verdict.DEAD
    assert second.reason.startswith("C7 on connection 0: nothing for 4") and "100 to 100.3 (+30.0 bps)" in second.reason
    assert rig.judged.line_of == {"C7": 0}
    assert rig.verdict() is Verdict.WELL


def test_one_answer_in_between_that_agrees_begins_anew() -> None:
    rig = muted()
    for mid in (100.2, 100.0, 100.2):
        rig.check(C7=mid)
        found = coin(rig)
        assert found is not None and found.verdict is not Verdict.DEAD
        rig.run(9)


def test_a_price_that_stands_makes_a_quiet_coin() -> None:
    rig = muted()
    rig.check(C7=100.05)
    found = coin(rig)
    assert found is not None and found.verdict is Verdict.QUIET and "its price is still 100.05" in found.reason


def test_who_takes_the_answer_for_its_own_price_does_not_hide_a_dead_stream() -> None:
    rig = muted()
    for _ in range(2):
        rig.check(C7=100.2)
        rig.ours["C7"] = 100.2
        rig.run(10)
    found = coin(rig)
    assert found is not None and found.verdict is Verdict.DEAD


def test_a_coin_that_spoke_after_the_question_is_not_compared() -> None:
    rig = Rig(many())
    rig.run(60)
    rig.check(**dict.fromkeys(MANY, 200.0))
    rig.mute.add("C7")
    rig.run(32)
    rig.check(C7=100.2)
    found = coin(rig)
    assert found is not None and found.verdict is Verdict.SUSPECT, "the first of two"


def test_a_quote_ends_it() -> None:
    rig = muted()
    for _ in range(2):
        rig.check(C7=100.2)
        rig.run(10)
    rig.mute.clear()
    assert coin(rig) is None
    rig.mute.add("C7")
    rig.run(32)
    rig.check(C7=100.2)
    found = coin(rig)
    assert found is not None and found.verdict is Verdict.SUSPECT


def test_without_a_price_of_ours_nothing_is_proven() -> None:
    rig = muted()
    for _ in range(3):
        rig.staleness.checked(rig.now_ms, {"C7": 100.2, "UNKNOWN": 1.0}, lambda _: None)
        rig.run(10)
    found = coin(rig)
    assert found is not None and found.verdict is Verdict.SUSPECT


def test_on_a_silent_connection_coins_are_not_judged() -> None:
    rig = muted()
    rig.silent.add(0)
    rig.until(Verdict.SUSPECT)
    assert not rig.judged.coins


def test_a_stream_that_asking_again_does_not_cure_is_no_evidence_about_its_connection() -> None:
    """Such as a book with one side: the venue's mid is then its last trade, and no quote of ours."""
    rig = Rig(thin("A", "B"))
    rig.mute.add("B")
    rig.run(60)
    for _ in range(2):
        for _ in range(2):
            rig.check(B=100.2)
            rig.run(10)
        rig.staleness.asked_again(["B"], rig.now_ms)
    rig.silent.add(0)
    for _ in range(10):
        rig.check(A=100.0, B=100.2)
        rig.run(10)
        assert rig.verdict() is not Verdict.DEAD
    assert rig.verdict() is Verdict.QUIET


# ── when a spot check would help ─────────────────────────────────────────────────────────────────


def test_old_prices_and_silent_connections_want_a_check() -> None:
    rig = Rig(many())
    rig.run(60)
    assert not rig.staleness.wants_check(MANY, rig.now_ms)
    assert rig.staleness.wants_check(["ELSEWHERE"], rig.now_ms), "no stream tells its price"
    rig.mute.add("C7")
    rig.run(9)
    assert rig.staleness.wants_check(MANY, rig.now_ms)
    assert not rig.staleness.wants_check(["C1"], rig.now_ms), "nobody wants the price of C7"
    rig.silent.add(0)
    rig.run(4)
    assert rig.staleness.wants_check([], rig.now_ms)


def test_names_are_cut_short() -> None:
    assert coins_text(["B", "A"]) == "A, B"
    assert coins_text(MANY) == "C0, C1, C10, C11, C12 and 55 more"
