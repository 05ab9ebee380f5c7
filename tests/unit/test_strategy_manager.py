"""When a new overrides text is put in force, and when not."""

import pytest

from application.strategy_manager import Accepted, Refused, Reload, Settling, StrategyManager, Unchanged
from config.yaml_reader import OverridesParser
from domain.config_events import ABSENT, OverridesText
from ports.strategy_config import OverridesInvalid

PATH = "o.yaml"
TWO = "global: {trade: {leverage_low: 2}}\n"
THREE = "global: {trade: {leverage_low: 3}}\n"
BROKEN = "global: {trade: {leverage_low: 99}}\n"


def text(content: str | None, seen_ms: int, *, mtime_ns: int = 5, reason: str = "cannot be read: why") -> OverridesText:
    size = 0 if content is None else len(content)
    return OverridesText(PATH, content, "" if content is not None else reason, mtime_ns, size, 1, seen_ms)


def manager(content: str | None = TWO, reason: str = ABSENT) -> StrategyManager:
    return StrategyManager(OverridesParser(live_layers=False), text(content, 0, reason=reason))


def leverage(of: StrategyManager) -> int:
    return int(of.book.for_symbol("BTC").trade.leverage_low)


def offered(of: StrategyManager, *looks: OverridesText) -> list[type[Reload]]:
    return [type(of.offer(look)) for look in looks]


def test_the_first_text_is_in_force_at_once() -> None:
    assert leverage(manager()) == 2


def test_without_a_file_the_defaults_are_in_force() -> None:
    assert leverage(manager(None)) == 1


@pytest.mark.parametrize("content", ["", "# nothing\n", BROKEN])
def test_a_start_refuses_an_unusable_file(content: str) -> None:
    with pytest.raises(OverridesInvalid):
        manager(content)


def test_a_start_refuses_an_unreadable_file() -> None:
    with pytest.raises(OverridesInvalid, match="Permission denied"):
        manager(None, "cannot be read: Permission denied")


def test_a_new_text_is_taken_after_lying_still_for_a_second() -> None:
    subject = manager()
    assert subject.offer(text(THREE, 10_000)) == Settling(due_ms=11_000)
    assert subject.offer(text(THREE, 10_999)) == Settling(due_ms=11_000)
    assert leverage(subject) == 2
    result = subject.offer(text(THREE, 11_000))
    assert isinstance(result, Accepted)
    assert [str(change) for change in result.changes] == ["trade.leverage_low: 2 -> 3"]
    assert result.book is subject.book and result.digest == subject.book.digest
    assert leverage(subject) == 3


def test_a_text_written_anew_starts_its_second_anew() -> None:
    subject = manager()
    seen = offered(subject, text(THREE, 0, mtime_ns=5), text(THREE, 900, mtime_ns=6), text(THREE, 1_000, mtime_ns=6))
    assert seen == [Settling, Settling, Settling]
    assert isinstance(subject.offer(text(THREE, 1_900, mtime_ns=6)), Accepted)


def test_a_text_in_between_starts_the_second_anew() -> None:
    subject = manager()
    half = THREE[:25]
    looks = (text(THREE, 0), text(half, 500), text(THREE, 1_000), text(THREE, 1_999))
    assert offered(subject, *looks) == [Settling] * 4
    assert isinstance(subject.offer(text(THREE, 2_000)), Accepted)


def test_the_text_in_force_in_between_ends_the_settling() -> None:
    subject = manager()
    looks = (text(THREE, 0), text(TWO, 500), text(THREE, 1_000))
    assert offered(subject, *looks) == [Settling, Unchanged, Settling]


def test_an_older_file_is_taken_too() -> None:
    subject = manager()
    looks = (text(THREE, 0, mtime_ns=1), text(THREE, 1_000, mtime_ns=1))
    assert offered(subject, *looks) == [Settling, Accepted]


def test_the_content_in_force_is_never_taken_again() -> None:
    subject = manager()
    looks = (text(TWO, 0, mtime_ns=6), text(TWO, 1_000, mtime_ns=6), text(TWO, 2_000, mtime_ns=7))
    assert offered(subject, *looks) == [Unchanged] * 3


