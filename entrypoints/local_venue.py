"""A local venue from options to a served process: its market, its accounts, its ports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from adapters.clocks import ScaledClock, SystemClock
from adapters.sim.venue.chain.signing import CURVE_ORDER, keccak
from adapters.sim.venue.faults.forms import BadForm
from adapters.sim.venue.faults.rules import FaultRule, rule_from_json
from adapters.sim.venue.log import ROWS_KEPT, VenueLog
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.path import MarketPath
from adapters.sim.venue.server.control import ControlPort
from adapters.sim.venue.server.server import VenueServer
from adapters.sim.venue.settings import Cadence, Limits, VenueSettings
from adapters.sim.venue.venue import Venue
from domain.candles import Interval
from domain.strategy_config import Place
from ports.clock import Clock
from ports.datasets import CandleSet
from ports.ledger import StorageError
from ports.strategy_config import ConfigError, ConfigProblem

DAY_MS = 86_400_000
GENERATED_HISTORY_MS = 90 * DAY_MS
"""How long ago a generated market began; each day costs whoever asks for all of it."""


@dataclass(frozen=True, slots=True)
class VenueOptions:
    """What the command line asks for. `scale` None: time stands still until the control port moves it."""

    port: int
    control_port: int
    symbols: int
    seed: int
    scale: float | None
    candles: tuple[str, ...]
    interval: str | None
    instruments: str | None
    funding: str | None
    fill_gaps: bool
    faults: str | None
    log: str | None
    accounts: int
    balance: Decimal
    limits: bool
    block_ms: int | None
    since: tuple[int, int] | None = None
    """A moment in venue time and the real moment that it was: time that somebody else goes by as well."""
    with_parent: bool = False
    """Stop when standard input ends: whoever started the venue is gone."""


@dataclass(frozen=True, slots=True)
class ToyAccount:
    """An account that the venue gives away, key and all."""

    address: str
    key: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """Recorded candles as they lie in venue time."""

    interval: str
    sources: tuple[str, ...]
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class MarketSource:
    """Where prices come from; `recorded` is None for a generated market."""

    path: MarketPath
    recorded: Recorded | None = None


CHILD_ROWS = 20_000
"""Of its log: a daemon's own venue runs for days, and hardly anybody asks it what happened long ago."""


