"""Alerts that leave the machine: what goes out, what is held back and counted, and what never says a secret."""

from __future__ import annotations

import logging
import threading

import pytest

from adapters.alerts.channel import ChannelFailed
from adapters.alerts.masking import masked
from adapters.alerts.severities import CRITICAL_CODES, NEWS_CODES, Severity, severity_of
from adapters.alerts.throttle import HOUR_MS, SUMMARY_LINES, WINDOWS, AlertLimits, Throttle, subject_of
from adapters.alerts.throttled import OLD_MS, TEXT_CHARS, ThrottledAlerts
from adapters.alerts.waiting_line import PAUSES_MS

WINDOW_MS = 900_000
PATIENCE_S = 20.0
ADDRESS = "0x1234" + "9" * 32 + "abcd"
KEY = "0x" + "5e" * 32
TOKEN = "123456:not-a-real-token"


class HandClock:
    """Moved by hand, and at once."""

    def __init__(self) -> None:
        self.at_ms = 5_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_ms(self) -> int:
        return self.at_ms

    async def sleep_until(self, at_ms: int) -> None:
        raise AssertionError("alerts wait for nothing")


class KeptLog:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def send(self, code: str, text: str) -> None:
        self.said.append((code, text))


class FakeChannel:
    """Takes what it is given, unless it is broken; `gate` closed: it hangs."""

    def __init__(self, name: str = "fake #1") -> None:
        self.name = name
        self.broken: Exception | None = None
        self.tried = 0
        self.taken: list[tuple[str, str, Severity]] = []
        self.gate, self.hangs, self.has_taken = threading.Event(), threading.Event(), threading.Event()
        self.gate.set()

    def deliver(self, title: str, text: str, severity: Severity) -> None:
        self.tried += 1
        self.hangs.set()
        assert self.gate.wait(PATIENCE_S)
        if self.broken is not None:
            raise self.broken
        self.taken.append((title, text, severity))
        self.has_taken.set()

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _ in self.taken]


class Bench:
    """Alerts with one channel and no thread: `turns` does what a thread would do now."""

    def __init__(self, per_hour: int = 30, waiting_limit: int = 100) -> None:
        self.clock, self.log, self.channel = HandClock(), KeptLog(), FakeChannel()
        limits = AlertLimits(WINDOW_MS, per_hour)
        self.alerts = ThrottledAlerts(self.log, [self.channel], self.clock, limits, "live mainnet", waiting_limit)

    def send(self, code: str, text: str) -> None:
        self.alerts.send(code, text)

    def turns(self, after_ms: int = 0) -> list[str]:
        """What goes out after so long."""
        self.clock.at_ms += after_ms
        before = len(self.channel.taken)
        while self.alerts.turn() == 0:
            pass
        return self.channel.texts[before:]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def test_an_alert_goes_to_the_log_and_out_with_its_weight_and_origin(bench: Bench) -> None:
    bench.send("venue_stepped_in", "BTC: liquidation of 1")
    bench.turns()
    assert bench.log.said == [("venue_stepped_in", "BTC: liquidation of 1")]
    title = "critical: venue_stepped_in (live mainnet)"
    assert bench.channel.taken == [(title, "BTC: liquidation of 1", Severity.CRITICAL)]


def test_one_subject_goes_out_once_a_window_and_the_log_gets_everything(bench: Bench) -> None:
    for number in range(5):
        bench.send("order_unknown", f"BTC: {number}")
        bench.send("order_unknown", f"ETH: {number}")
    assert bench.turns() == ["BTC: 0", "ETH: 0"]
    assert bench.turns(WINDOW_MS - 1) == []
    assert len(bench.log.said) == 10


def test_when_a_window_ends_what_it_held_back_is_counted_with_the_last_of_it(bench: Bench) -> None:
    for number in range(4):
        bench.send("order_unknown", f"BTC: {number}")
    assert bench.turns() == ["BTC: 0"]
    assert bench.turns(WINDOW_MS) == ["… and 3 more of these; the last: BTC: 3"]


def test_a_window_without_more_of_them_ends_in_silence_and_the_next_alert_is_new(bench: Bench) -> None:
    bench.send("order_unknown", "BTC: 0")
    assert bench.turns() == ["BTC: 0"]
    assert bench.turns(WINDOW_MS) == []
    bench.send("order_unknown", "BTC: 1")
    assert bench.turns() == ["BTC: 1"]


