"""A difference between a session and its replay, as people read it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from application.replay import Difference
from entrypoints.output import utc

MAX_LINES = 80


def difference_lines(difference: Difference) -> Iterator[str]:
    """Which event, what was recorded of it and what came now, and what happened before it."""
    moment = f"{utc(difference.at_ms)}.{difference.at_ms % 1000:03d}"
    yield f"first difference at seq {difference.seq} ({moment} UTC): {difference.what}"
    yield from _changes(difference.recorded, difference.replayed)
    yield "events before it:"
    for heard in difference.before:
        yield f"  seq {heard.seq}  {utc(heard.at_ms)}.{heard.at_ms % 1000:03d}  {heard.kind}"


def difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "seq": difference.seq,
        "at_ms": difference.at_ms,
        "what": difference.what,
        "recorded": difference.recorded,
        "replayed": difference.replayed,
        "before": [{"seq": each.seq, "at_ms": each.at_ms, "kind": each.kind} for each in difference.before],
    }


def _changes(recorded: Any, replayed: Any) -> Iterator[str]:
    lines = difflib.unified_diff(_lines(recorded), _lines(replayed), "recorded", "replayed", lineterm="", n=2)
    for number, line in enumerate(lines):
        if number == MAX_LINES:
            yield "  … (--json shows all of it)"
            return
        yield f"  {line}"


def _lines(value: Any) -> list[str]:
    """One fact or effect after another, each member a line, however deep it lies."""
    if not isinstance(value, list):
        return [json.dumps(value)]
    lines = []
    for each in value:
        kind = each.get("fact") or each.get("effect") if isinstance(each, dict) else None
        lines += [f"{kind or 'value'}:", *(f"  {line}" for line in _members("", each))]
    return lines


def _members(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            if name not in ("fact", "effect"):
                yield from _members(f"{path}.{name}" if path else str(name), member)
    elif isinstance(value, (list, tuple)) and any(isinstance(each, (dict, list, tuple)) for each in value):
        for place, each in enumerate(value):
            yield from _members(f"{path}[{place}]", each)
    else:
        yield f"{path}: {json.dumps(value)}"