@dataclass(slots=True)
class LocalVenue:
    """A venue with its ports, listening but not yet served."""

    venue: Venue
    server: VenueServer
    control: ControlPort
    accounts: list[ToyAccount]
    market: MarketSource
    with_parent: bool = False

    async def serve(self, when_ready: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM, or until the venue breaks."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.server.stop)
        if self.with_parent:
            threading.Thread(target=_wait_for_the_end_of_input, args=(loop, self.server.stop), daemon=True).start()
        controlling = asyncio.create_task(self.control.serve(), name="venue control port")
        when_ready()
        try:
            await self.server.serve()
        finally:
            controlling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await controlling
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


@contextlib.contextmanager
def local_venue(options: VenueOptions) -> Iterator[LocalVenue]:
    """Build what the options ask for. Raises `DatasetError`, `ConfigError`, `StorageError` or `VenueUnavailable`."""
    clock = _clock(options)
    start_ms = time.time_ns() // 1_000_000 if clock is None else clock.now_ms()
    rules = _rules(options.faults)
    market = _market(options, start_ms)
    with contextlib.ExitStack() as stack:
        log = VenueLog(CHILD_ROWS if options.with_parent else ROWS_KEPT, _sink(options.log, stack))
        venue = Venue(market.path, _settings(options), start_ms, options.seed, log)
        accounts = [toy_account(options.seed, number) for number in range(options.accounts)]
        for account in accounts:
            venue.fund_account(account.address, options.balance)
        for rule in rules:
            venue.switchboard.add(rule)
        server = VenueServer(
            venue,
            clock,
            options.port,
            body_bytes=venue.settings.limits.body_bytes,
            date_ms=lambda: venue.now_ms + venue.switchboard.date_skew_ms(venue.now_ms),
        )
        stack.callback(server.close)
        control = ControlPort(venue, server, options.control_port)
        stack.callback(control.close)
        gc.collect()
        gc.freeze()  # the market's tables live as long as the process: no need to look through them again
        stack.callback(gc.unfreeze)
        yield LocalVenue(venue, server, control, accounts, market, options.with_parent)


def _clock(options: VenueOptions) -> Clock | None:
    """The venue's clock; None where its time stands still."""
    if options.scale is None:
        return None
    if options.since is not None:
        return ScaledClock(*options.since, options.scale)
    now_ms = time.time_ns() // 1_000_000
    return SystemClock() if options.scale == 1 else ScaledClock(now_ms, now_ms, options.scale)


def _wait_for_the_end_of_input(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Read until the other end of standard input is closed, which a killed parent does as well."""
    with contextlib.suppress(OSError, ValueError):
        while sys.stdin.buffer.read(1_024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended by itself meanwhile
        loop.call_soon_threadsafe(stop)


def toy_account(seed: int, number: int) -> ToyAccount:
    """The account of a seed and a number: the same everywhere, hence nobody's secret."""
    digest = hashlib.sha256(f"ai-quant local venue: toy key {number} of seed {seed}".encode()).digest()
    secret = int.from_bytes(digest, "big") % (CURVE_ORDER - 1) + 1
    return ToyAccount("0x" + keccak(_public_point(secret))[12:].hex(), f"0x{secret:064x}")


def _public_point(secret: int) -> bytes:
    """x and y of a key's point, 32 bytes each."""
    try:
        from coincurve import PrivateKey
    except ImportError:  # as in the venue's signing: eth_keys does the same, slowly
        from eth_keys.datatypes import PrivateKey as SlowKey

        return SlowKey(secret.to_bytes(32, "big")).public_key.to_bytes()
    return PrivateKey(secret.to_bytes(32, "big")).public_key.format(compressed=False)[1:]


def _settings(options: VenueOptions) -> VenueSettings:
    """Where time does not run as the clients' does, nonces are judged from the start on, and a time that stands
    still must not keep an order waiting for the next block."""
    block = options.block_ms
    if block is None:
        block = 0 if options.scale is None else Cadence().block
    return VenueSettings(
        cadence=Cadence(block=block),
        limits=Limits(enforced=options.limits),
        nonces_from_start=options.scale != 1,
    )


# ── the market ───────────────────────────────────────────────────────────────────────────────────


def _market(options: VenueOptions, start_ms: int) -> MarketSource:
    if options.candles:
        return _recorded(options, start_ms)
    listed_ms = (start_ms - GENERATED_HISTORY_MS) // DAY_MS * DAY_MS
    return MarketSource(GeneratedPath(options.seed, options.symbols, listed_ms))


def _recorded(options: VenueOptions, start_ms: int) -> MarketSource:
    from adapters.datasets.candle_files import read_candles
    from adapters.datasets.funding_files import read_funding
    from adapters.datasets.instruments import infer_instruments, read_instruments
    from adapters.sim.venue.market.recorded_path import RecordedPath

    interval = None if options.interval is None else Interval(options.interval)
    candles = read_candles(options.candles, interval, fill_gaps=options.fill_gaps)
    instruments = infer_instruments(candles)
    if options.instruments is not None:
        known = {instrument.symbol: instrument for instrument in read_instruments(options.instruments)}
        instruments = tuple(known.get(inferred.symbol, inferred) for inferred in instruments)
    funding = None if options.funding is None else read_funding(options.funding, candles.symbols)
    begin_ms, end_ms = common_span(candles)
    shift_ms = shift_of(begin_ms, end_ms, candles.interval.ms, start_ms)
    path = RecordedPath(candles.windows, instruments, options.seed, shift_ms=shift_ms, funding=funding)
    recorded = Recorded(candles.interval.value, candles.sources, begin_ms + shift_ms, end_ms + shift_ms)
    return MarketSource(path, recorded)


def common_span(candles: CandleSet) -> tuple[int, int]:
    """From when to when every symbol trades; where they never all do, from the first candle to the last."""
    firsts = [int(window.open_ms[0]) for window in candles.windows]
    ends = [int(window.open_ms[-1]) + candles.interval.ms for window in candles.windows]
    return (max(firsts), min(ends)) if max(firsts) < min(ends) else (min(firsts), max(ends))


def shift_of(begin_ms: int, end_ms: int, interval_ms: int, start_ms: int) -> int:
    """By how much recorded times move, in whole candles: a day of them, at most half, lies before `start_ms`."""
    history_ms = min(DAY_MS, (end_ms - begin_ms) // 2)
    return (start_ms - begin_ms - history_ms) // interval_ms * interval_ms


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def _rules(path: str | None) -> Sequence[FaultRule]:
    """The rules of a file: one, or an array of them. Raises `ConfigError` with what is wrong."""
    if path is None:
        return []
    try:
        given = msgspec.json.decode(Path(path).read_bytes())
        return [rule_from_json(raw) for raw in (given if isinstance(given, list) else [given])]
    except OSError as e:
        raise ConfigError([ConfigProblem(Place(path), "", f"cannot be read: {e.strerror}")]) from e
    except msgspec.DecodeError as e:
        raise ConfigError([ConfigProblem(Place(path), "", f"is not JSON: {e}")]) from e
    except BadForm as e:
        raise ConfigError([ConfigProblem(Place(path), "", str(e))]) from e


def _sink(path: str | None, stack: contextlib.ExitStack) -> Callable[[str], None] | None:
    """Write every row of the log to a file, at once: it is complete up to the moment of any crash."""
    if path is None:
        return None
    try:
        file = stack.enter_context(Path(path).open("w", buffering=1, encoding="utf-8"))  # noqa: SIM115  (the stack's)
    except OSError as e:
        raise StorageError(f"cannot write the log {path}: {e.strerror}") from e

    def write(line: str) -> None:
        try:
            file.write(line + "\n")
        except OSError as e:
            raise StorageError(f"cannot write the log {path}: {e.strerror}") from e

    return write
