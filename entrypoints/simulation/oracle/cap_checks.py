"""I-07: whenever an entry is committed, the worst case stays within every configured cap.

Worst case: positions at what they were opened for, or at the price that the entry itself was decided at, and every
entry that may yet fill, taken as filled at its limit. That is a lower bound of what the daemon has to count, without
tolerance; only equity, of which the oracle knows the venue's side, has some.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal

from domain.facts import DecisionsRecorded
from domain.intents import OrderIntent
from entrypoints.simulation.oracle.ledger_image import ENTRIES, LedgerImage
from entrypoints.simulation.oracle.verdicts import Court

ZERO = Decimal(0)
MINUTE_MS = 60_000
EQUITY_SLACK = Decimal("1.05")
"""The daemon's prices may be some old, and money that came or went by hand not known yet."""

CAPS_BY_GATE = {
    "max_open_positions": "max_open_positions",
    "margin_cap": "max_total_margin_pct",
    "total_notional": "max_total_notional_usd",
    "symbol_notional": "max_symbol_notional_usd",
    "side_notional": "max_side_notional_usd",
    "account_leverage": "max_account_leverage",
    "entries_per_minute": "max_entry_orders_per_minute",
    "entries_per_minute_symbol": "max_entry_orders_per_minute_per_symbol",
    "window_notional": "max_notional_per_window_usd",
}


class CapChecks:
    """`marks` tells the venue's prices."""

    def __init__(
        self,
        court: Court,
        image: LedgerImage,
        caps: Mapping[str, Decimal],
        marks: Callable[[], Mapping[str, Decimal]],
    ) -> None:
        self._court = court
        self._image = image
        self._caps = caps
        self._marks = marks
        self._entered: list[tuple[int, str, Decimal]] = []
        """Entry decisions: when, in which symbol, worth at their limit."""
        self.refused: Counter[str] = Counter()
        """How often a cap alone, or caps alone, kept an entry from being made; by cap."""

    def entry(self, intent: OrderIntent, *, is_new: bool) -> None:
        """An entry is about to be committed: a new decision, or another attempt at one."""
        price = Decimal(repr(json.loads(intent.why)["price"]))
        worth = intent.size * (intent.limit_price if intent.side.value == "buy" else max(price, intent.limit_price))
        symbol, side = intent.key.symbol, intent.side.value
        self._within("max_notional_usd_per_order", worth, intent)
        total = of_symbol = of_side = ZERO
        for held in self._image.held.values():
            value = abs(held.size) * (max(held.entry_price, price) if held.symbol == symbol else held.entry_price)
            total += value
            of_symbol += value if held.symbol == symbol else ZERO
            of_side += value if held.side.value == side else ZERO
        for attempt in self._image.all_live():
            other = attempt.intent
            if other.key.action.value in ENTRIES and other.intent_id != intent.intent_id:
                value = (other.size - attempt.filled) * other.limit_price
                total += value
                of_symbol += value if other.key.symbol == symbol else ZERO
                of_side += value if other.side.value == side else ZERO
        self._within("max_total_notional_usd", total + worth, intent)
        self._within("max_symbol_notional_usd", of_symbol + worth, intent)
        self._within("max_side_notional_usd", of_side + worth, intent)
        equity = self._equity()
        if equity is not None:
            most = equity * self._caps["max_account_leverage"] * EQUITY_SLACK
            text = f"{intent.key.text}: {total + worth:.2f} USD in all, {most:.2f} are allowed"
            self._court.require(total + worth <= most, "I-07", f"max_account_leverage: {text}")
        if is_new:
            self._rates(intent, worth)

    def decided(self, record: DecisionsRecorded) -> None:
        for gates in record.entry_gates.values():
            failed = {gate.name for gate in gates if not gate.passed}
            if failed and failed <= CAPS_BY_GATE.keys():
                self.refused.update(CAPS_BY_GATE[name] for name in failed)

    def _rates(self, intent: OrderIntent, worth: Decimal) -> None:
        at_ms = intent.decided_ms
        minute = [symbol for entry_ms, symbol, _ in self._entered if entry_ms > at_ms - MINUTE_MS]
        self._within("max_entry_orders_per_minute", Decimal(len(minute) + 1), intent)
        ours = Decimal(minute.count(intent.key.symbol) + 1)
        self._within("max_entry_orders_per_minute_per_symbol", ours, intent)
        since_ms = at_ms - int(self._caps["notional_window_s"]) * 1000
        recent = sum((value for entry_ms, _, value in self._entered if entry_ms > since_ms), ZERO)
        self._within("max_notional_per_window_usd", recent + worth, intent)
        self._entered.append((at_ms, intent.key.symbol, intent.size * intent.limit_price))

    def _within(self, cap: str, value: Decimal, intent: OrderIntent) -> None:
        text = f"{intent.key.text}: {cap} is {self._caps[cap]}, with it {value:.2f} are reached"
        self._court.require(value <= self._caps[cap], "I-07", text)

    def _equity(self) -> Decimal | None:
        """Cash by the ledger, and what positions have gained by the venue's prices."""
        if self._image.cash_usd is None:
            return None
        marks = self._marks()
        gained = sum(
            (held.size * (marks[held.symbol] - held.entry_price) for held in self._image.held.values()),
            ZERO,
        )
        return self._image.cash_usd + gained
