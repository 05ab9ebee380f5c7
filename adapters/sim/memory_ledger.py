"""Ledger and decision log in memory, for backtests and replays: the same promises, gone with the process.

A commit only checks keys and keeps the facts; hashes and the state are worked out when
somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

from adapters.sim.ledger_fold import folded
from domain.fact_text import GENESIS, chained, fact_to_json
from domain.facts import (
    CandlesSkipped,
    CashFlowRecorded,
    DecisionsRecorded,
    EvidenceRecorded,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    LedgerState,
    OrderChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.orders import Order
from ports.ledger import StorageError

KEEP_DECISIONS = 20_000
"""Enough to look at what was just decided; a long backtest takes its figures from the engine instead."""


class MemoryLedger:
    """`Ledger` that lasts as long as its process."""

    def __init__(self, instance_tag: bytes = b"\0\0") -> None:
        self._instance_tag = instance_tag
        self._facts: list[LedgerFact] = []
        self._keys: dict[str, set[Hashable]] = {
            name: set() for name in ("intent", "cloid", "attempt", "fill", "funding", "trade", "flow")
        }
        self._head = GENESIS
        self._hashed = 0

    @property
    def facts(self) -> Sequence[LedgerFact]:
        """Everything committed, in order."""
        return self._facts

    def load(self) -> LedgerState:
        return folded(self._facts, self._instance_tag)

    def commit(self, facts: Sequence[LedgerFact]) -> None:
        claimed: list[tuple[str, Hashable, bool]] = []
        try:
            for fact in facts:
                if type(fact) in _CHECKED:
                    self._check(fact, claimed)
        except StorageError:
            for name, key, was_added in reversed(claimed):
                (self._keys[name].discard if was_added else self._keys[name].add)(key)
            raise
        self._facts.extend(facts)

    def digest(self) -> str:
        for fact in self._facts[self._hashed :]:
            self._head = chained(self._head, fact_to_json(fact))
        self._hashed = len(self._facts)
        return self._head.hex()

    def close(self) -> None:
        """Nothing to let go of: facts stay readable."""

    def _check(self, fact: LedgerFact, claimed: list[tuple[str, Hashable, bool]]) -> None:
        """Claim the keys of what happens once, and look for the intents that facts name."""
        match fact:
            case FillRecorded(fill, intent_id):
                self._claim("fill", fill.trade_id, claimed)
                self._refer(fact, intent_id)
            case OrderChanged(order):
                if order.request.cloid not in self._keys["cloid"]:
                    self._refer(fact, order.request.intent_id)
                    self._claim_attempt(order, claimed)
            case IntentRecorded(_, order):
                self._claim("intent", order.request.intent_id, claimed)
                self._claim_attempt(order, claimed)
            case FillRevised(trade_id, intent_id):
                self._need("fill", trade_id)
                self._refer(fact, intent_id)
            case EvidenceRecorded(cloid):
                self._need("cloid", cloid)
            case TradeClosed(trade):
                self._refer(fact, trade.intent_id)
                if fact.closing_trade_id:
                    self._claim("trade", fact.closing_trade_id, claimed)
            case TradeWithdrawn(key):
                if key in self._keys["trade"]:
                    self._keys["trade"].discard(key)
                    claimed.append(("trade", key, False))
            case FundingRecorded(symbol, time_ms):
                self._claim("funding", (symbol, time_ms), claimed)
            case CashFlowRecorded(flow_id):
                self._claim("flow", flow_id, claimed)
            case _:
                raise AssertionError(f"{type(fact).__name__} has nothing to check")

    def _claim_attempt(self, order: Order, claimed: list[tuple[str, Hashable, bool]]) -> None:
        self._claim("cloid", order.request.cloid, claimed)
        self._claim("attempt", (order.request.intent_id, order.attempt), claimed)

    def _claim(self, name: str, key: Hashable, claimed: list[tuple[str, Hashable, bool]]) -> None:
        keys = self._keys[name]
        if key in keys:
            raise StorageError(f"{name} {_words(key)} is in the ledger already. Nothing was written.")
        keys.add(key)
        claimed.append((name, key, True))

    def _need(self, name: str, key: Hashable) -> None:
        if key not in self._keys[name]:
            raise StorageError(f"{name} {_words(key)} is not in the ledger. Nothing was written.")

    def _refer(self, fact: LedgerFact, intent_id: str | None) -> None:
        if intent_id is not None and intent_id not in self._keys["intent"]:
            raise StorageError(f"{type(fact).__name__} names intent {intent_id}, which is not in the ledger.")


class MemoryDecisionLog:
    """`DecisionLog` that lasts as long as its process; drops whole batches, the oldest first."""

    def __init__(self, keep_rows: int = KEEP_DECISIONS) -> None:
        assert keep_rows > 0, "a log keeps something"
        self._keep_rows = keep_rows
        self._rows = 0
        self._batches: deque[DecisionsRecorded] = deque()
        self.skipped: deque[CandlesSkipped] = deque(maxlen=keep_rows)

    @property
    def batches(self) -> Sequence[DecisionsRecorded]:
        """What is kept, oldest first."""
        return self._batches

    def append(self, decisions: Sequence[DecisionsRecorded]) -> None:
        for batch in decisions:
            self._batches.append(batch)
            self._rows += len(batch.symbols)
        while self._rows > self._keep_rows and len(self._batches) > 1:
            self._rows -= len(self._batches.popleft().symbols)

    def note_skipped(self, skipped: Sequence[CandlesSkipped]) -> None:
        self.skipped.extend(skipped)

    def close(self) -> None:
        """Nothing to let go of."""


_CHECKED = frozenset(
    (
        FillRecorded,
        FillRevised,
        OrderChanged,
        IntentRecorded,
        EvidenceRecorded,
        TradeClosed,
        TradeWithdrawn,
        FundingRecorded,
        CashFlowRecorded,
    )
)


def _words(key: Hashable) -> str:
    return " ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
