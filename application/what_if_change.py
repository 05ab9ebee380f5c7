"""What another config changed: two simulated runs of one recording, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from application.what_if import Simulated
from domain.intents import OrderIntent
from domain.positions import Trade

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ChangedDecision:
    """A verdict by number (`domain.verdicts`); None where the symbol was not decided on."""

    symbol: str
    open_ms: int
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ChangedTrade:
    """A round trip of either run that the other has not, or has otherwise. None: it has none that began then."""

    symbol: str
    opened_ms: int
    before: Trade | None
    after: Trade | None


@dataclass(frozen=True, slots=True)
class ChangedIntent:
    key: str
    before: OrderIntent | None
    after: OrderIntent | None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that differs, in the order in which it began. `pnl_usd`: equity at the end, after less before."""

    decisions: tuple[ChangedDecision, ...]
    intents: tuple[ChangedIntent, ...]
    trades: tuple[ChangedTrade, ...]
    pnl_usd: Decimal | None

    @property
    def is_none(self) -> bool:
        return not (self.decisions or self.intents or self.trades) and not self.pnl_usd


def change_between(before: Simulated, after: Simulated) -> Change:
    verdicts = sorted({*before.verdicts, *after.verdicts}, key=lambda key: (key[1], key[0]))
    decisions = tuple(
        ChangedDecision(*key, before.verdicts.get(key), after.verdicts.get(key))
        for key in verdicts
        if before.verdicts.get(key) != after.verdicts.get(key)
    )
    ours, theirs = _trades(before), _trades(after)
    trades = tuple(
        ChangedTrade(key[1], key[0], ours.get(key), theirs.get(key))
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    )
    first, second = _intents(before), _intents(after)
    intents = tuple(
        ChangedIntent(key, first.get(key), second.get(key))
        for key in dict.fromkeys([*first, *second])
        if not _same_intent(first.get(key), second.get(key))
    )
    ends = (before.end_equity_usd, after.end_equity_usd)
    pnl = None if ends[0] is None or ends[1] is None else ends[1] - ends[0]
    return Change(decisions, intents, trades, pnl)


def _trades(run: Simulated) -> Mapping[tuple[int, str], Trade]:
    return {(each.trade.opened_ms, each.trade.symbol): each.trade for each in run.trades}


def _intents(run: Simulated) -> Mapping[str, OrderIntent]:
    return {each.intent.key.text: each.intent for each in run.intents}


def _same_intent(left: OrderIntent | None, right: OrderIntent | None) -> bool:
    """Another config's digest alone makes no other order."""
    if left is None or right is None:
        return left is right
    return (left.side, left.size, left.limit_price, left.trigger, left.reason, left.decided_ms) == (
        right.side,
        right.size,
        right.limit_price,
        right.trigger,
        right.reason,
        right.decided_ms,
    )
