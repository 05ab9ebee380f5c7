"""Whose decision an order was, as far as its cloid still proves it.

A cloid is a hash of the decision's key (`domain.intents.cloid_of`) behind the tag of the ledger that made it, which
stands there in the clear. So a key can be guessed and the guess is proven or not: what was decided on which candle is
then known again, and is not decided a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from domain.candles import Interval
from domain.intents import CLOID_MAGIC, Action, IntentKey, Side, Trigger, TriggerKind, cloid_of, intent_id_of

CANDLES_BACK = 3
"""An entry is decided after its candle's close, within a part of the next; an exit counts to the last one closed."""

MOST_ATTEMPTS = 3
MOST_ORDINALS = 256
"""A stop is replaced again and again within one candle."""

RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Identity:
    key: IntentKey
    attempt: int
    is_proven: bool


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What is known of an order that says what it was for. `held_sign`: the position's direction before it.

    `reduce_only` is None where only its fills are known.
    """

    cloid: str
    symbol: str
    side: Side
    reduce_only: bool | None
    trigger: Trigger | None
    placed_ms: int
    held_sign: int


def tag_of(cloid: str) -> bytes:
    """The instance tag of the ledger that made a cloid of ours."""
    raw = bytes.fromhex(cloid.removeprefix("0x"))
    return raw[len(CLOID_MAGIC) : len(CLOID_MAGIC) + 2]


class Identities:
    """Finds each order's key, or gives it one of its own. Ordinals of those count up by action and candle."""

    def __init__(self, account: str, strategy: str, interval: Interval) -> None:
        self._account, self._strategy, self._interval = account, strategy, interval
        self._taken: dict[tuple[str, Action, int], int] = {}

    def of(self, terms: OrderTerms) -> Identity:
        tag = tag_of(terms.cloid)
        for key, attempt in self._guesses(terms):
            if cloid_of(intent_id_of(key), attempt, tag) == terms.cloid:
                return Identity(key, attempt, is_proven=True)
        action = _likely_action(terms)
        open_ms = self._interval.open_of(terms.placed_ms)
        place = (terms.symbol, action, open_ms)
        ordinal = self._taken.get(place, 0)
        self._taken[place] = ordinal + 1
        key = IntentKey(self._account, RECOVERED, terms.symbol, action, self._interval, open_ms, ordinal)
        return Identity(key, 1, is_proven=False)

    def _guesses(self, terms: OrderTerms) -> Iterator[tuple[IntentKey, int]]:
        newest_ms = self._interval.open_of(terms.placed_ms)
        for action in _possible_actions(terms):
            entry = action.increases_exposure
            for back in range(CANDLES_BACK + 1):
                open_ms = newest_ms - back * self._interval.ms
                for ordinal in range(1 if entry else MOST_ORDINALS):
                    key = IntentKey(
                        self._account, self._strategy, terms.symbol, action, self._interval, open_ms, ordinal
                    )
                    for attempt in range(1, (MOST_ATTEMPTS if entry else 1) + 1):
                        yield key, attempt


def _possible_actions(terms: OrderTerms) -> tuple[Action, ...]:
    if terms.trigger is not None:
        return (Action.STOP if terms.trigger.kind is TriggerKind.STOP_LOSS else Action.TAKE_PROFIT,)
    if terms.reduce_only is None:
        return tuple(Action)
    return (Action.CLOSE, Action.REDUCE) if terms.reduce_only else (Action.OPEN, Action.ADD)


def _likely_action(terms: OrderTerms) -> Action:
    """Without proof, what the order did to the position that was there."""
    if terms.trigger is not None or terms.reduce_only is True:
        return _possible_actions(terms)[0]
    if terms.held_sign == -terms.side.sign:
        return Action.CLOSE
    return Action.ADD if terms.held_sign == terms.side.sign else Action.OPEN
