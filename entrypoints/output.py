"""How commands speak: tables and progress for people, JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

_JSON = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def print_json(value: object) -> None:
    """One JSON document on standard output. Decimals become numbers with all their digits."""
    sys.stdout.write(msgspec.json.format(_JSON.encode(value), indent=2).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, str]], *, empty: str) -> None:
    """An aligned table on a terminal and in a pipe alike; `empty` where there are no rows."""
    if not rows:
        print(empty)
        return
    columns = [(name, *_layout(name, [row[name] for row in rows])) for name in rows[0]]
    print("  ".join(align(name, width) for name, width, align in columns).rstrip())
    for row in rows:
        print("  ".join(align(row[name], width) for name, width, align in columns).rstrip())


def usd(value: Decimal) -> str:
    return f"{value:,.2f}"


def plain(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def say(text: str) -> None:
    """A message for people, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def _layout(name: str, cells: Sequence[str]) -> tuple[int, Callable[[str, int], str]]:
    """A column's width, and where its text stands: numbers to the right, if it holds nothing else."""
    numeric = all(cell.lstrip("-+").replace(",", "").replace(".", "").isdigit() for cell in cells)
    return max(len(name), *(len(cell) for cell in cells)), str.rjust if numeric else str.ljust
