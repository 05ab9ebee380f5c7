"""VenueSkew: what is proven of the venue's clock, and which proof stands when the next answer says less."""

from __future__ import annotations

import pytest

from adapters.hyperliquid.venue_skew import SURE_MS, VenueSkew, proven_ms


@pytest.mark.parametrize(
    ("lowest_ms", "highest_ms", "proven"),
    [(0, 0, 0), (-1, 1, 0), (0, 9, 0), (-9, 0, 0), (3, 9, 3), (-9, -3, -3), (5, 5, 5)],
)
def test_the_value_nearest_to_zero_is_proven(lowest_ms: int, highest_ms: int, proven: int) -> None:
    assert proven_ms(lowest_ms, highest_ms) == proven


def learned(*spans: tuple[int, int]) -> int:
    skew = VenueSkew()
    for lowest_ms, highest_ms in spans:
        skew.learn(lowest_ms, highest_ms)
    return skew()


def test_nothing_is_proven_before_the_venue_has_answered() -> None:
    assert learned() == 0


@pytest.mark.parametrize("first", [(4_900, 5_000), (-5_000, -4_900), (-50, 50)])
def test_of_sure_answers_the_newest_counts(first: tuple[int, int]) -> None:
    assert learned(first, (-50, 50)) == 0
    assert learned(first, (200, 300)) == 200
    assert learned(first, (-300, -200)) == -200
    assert learned(first, (-SURE_MS, 0)) == 0


def test_a_slow_answer_that_leaves_it_open_keeps_the_venue_behind() -> None:
    assert learned((-5_000, -4_900), (-9_000, 1_000)) == -4_900
    assert learned((-5_000, -4_900), (-9_000, -2_000)) == -4_900


def test_a_slow_answer_keeps_the_venue_ahead_no_further_than_it_proves_itself() -> None:
    assert learned((4_900, 5_000), (-1_000, 9_000)) == 0
    assert learned((4_900, 5_000), (3_000, 9_000)) == 3_000


def test_a_slow_answer_that_rules_out_the_older_one_counts() -> None:
    assert learned((-5_000, -4_900), (-4_000, 6_000)) == 0
    assert learned((-5_000, -4_900), (2_000, 6_000)) == 2_000
    assert learned((4_900, 5_000), (-9_000, -3_000)) == -3_000
    assert learned((7_000, 19_000)) == 7_000
