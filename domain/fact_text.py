"""Facts as canonical text: what the ledger chains together, and what its projections are rebuilt from.

One fact is one JSON object on one line: keys sorted, ASCII only, values as
`domain.value_text` has them. Equal facts have equal texts on every machine and after every restart.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any

from domain.facts import (
    AnchorSet,
    CashFlowRecorded,
    CashSet,
    ConfigTaken,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    EvidenceRecorded,
    ExitStateChanged,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    GapClosed,
    GapOpened,
    IntentRecorded,
    LedgerFact,
    OperatorActed,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    ProtectionLapsed,
    RiskChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.value_text import ValueTextError, codec_of, plain

GENESIS = bytes(32)
"""What the first fact of a chain is chained to."""

_NAMES: dict[type, str] = {
    IntentRecorded: "intent",
    OrderChanged: "order",
    FillRecorded: "fill",
    PositionChanged: "position",
    TradeClosed: "trade",
    FundingRecorded: "funding",
    ExitStateChanged: "exit_state",
    RiskChanged: "risk",
    OperatorActed: "operator",
    CashFlowRecorded: "cash_flow",
    ProtectionLapsed: "protection_lapsed",
    ConfigTaken: "config",
    AnchorSet: "anchor",
    CashSet: "cash",
    EvidenceRecorded: "evidence",
    FillRevised: "fill_revised",
    PositionAdjusted: "adjustment",
    GapOpened: "gap",
    GapClosed: "gap_closed",
    TradeWithdrawn: "trade_withdrawn",
    DifferenceOpened: "difference",
    DifferenceClosed: "difference_closed",
    CursorMoved: "cursor",
}
"""Names in stored texts. They outlive any renaming of classes."""

_NAME_KEY = "fact"
_EXACT_DIGITS = 10_000


def fact_to_json(fact: LedgerFact) -> str:
    """The canonical text of a fact."""
    return _WRITER.encode(fact_to_plain(fact))


def fact_to_plain(fact: LedgerFact) -> dict[str, Any]:
    """What the text of a fact says, as plain JSON values."""
    return {_NAME_KEY: _NAMES[type(fact)], **plain(fact)}


def fact_from_json(text: str) -> LedgerFact:
    """Read a fact back from its text. Raises `ValueTextError` for anything else."""
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise ValueTextError(f"not JSON: {e}") from e
    name = fields.pop(_NAME_KEY, None) if isinstance(fields, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueTextError(f"no kind of fact is called {name!r}")
    fact: LedgerFact = codec_of(kind).decode(fields)
    return fact


def chained(previous: bytes, text: str) -> bytes:
    """The hash of a chain after one more text: any edit, loss or swap before it changes it."""
    return hashlib.blake2b(previous + text.encode("ascii"), digest_size=32).digest()


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Add up without any rounding, however many digits that takes: the same total in any order."""
    with localcontext(prec=_EXACT_DIGITS):
        return sum(amounts, Decimal(0))


_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_KINDS = {name: kind for kind, name in _NAMES.items()}


def _refuse_constant(name: str) -> typing.NoReturn:
    raise ValueTextError(f"{name} is not a number")
