"""Questions to `/info`: within the budget, repeated where that may help, answered with JSON or not at all.

Only reads go this way. They may be repeated; what changes something is sent once, by the gateway.
"""

from __future__ import annotations

import asyncio
import random

import msgspec

from adapters.hyperliquid.budget import Lane, WeightBudget
from adapters.hyperliquid.key_watch import KeyWatch
from adapters.hyperliquid.transport import BrokenError, HttpReply, HttpTransport, NotSentError
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

ATTEMPTS = 5
"""Per question, the first one included."""
DEADLINE_S = 20.0
"""For all attempts and the pauses between them. Waiting for the budget does not count: it has an end of its own."""
PAUSE_S = 0.25
"""Before the third attempt, about; doubles from attempt to attempt."""
LONGEST_PAUSE_S = 4.0
RATE_PAUSE_MS = 10_000
"""After a 429 nothing but emergencies leaves for so long, in market time."""

_TEXT_CHARS = 80
_USUAL_WEIGHT = 20
_WEIGHTS = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
_ROWS_PER_WEIGHT = {
    "candleSnapshot": 60,
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "twapHistory": 20,
    "userTwapSliceFills": 20,
}


def info_weight(request_type: str, rows: int = 0) -> int:
    """What a question costs, with so many rows in its answer; begun rows' weight counts whole."""
    per_weight = _ROWS_PER_WEIGHT.get(request_type)
    extra = -(-rows // per_weight) if per_weight is not None else 0
    return _WEIGHTS.get(request_type, _USUAL_WEIGHT) + extra


class InfoClient:
    def __init__(
        self,
        transport: HttpTransport,
        budget: WeightBudget,
        clock: Clock,
        timeout_s: float = 8.0,
        *,
        deadline_s: float = DEADLINE_S,
        pause_s: float = PAUSE_S,
        chance: random.Random | None = None,
        watch: KeyWatch | None = None,
    ) -> None:
        """`watch` sees every answer, for words and keys that are new."""
        self._transport = transport
        self._budget = budget
        self._clock = clock
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._pause_s = pause_s
        self._chance = chance or random.Random()
        self._watch = watch

    async def ask(self, request: dict[str, object], *, lane: Lane = Lane.NORMAL, rows_expected: int = 0) -> bytes:
        """The body of a 200, which is JSON (`null` included). Raises `VenueUnavailable` for anything else.

        Every attempt that leaves spends the question's weight: after an outage there has to be some left.
        """
        name = str(request["type"])
        weight, body = info_weight(name, rows_expected), msgspec.json.encode(request)
        left_s, problem = self._deadline_s, ""
        for attempt in range(ATTEMPTS):
            await self._budget.take(weight, lane)
            asked_ms = self._clock.monotonic_ms()
            outcome = await self._attempt(body, min(self._timeout_s, left_s))
            if isinstance(outcome, bytes):
                if self._watch is not None:
                    self._watch.answer(name, outcome)
                return outcome
            problem = outcome.text
            if outcome.is_unsent:
                self._budget.give_back(weight)
            if outcome.is_final:
                break
            left_s -= (self._clock.monotonic_ms() - asked_ms) / 1000
            # A kept connection that the venue closed meanwhile says nothing about the venue: once, at once.
            pause_s = 0.0 if attempt == 0 and outcome.is_broken else self._pause(attempt)
            left_s -= pause_s
            if left_s <= 0:
                break
            await asyncio.sleep(pause_s)
        raise VenueUnavailable(f"{name}: {problem}")

    async def _attempt(self, body: bytes, timeout_s: float) -> bytes | _Failure:
        try:
            reply = await self._transport.post("/info", body, timeout_s)
        except NotSentError as e:
            return _Failure(str(e), is_unsent=True)
        except BrokenError as e:
            return _Failure(str(e), is_broken=True)
        if reply.status == 429:
            self._budget.pause(RATE_PAUSE_MS)
        return _judged(reply)

    def _pause(self, attempt: int) -> float:
        longest = min(self._pause_s * 2.0**attempt, LONGEST_PAUSE_S)
        return longest * self._chance.uniform(0.5, 1.0)


class _Failure(msgspec.Struct, frozen=True):
    text: str
    is_broken: bool = False
    """No answer to what may have arrived."""
    is_final: bool = False
    """Asking again would bring the same."""
    is_unsent: bool = False


def _judged(reply: HttpReply) -> bytes | _Failure:
    if reply.status == 200:
        try:
            msgspec.json.decode(reply.body, type=msgspec.Raw)
        except msgspec.DecodeError:
            return _Failure(f"the answer is not JSON: {_excerpt(reply.body)}")
        return reply.body
    # The rest of 3xx and 4xx is about the question: an address that moved, a form that is refused.
    is_final = reply.status < 500 and reply.status != 429
    return _Failure(f"HTTP {reply.status}: {_excerpt(reply.body)}", is_final=is_final)


def _excerpt(body: bytes) -> str:
    """The beginning of what came instead of an answer, on one line."""
    text = " ".join(body[: 4 * _TEXT_CHARS].decode("utf-8", "replace").split())
    if text[:1] == "<":
        return "a page of HTML"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_TEXT_CHARS])
    return shown + ("…" if len(body) > len(shown.encode()) else "") if shown else "nothing"
