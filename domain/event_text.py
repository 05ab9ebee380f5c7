"""Events as plain JSON and back, and what came of them as plain JSON to compare: the words of a recorded session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from domain.config_events import OverridesText
from domain.effects import Effect, RunStrategy, StoreCandles
from domain.events import (
    AccountSnapshot,
    CandlesChecked,
    CandlesClosed,
    CandleStreams,
    CandleUpdates,
    CashFlowed,
    EntriesHeld,
    Event,
    FillArrived,
    FundingPaid,
    HistoryLoaded,
    MidsChecked,
    NonceBurned,
    OperatorSpoke,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    Quotes,
    Recovered,
    StrategyAnswered,
    TimerFired,
    VenueTime,
    VolumesHeard,
)
from domain.fact_text import fact_to_plain
from domain.facts import CandlesSkipped, DecisionsRecorded, Fact
from domain.value_text import ValueTextError, codec_of, plain

_NAMES: dict[type, str] = {
    Recovered: "recovered",
    OverridesText: "overrides",
    CandleUpdates: "candles",
    CandlesClosed: "candles_closed",
    Quotes: "quotes",
    CandleStreams: "streams",
    MidsChecked: "mids_checked",
    VolumesHeard: "volumes",
    VenueTime: "venue_time",
    CandlesChecked: "candles_checked",
    TimerFired: "timer",
    HistoryLoaded: "history",
    OrderOutcome: "outcome",
    OrderCanceled: "canceled",
    OrderLooked: "looked",
    NonceBurned: "burned",
    OrderNamed: "named",
    FillArrived: "fill",
    FundingPaid: "funding",
    CashFlowed: "cash_flow",
    AccountSnapshot: "account",
    EntriesHeld: "entries_held",
    OperatorSpoke: "operator",
    StrategyAnswered: "answered",
}
"""Names in recorded sessions. They outlive any renaming of classes."""

_KINDS = {name: kind for kind, name in _NAMES.items()}
assert _NAMES.keys() == set(get_args(Event)), "every kind of event has its name"


def event_name(event: Event) -> str:
    return _NAMES[type(event)]


def event_to_plain(event: Event) -> Any:
    """What an event says, exactly."""
    return plain(event, exact=True)


def event_from_plain(name: object, value: Any) -> Event:
    """The event again. Raises `ValueTextError` for anything else."""
    kind: Any = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueTextError(f"no kind of event is called {name!r}")
    event: Event = codec_of(kind, exact=True).decode(value)
    return event


def facts_to_plain(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """What a step decided or learned. Of decisions the verdicts, not the indicators, which any replay computes anew."""
    return [_fact_to_plain(fact) for fact in facts]


def effects_to_plain(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """What a step wants done. Candles, and what a strategy's worker gets to see, are named, not repeated."""
    return [_effect_to_plain(effect) for effect in effects]


def _fact_to_plain(fact: Fact) -> dict[str, Any]:
    if isinstance(fact, DecisionsRecorded):
        return _decisions_to_plain(fact)
    if isinstance(fact, CandlesSkipped):
        return {"fact": "skipped", **plain(fact)}
    return fact_to_plain(fact)


def _decisions_to_plain(record: DecisionsRecorded) -> dict[str, Any]:
    analyses = record.analyses
    first_no = [analyses.gate_names[row] if row >= 0 else None for row in analyses.first_no.tolist()]
    return {
        "fact": "decisions",
        "interval": record.interval.value,
        "open_ms": record.open_ms,
        "batch_no": record.batch_no,
        "config": record.config_digest,
        "context": plain(record.context),
        "symbols": list(record.symbols),
        "signal": record.signal.tolist(),
        "confidence": analyses.confidence.tolist(),
        "first_no": first_no,
        "verdict": record.verdict.tolist(),
        "entry_gates": {str(place): [plain(gate) for gate in gates] for place, gates in record.entry_gates.items()},
        "intents": {str(place): intent for place, intent in record.intent_ids.items()},
        "notes": {str(place): note for place, note in record.notes.items()},
    }


def _effect_to_plain(effect: Effect) -> dict[str, Any]:
    name = type(effect).__name__
    if isinstance(effect, StoreCandles):
        candles = effect.candles
        return {
            "effect": name,
            "interval": candles.interval.value,
            "open_ms": candles.open_ms,
            "ids": candles.ids.tolist(),
        }
    if isinstance(effect, RunStrategy):
        job = effect.job
        return {
            "effect": name,
            "job_no": job.job_no,
            "open_ms": job.batch.open_ms,
            "ids": job.batch.ids.tolist(),
            "config": job.book.digest,
        }
    return {"effect": name, **plain(effect)}
