"""Cancels that wait for their turn, in portions that leave as one action each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

CANCELS_PER_ACTION = 39
"""With one more the action would weigh 2."""


@dataclass(slots=True, eq=False)
class Cancel:
    """`order` is the cloid of one of ours, the oid of a stranger's.

    The answer: None when it is canceled, else what the venue says instead.
    """

    symbol: str
    order: str | int
    answer: asyncio.Future[str | None]


class CancelQueue:
    """First come, first served; ours before others', which are named in another kind of action."""

    def __init__(self) -> None:
        self._waiting: dict[type, deque[Cancel]] = {str: deque(), int: deque()}

    def put(self, cancel: Cancel) -> None:
        self._waiting[type(cancel.order)].append(cancel)

    def next_portion(self) -> Sequence[Cancel]:
        """What leaves next, none of it given up by its caller; empty where nothing waits."""
        for waiting in self._waiting.values():
            portion: list[Cancel] = []
            while waiting and len(portion) < CANCELS_PER_ACTION:
                cancel = waiting.popleft()
                if not cancel.answer.done():
                    portion.append(cancel)
            if portion:
                return portion
        return ()

    def give_up(self) -> None:
        """Nobody waits for an answer any more."""
        while portion := self.next_portion():
            for cancel in portion:
                cancel.answer.cancel()