def test_a_steady_stream_costs_one_message_a_window(bench: Bench) -> None:
    said = []
    for number in range(4 * 15):
        bench.send("order_unknown", f"BTC: {number}")
        said += bench.turns()
        bench.clock.at_ms += 60_000
    assert said == [
        "BTC: 0",
        "… and 15 more of these; the last: BTC: 15",
        "… and 15 more of these; the last: BTC: 30",
        "… and 15 more of these; the last: BTC: 45",
    ]


def test_a_late_turn_loses_nothing(bench: Bench) -> None:
    bench.send("order_unknown", "BTC: 0")
    bench.send("order_unknown", "BTC: 1")
    bench.clock.at_ms += 10 * WINDOW_MS
    bench.send("order_unknown", "BTC: 2")
    assert bench.turns() == ["BTC: 0\n(this was 150 min ago)", "… and 2 more of these; the last: BTC: 2"]


def test_windows_that_end_together_are_one_message_the_critical_ones_first() -> None:
    throttle = Throttle(AlertLimits(WINDOW_MS, 1_000))
    for code in ("order_unknown", "position_differs"):
        for number in range(SUMMARY_LINES):
            for _ in range(3):
                throttle.offer(code, f"S{number}: x", 0)
    summary = throttle.summary(WINDOW_MS)
    assert summary is not None and summary.severity is Severity.CRITICAL
    lines = summary.text.splitlines()
    assert lines[0] == "position_differs: … and 2 more of these; the last: S0: x"
    assert lines[SUMMARY_LINES:] == [f"… and {2 * SUMMARY_LINES} more, of {SUMMARY_LINES} other kinds"]
    assert throttle.summary(WINDOW_MS) is None


def test_windows_are_bounded_and_beyond_that_a_code_is_the_subject() -> None:
    throttle = Throttle(AlertLimits(WINDOW_MS, 10 * WINDOWS))
    gone_out = [throttle.offer("order_unknown", f"S{number}: x", number) for number in range(3 * WINDOWS)]
    assert sum(message is not None for message in gone_out) == WINDOWS + 1


@pytest.mark.parametrize(
    ("text", "subject"),
    [("BTC: ours 1", "BTC"), ("xyz:CL 0x12 is", "xyz:CL"), ("kPEPE is delisted: it", "kPEPE"), ("", ""), ("  ", "")],
)
def test_the_subject_is_the_first_word(text: str, subject: str) -> None:
    assert subject_of(text) == subject


# ── the limit an hour ────────────────────────────────────────────────────────────────────────────


def test_so_many_go_out_an_hour_and_the_others_are_told_when_there_is_room() -> None:
    bench = Bench(per_hour=3)
    for number in range(5):
        bench.send("order_unknown", f"S{number}: x")
    assert bench.turns() == ["S0: x", "S1: x", "S2: x"]
    assert bench.turns(WINDOW_MS) == [], "windows end, and the hour has no room"
    assert bench.turns(HOUR_MS - WINDOW_MS - 1) == []
    [summary] = bench.turns(1)
    assert summary.splitlines() == [
        "order_unknown: 1 held back by the limit of 3 an hour; the last: S3: x",
        "order_unknown: 1 held back by the limit of 3 an hour; the last: S4: x",
    ]
    bench.send("order_unknown", "S5: x")
    bench.send("order_unknown", "S6: x")
    bench.send("order_unknown", "S7: x")
    assert bench.turns() == ["S5: x", "S6: x"], "the summary was one of the three"


def test_no_hour_has_more_than_its_share_of_messages() -> None:
    bench = Bench(per_hour=4)
    times = []
    for number in range(600):
        bench.send("order_unknown", f"S{number % 37}: x")
        times += [bench.clock.at_ms] * len(bench.turns())
        bench.clock.at_ms += 60_000
    assert max(sum(at <= each < at + HOUR_MS for each in times) for at in times) == 4


def test_critical_alerts_pass_the_limit_and_are_still_told_once_a_window() -> None:
    bench = Bench(per_hour=1)
    bench.send("order_unknown", "BTC: x")
    for number in range(3):
        bench.send("position_differs", f"S{number}: x")
        bench.send("position_differs", f"S{number}: y")
    assert sorted(bench.turns()) == ["BTC: x", "S0: x", "S1: x", "S2: x"]
    [summary] = bench.turns(WINDOW_MS)
    assert summary.count("… and 1 more of these") == 3


