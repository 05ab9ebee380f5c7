"""What the verbs share that ask a ledger for money: their options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click

_Command = Callable[..., None]

_LATEST_MS = 253_402_300_800_000
"""The year 10000: no date says more."""

_DB = click.option("--db", metavar="FILE", help="A ledger other than the configured one.")
_MARKET = click.option("--market", metavar="FILE", help="The candle store to value open positions with.")
_SYMBOL = click.option("--symbol", metavar="SYMBOL", help="Only this symbol (case-sensitive).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def asks_for_bookings(command: _Command) -> _Command:
    """Give a command the options `db`, `symbol` and `as_json`."""
    return _DB(_SYMBOL(_JSON(command)))


def asks_for_values(command: _Command) -> _Command:
    """Give a command the options `db`, `market` and `as_json`."""
    return _DB(_MARKET(_JSON(command)))


def only_symbol(command: _Command) -> _Command:
    """Give a command the option `symbol`."""
    return _SYMBOL(command)


class Moment(click.ParamType[int]):
    """A date or a time in UTC, or epoch milliseconds."""

    name = "DATE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        try:
            if text.isascii() and text.isdigit() and len(text) > 8:  # 20260105 is a date
                time_ms = int(text)
            else:
                moment = datetime.fromisoformat(text)
                time_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(f"'{text}' is no date such as 2026-11-22 or 2026-11-22T13:05 (UTC), nor epoch milliseconds")
        if not 0 <= time_ms < _LATEST_MS:
            self.fail(f"'{text}' is not between 1970 and the year 10000")
        return time_ms
