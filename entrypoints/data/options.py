"""What the data verbs share: their options, and the file that they are about."""

from __future__ import annotations

from pathlib import Path

import click

from config.settings import Settings
from config.suggestions import did_you_mean
from domain.candles import Interval
from ports.ledger import StorageError


class Names(click.ParamType[tuple[str, ...]]):
    """`BTC,ETH`: each once, in the order given."""

    name = "A,B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail("names nothing", param, ctx)
        return names


class Intervals(click.ParamType[tuple[Interval, ...]]):
    """`1m,1h`: each once, in the order given."""

    name = "1m,1h"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Interval, ...]:
        known = {interval.value: interval for interval in Interval}
        texts = [part.strip() for part in str(value).split(",") if part.strip()]
        for text in texts:
            if text not in known:
                near = did_you_mean(text, known)
                self.fail(f"'{text}' is none of {', '.join(known)}{near}", param, ctx)
        if not texts:
            self.fail("names nothing", param, ctx)
        return tuple(dict.fromkeys(known[text] for text in texts))


def stored_file(settings: Settings) -> Path:
    """The candle store of the settings. Raises `StorageError` where there is none yet, with what makes one."""
    path = settings.market_db_path
    if not path.is_file():
        raise StorageError(
            f"{path}: no candle of {settings.network.value} has been stored yet. "
            "./aiq download-data --symbols BTC,ETH --interval 1m --days 3 fetches some, a running daemon keeps those it"
            " hears; AI_QUANT_NETWORK or AI_QUANT_MARKET_DB_PATH name another store."
        )
    return path