def test_critical_alerts_use_up_the_hour_for_the_others() -> None:
    bench = Bench(per_hour=2)
    for number in range(2):
        bench.send("position_differs", f"S{number}: x")
    bench.send("order_unknown", "BTC: x")
    assert bench.turns() == ["S0: x", "S1: x"]


# ── what waits ───────────────────────────────────────────────────────────────────────────────────


def test_in_a_full_queue_the_oldest_that_is_not_critical_goes_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(waiting_limit=3)
    bench.send("position_differs", "S0: x")
    for number in range(1, 5):
        bench.send("order_unknown", f"S{number}: x")
    first, *others = bench.turns()
    assert first == "S0: x\n(2 messages before this were dropped: too many waited)"
    assert others == ["S3: x", "S4: x"]
    assert len(bench.log.said) == 5
    lost = [record for record in caplog.records if record.getMessage() == "alert_not_delivered"]
    assert [(record.code, record.why) for record in lost] == [("order_unknown", "too many wait")] * 2  # type: ignore[attr-defined]


def test_a_queue_full_of_critical_messages_takes_no_other() -> None:
    bench = Bench(waiting_limit=2)
    bench.send("position_differs", "S0: x")
    bench.send("position_differs", "S1: x")
    bench.send("order_unknown", "S2: x")
    assert [text.splitlines()[0] for text in bench.turns()] == ["S0: x", "S1: x"]


def test_critical_messages_overtake_the_others(bench: Bench) -> None:
    bench.send("order_unknown", "BTC: x")
    bench.send("foreign_order", "ETH: x")
    assert bench.turns() == ["ETH: x", "BTC: x"]


def test_a_long_text_is_shortened(bench: Bench) -> None:
    bench.send("config_refused", "x" * 10_000)
    assert [len(text) for text in bench.turns()] == [TEXT_CHARS]


# ── channels that fail ───────────────────────────────────────────────────────────────────────────


def test_a_failing_channel_is_tried_again_after_pauses_and_then_given_up(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.channel.broken = ChannelFailed("404")
    bench.send("order_unknown", "BTC: x")
    bench.turns()
    for tried, pause_ms in enumerate(PAUSES_MS, 1):
        bench.turns(pause_ms - 1)
        assert bench.channel.tried == tried, "not before the pause is over"
        bench.turns(1)
        assert bench.channel.tried == tried + 1
    bench.turns(HOUR_MS)
    assert bench.channel.tried == len(PAUSES_MS) + 1
    [lost] = [record for record in caplog.records if record.getMessage() == "alert_not_delivered"]
    assert (lost.code, lost.channel, lost.why) == ("order_unknown", "fake #1", "404")  # type: ignore[attr-defined]
    assert lost.levelno == logging.WARNING


def test_what_goes_out_late_says_so(bench: Bench) -> None:
    bench.channel.broken = ChannelFailed("timeout")
    bench.send("order_unknown", "BTC: x")
    bench.turns()
    bench.turns(PAUSES_MS[0])
    bench.channel.broken = None
    assert bench.turns(2 * OLD_MS) == ["BTC: x\n(this was 2 min ago)"]


def test_a_driver_may_raise_anything_and_its_words_stay_out_of_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.channel.broken = ZeroDivisionError(f"https://api.telegram.org/bot{TOKEN}/sendMessage")
    bench.send("order_unknown", "BTC: x")
    bench.turns()
    assert [record.why for record in caplog.records] == ["ZeroDivisionError"]  # type: ignore[attr-defined]
    assert TOKEN not in caplog.text


def test_one_channel_that_fails_keeps_nothing_from_another() -> None:
    broken, sound, clock = FakeChannel("broken"), FakeChannel("sound"), HandClock()
    broken.broken = ChannelFailed("401")
    alerts = ThrottledAlerts(KeptLog(), [broken, sound], clock, AlertLimits())
    alerts.send("order_unknown", "BTC: x")
    alerts.send("order_unknown", "ETH: x")
    while alerts.turn() == 0:
        pass
    assert sound.texts == ["BTC: x", "ETH: x"]
    assert broken.tried == 1


def test_a_critical_message_does_not_wait_for_the_pause_of_another(bench: Bench) -> None:
    bench.channel.broken = ChannelFailed("bad request")
    bench.send("order_unknown", "BTC: x")
    bench.turns()
    bench.channel.broken = None
    bench.send("foreign_order", "ETH: x")
    assert bench.turns()[0] == "ETH: x"


# ── what is not said ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"account {ADDRESS}, agent ends", "account 0x1234…abcd, agent ends"),
        (f"acct{ADDRESS.upper()}.", "acct0X1234…ABCD."),
        (f"key {KEY} and {KEY[2:]}", "key [redacted] and [redacted]"),
        (f"signature={'a1' * 65}", "signature=[redacted]"),
        ("https://user:hunter2@proxy:8080/", "https://[redacted]@proxy:8080/"),
        ("cloid 0x" + "c" * 32, "cloid 0x" + "c" * 32),
        ("BTC: ours 0.00012345, venue 0", "BTC: ours 0.00012345, venue 0"),
    ],
)
def test_keys_and_addresses_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_outside_channels_get_the_masked_text_also_in_summaries(bench: Bench) -> None:
    for number in range(3):
        bench.send("foreign_order", f"BTC {number} {KEY} of {ADDRESS}")
    out = bench.turns() + bench.turns(WINDOW_MS)
    assert len(out) == 2
    assert all("[redacted] of 0x1234…abcd" in text for text in out)
    assert bench.log.said[0] == ("foreign_order", f"BTC 0 {KEY} of {ADDRESS}")


