"""Run a local venue that speaks Hyperliquid's protocol, with toy money."""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click
import msgspec

from domain.candles import Interval
from entrypoints.output import say, utc

if TYPE_CHECKING:
    from entrypoints.local_venue import LocalVenue

_NAMES_SHOWN = 8
_PORT = click.IntRange(0, 65_535)


class _Usd(click.ParamType[Decimal]):
    name = "USD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount", param, ctx)
        if not amount.is_finite() or not 0 <= amount <= 1_000_000_000 or amount != round(amount, 6):
            self.fail(f"{value} is not an amount from 0 to 1,000,000,000 with at most 6 decimals", param, ctx)
        return amount


class _Since(click.ParamType[tuple[int, int]]):
    name = "MARKET_MS,REAL_MS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        market, _, real = str(value).partition(",")
        if not (market.isascii() and market.isdigit() and real.isascii() and real.isdigit()):
            self.fail(f"{value!r} is not two times in ms", param, ctx)
        return int(market), int(real)


@click.command(name="venue")
@click.option("--port", type=_PORT, default=0, help="Port of the venue; 0: any free one.", show_default=True)
@click.option("--control-port", type=_PORT, default=0, help="Port for faults, the log, time.", show_default=True)
@click.option(
    "--symbols", type=click.IntRange(1), default=24, show_default=True, metavar="N", help="Simulated symbols."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help="Of everything drawn.")
@click.option("--scale", type=float, metavar="X", help="Let time run X times as fast.  [default: 1]")
@click.option("--stepped", is_flag=True, help="Let time stand still but for POST /time on the control port.")
@click.option(
    "--candles", multiple=True, metavar="PATH", help="Recorded candles as the market, as for backtesting. Repeat."
)
@click.option(
    "--interval", type=click.Choice([each.value for each in Interval]), help="What the candles must be, such as 1m."
)
@click.option("--instruments", metavar="PATH", help="The venue's meta answer (JSON) with the true trading rules.")
@click.option("--funding", metavar="PATH", help="Realised hourly funding, as for backtesting.")
@click.option("--fill-gaps", is_flag=True, help="Put no-trade candles where some are missing.")
@click.option("--faults", metavar="FILE", help="Fault rules (JSON) that apply from the start.")
@click.option("--log", metavar="FILE", help="Write everything that happens as lines of JSON; replaces the file.")
@click.option(
    "--accounts", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N", help="Toy accounts."
)
@click.option("--balance", type=_Usd(), default="10000", show_default=True, help="Money of each.")
@click.option("--block", type=click.IntRange(0, 10_000), metavar="MS", help="Between blocks; 0: none wait.")
@click.option("--since", type=_Since(), hidden=True, help="MARKET_MS,REAL_MS: a clock that is shared with a daemon.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
@click.option("--no-limits", is_flag=True, help="Do not enforce the venue's rate limits.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready.")
def command(
    port: int,
    control_port: int,
    symbols: int,
    seed: int,
    scale: float | None,
    stepped: bool,
    candles: tuple[str, ...],
    interval: str | None,
    instruments: str | None,
    funding: str | None,
    fill_gaps: bool,
    faults: str | None,
    log: str | None,
    accounts: int,
    balance: Decimal,
    block: int | None,
    since: tuple[int, int] | None,
    with_parent: bool,
    no_limits: bool,
    as_json: bool,
) -> None:
    """Run a local venue that speaks Hyperliquid's protocol, with toy money.

    Point any client at the URL that it prints; docs/venue.md has examples. Stop it with Ctrl-C.
    """
    from entrypoints.local_venue import VenueOptions, local_venue

    _check(symbols, scale, stepped, candles, (interval, instruments, funding, fill_gaps))
    options = VenueOptions(
        port=port,
        control_port=control_port,
        symbols=symbols,
        seed=seed,
        scale=None if stepped else scale or 1.0,
        candles=candles,
        interval=interval,
        instruments=instruments,
        funding=funding,
        fill_gaps=fill_gaps,
        faults=faults,
        log=log,
        accounts=accounts,
        balance=balance,
        limits=not no_limits,
        block_ms=block,
        since=since,
        with_parent=with_parent,
    )
    started = time.monotonic()
    with local_venue(options) as local:
        ready = _ready(local, options.scale, seed, balance)
        asyncio.run(local.serve(lambda: _print_json(ready) if as_json else _print_text(ready, local)))
        last = _last_line(local, time.monotonic() - started)
    if as_json:
        say(last)
    else:
        print(last)


def _check(
    symbols: int, scale: float | None, stepped: bool, candles: tuple[str, ...], of_candles: tuple[object, ...]
) -> None:
    from adapters.sim.symbols import MAX_SYMBOLS

    if symbols > MAX_SYMBOLS:
        raise click.BadParameter(f"the simulated market has up to {MAX_SYMBOLS}", param_hint="--symbols")
    if scale is not None and not 0.001 <= scale <= 10_000:
        raise click.BadParameter("must lie between 0.001 and 10000", param_hint="--scale")
    if scale is not None and stepped:
        raise click.UsageError("--scale and --stepped exclude each other")
    if not candles and any(of_candles):
        raise click.UsageError("--interval, --instruments, --funding and --fill-gaps are about --candles")


def _ready(local: LocalVenue, scale: float | None, seed: int, balance: Decimal) -> dict[str, object]:
    recorded = local.market.recorded
    return {
        "url": local.server.url,
        "ws_url": local.server.websocket_url,
        "control_url": local.control.url,
        "network": "testnet",
        "market": "generated" if recorded is None else "recorded",
        "seed": seed,
        "symbols": [instrument.symbol for instrument in local.venue.exchange.instruments],
        "time": local.venue.now_ms,
        "scale": scale,
        "accounts": [{"address": each.address, "key": each.key, "usd": str(balance)} for each in local.accounts],
        "recorded": None if recorded is None else msgspec.to_builtins(recorded),
    }


def _print_json(ready: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()


def _print_text(ready: dict[str, object], local: LocalVenue) -> None:
    scale, names = ready["scale"], [instrument.symbol for instrument in local.venue.exchange.instruments]
    running = (
        "stands still; POST /time moves it" if scale is None else "real" if scale == 1 else f"{scale:g} times real"
    )
    rows = [
        ("venue", local.server.url),
        ("websocket", local.server.websocket_url),
        ("control", local.control.url),
        ("network", "testnet signatures, as the official SDK makes them for any URL of its own"),
        ("time", f"{utc(local.venue.now_ms)} UTC, {running}"),
        ("market", f"{len(names)} symbols, {_shortened(names)}, {ready['market']}, seed {ready['seed']}"),
    ]
    recorded = local.market.recorded
    if recorded is not None:
        rows.append(
            ("candles", f"{recorded.interval}, {utc(recorded.from_ms)} to {utc(recorded.until_ms)} in venue time")
        )
    for account in local.accounts:
        rows += [("account", account.address), ("key", account.key)]
    print("\n".join(f"{name:<10} {text}" for name, text in rows))
    print(
        "The keys are toys: they follow from the seed, everybody has them. Never send real money there.",
        "Ctrl-C stops.",
        sep="\n",
        flush=True,
    )


def _shortened(names: list[str]) -> str:
    return " ".join(names[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")


def _last_line(local: LocalVenue, seconds: float) -> str:
    traffic = local.server.traffic
    return (
        f"stopped after {seconds:,.0f} s: {traffic.requests:,} requests, {traffic.sockets:,} sockets, "
        f"{traffic.messages:,} messages, {traffic.frames:,} frames, {local.venue.log.count:,} rows in the log"
    )
