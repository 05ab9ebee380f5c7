"""When the next connection is tried: later and later, with jitter, until one has proven itself."""

from __future__ import annotations

import random

from adapters.hyperliquid.session_steps import Reconnect, SessionRules, Tell


class Backoff:
    def __init__(self, rules: SessionRules, chance: random.Random) -> None:
        self._rules = rules
        self._chance = chance
        self.failures = 0
        """Attempts in a row that proved nothing."""
        self.next_ms = 0

    def failed(self, now_ms: int, why: str) -> list[Tell | Reconnect]:
        """One more attempt has ended. After many in a row the operator hears of it, once."""
        rules = self._rules
        wait_ms = min(rules.backoff_max_ms, rules.backoff_first_ms << min(self.failures, 20))
        wait_ms = min(rules.backoff_max_ms, int(wait_ms * (1 + self._chance.random() / 2)))
        self.failures += 1
        self.next_ms = now_ms + wait_ms
        told = f"{self.failures} attempts in a row failed: {why}"
        heard = [Tell("feed_not_connecting", told)] if self.failures == rules.failures_told else []
        return [*heard, Reconnect(self.next_ms)]

    def begin_anew(self) -> None:
        """What made attempts fail is over."""
        self.failures = 0