def test_a_text_is_masked_before_it_is_shortened(bench: Bench) -> None:
    bench.send("config_refused", "x" * (TEXT_CHARS - 30) + KEY)
    assert "5e5e" not in bench.turns()[0]


# ── the thread ───────────────────────────────────────────────────────────────────────────────────


def test_sending_waits_for_no_channel_and_closing_not_long() -> None:
    channel, log = FakeChannel(), KeptLog()
    channel.gate.clear()
    alerts = ThrottledAlerts(log, [channel], HandClock(), AlertLimits())
    alerts.start()
    alerts.send("order_unknown", "BTC: x")
    assert channel.hangs.wait(PATIENCE_S)
    for number in range(1_000):
        alerts.send("order_unknown", f"S{number}: x")
    assert len(log.said) == 1_001
    assert channel.taken == []
    alerts.close(within_s=0.05)
    channel.gate.set()
    assert channel.has_taken.wait(PATIENCE_S)


def test_a_thread_that_waits_is_woken_by_an_alert() -> None:
    channel = FakeChannel()
    alerts = ThrottledAlerts(KeptLog(), [channel], HandClock(), AlertLimits())
    alerts.start()
    for number in range(3):
        channel.has_taken.clear()
        alerts.send("order_unknown", f"S{number}: x")
        assert channel.has_taken.wait(PATIENCE_S)
    alerts.close(PATIENCE_S)
    assert channel.texts == ["S0: x", "S1: x", "S2: x"]


def test_closing_sends_what_waits_and_what_was_held_back_once() -> None:
    channel = FakeChannel()
    alerts = ThrottledAlerts(KeptLog(), [channel], HandClock(), AlertLimits(per_hour=2))
    channel.gate.clear()
    alerts.start()
    alerts.send("order_unknown", "S0: x")
    assert channel.hangs.wait(PATIENCE_S)
    for number in range(4):
        alerts.send("order_unknown", f"S{number}: x")
    channel.gate.set()
    alerts.close(PATIENCE_S)
    alerts.close(PATIENCE_S)
    assert channel.texts[:2] == ["S0: x", "S1: x"]
    assert len(channel.texts[2].splitlines()) == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "alerts"]


def test_closing_with_a_dead_channel_tries_once_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    channel = FakeChannel()
    channel.broken = ChannelFailed("no route")
    alerts = ThrottledAlerts(KeptLog(), [channel], HandClock(), AlertLimits())
    alerts.send("order_unknown", "BTC: x")
    alerts.start()
    alerts.close(PATIENCE_S)
    assert 1 <= channel.tried <= 2
    assert "alert_not_delivered" in caplog.messages


def test_after_the_end_the_log_still_hears_everything() -> None:
    bench = Bench()
    bench.alerts.close()
    bench.send("order_unknown", "BTC: x")
    assert bench.log.said == [("order_unknown", "BTC: x")]
    assert bench.turns() == []


# ── severities ───────────────────────────────────────────────────────────────────────────────────


def test_a_code_has_one_severity_and_an_unknown_one_is_a_warning() -> None:
    assert not CRITICAL_CODES & NEWS_CODES
    assert severity_of("venue_stepped_in") is Severity.CRITICAL
    assert severity_of("feed_well") is Severity.NEWS
    assert severity_of("never_heard_of") is Severity.WARNING
