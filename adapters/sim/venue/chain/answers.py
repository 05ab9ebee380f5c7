"""Answers to signed actions, in the exact shapes of `hyperliquid-protocol` §6.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from adapters.sim.venue.exchange.orders import FilledNow, PlaceResult, Refused, Resting, Waiting
from adapters.sim.venue.numbers import ratio, text

Answer = dict[str, object]


def err(refusal: str) -> Answer:
    """The whole action is refused."""
    return {"status": "err", "response": refusal}


def done() -> Answer:
    return {"status": "ok", "response": {"type": "default"}}


def with_data(kind: str, data: object) -> Answer:
    return {"status": "ok", "response": {"type": kind, "data": data}}


def placed(results: Iterable[PlaceResult]) -> Answer:
    return with_data("order", {"statuses": [place_status(result) for result in results]})


def canceled(refusals: Iterable[str | None]) -> Answer:
    return with_data(
        "cancel", {"statuses": ["success" if refusal is None else {"error": refusal} for refusal in refusals]}
    )


def twap_refused(kind: str, refusal: str) -> Answer:
    return with_data(kind, {"status": {"error": refusal}})


def place_status(result: PlaceResult) -> object:
    """One order's entry. The cloid is there when it was sent."""
    match result:
        case Resting(oid, cloid):
            return {"resting": _with_cloid({"oid": oid}, cloid)}
        case FilledNow(total_size, average_price, oid, cloid):
            filled: dict[str, object] = {"totalSz": text(total_size), "avgPx": ratio(average_price), "oid": oid}
            return {"filled": _with_cloid(filled, cloid)}
        case Refused(refusal):
            return {"error": refusal}
        case Waiting():
            return result.value
        case _:
            assert_never(result)


def _with_cloid(entry: dict[str, object], cloid: str | None) -> dict[str, object]:
    return entry if cloid is None else entry | {"cloid": cloid}