def test_a_comment_changes_the_text_but_nothing_in_force() -> None:
    subject = manager()
    digest = subject.book.digest
    subject.offer(text(TWO + "# why\n", 0))
    result = subject.offer(text(TWO + "# why\n", 1_000))
    assert isinstance(result, Accepted)
    assert (result.changes, result.digest) == ((), digest)


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (BROKEN, "", "o.yaml:1:32: global.trade.leverage_low: must be between 1 and 50 (got 99)"),
        ("", "", "o.yaml: holds no keys; write `global: {}` to mean no overrides"),
        ("# all commented out\n", "", "o.yaml: holds no keys; write `global: {}` to mean no overrides"),
        (None, ABSENT, "o.yaml: there is no such file"),
        (None, "cannot be read: Permission denied", "o.yaml: cannot be read: Permission denied"),
    ],
)
def test_an_unusable_text_is_refused_once_and_the_last_good_one_stays(
    content: str | None, reason: str, message: str
) -> None:
    subject = manager()
    book = subject.book
    subject.offer(text(content, 0, reason=reason))
    result = subject.offer(text(content, 1_000, reason=reason))
    assert isinstance(result, Refused)
    assert [str(problem) for problem in result.problems] == [message]
    assert subject.book is book
    assert subject.standing_problems == result.problems
    later = (text(content, 1_400, reason=reason), text(content, 9_000, mtime_ns=9, reason=reason))
    assert offered(subject, *later) == [Unchanged, Unchanged]


def test_every_problem_of_a_refused_text_is_told() -> None:
    subject = manager()
    broken = "global: {trade: {leverage_low: 99, leverage_hgh: 1}}\nlive: 1\n"
    subject.offer(text(broken, 0))
    result = subject.offer(text(broken, 1_000))
    assert isinstance(result, Refused)
    assert len(result.problems) == 3


def test_a_repaired_file_is_taken_and_the_problems_are_gone() -> None:
    subject = manager()
    offered(subject, text(BROKEN, 0), text(BROKEN, 1_000))
    assert offered(subject, text(THREE, 2_000), text(THREE, 3_000)) == [Settling, Accepted]
    assert subject.standing_problems == ()


def test_going_back_to_what_is_in_force_clears_the_problems_and_lets_them_be_told_again() -> None:
    subject = manager()
    offered(subject, text(BROKEN, 0), text(BROKEN, 1_000), text(TWO, 2_000))
    assert subject.standing_problems == ()
    assert offered(subject, text(BROKEN, 3_000), text(BROKEN, 4_000)) == [Settling, Refused]


def test_a_file_that_appears_is_taken_and_one_that_vanishes_is_kept() -> None:
    subject = manager(None)
    assert offered(subject, text(None, 0, reason=ABSENT)) == [Unchanged]
    assert offered(subject, text(TWO, 1_000), text(TWO, 2_000)) == [Settling, Accepted]
    gone = [text(None, ms, reason=ABSENT) for ms in (3_000, 4_000)]
    assert offered(subject, *gone) == [Settling, Refused]
    assert leverage(subject) == 2


def test_what_waits_for_a_restart_is_said() -> None:
    subject = manager()
    changed = "global: {trade: {leverage_low: 2}, engine: {interval: 15m}}\n"
    subject.offer(text(changed, 0))
    result = subject.offer(text(changed, 1_000))
    assert isinstance(result, Accepted)
    assert [str(change) for change in result.restart_needed] == ["engine.interval: null -> 15m"]


def test_a_decision_keeps_the_book_it_started_with() -> None:
    subject = manager()
    before = subject.book
    offered(subject, text(THREE, 0), text(THREE, 1_000))
    assert before.for_symbol("BTC").trade.leverage_low == 2
    assert subject.book is not before


def test_what_became_of_a_content_is_told_once_it_is_judged() -> None:
    of = manager()
    assert of.verdict_on(text(TWO, 0)) == ()
    assert of.verdict_on(text(BROKEN, 0)) is None
    offered(of, text(BROKEN, 100), text(BROKEN, 1_100))
    (problem,) = of.verdict_on(text(BROKEN, 1_200)) or ()
    assert "leverage_low" in str(problem)
    assert of.verdict_on(text(TWO, 1_200)) == (), "still in force"
    offered(of, text(THREE, 2_000), text(THREE, 3_000))
    assert of.verdict_on(text(THREE, 3_000)) == ()
    assert of.verdict_on(text(TWO, 3_000)) is None
    assert of.verdict_on(text(BROKEN, 3_000)) is None
