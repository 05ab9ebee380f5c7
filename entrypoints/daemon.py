"""The trading daemon: `AI_QUANT_MODE=paper|dry_live|live python -m entrypoints.daemon`."""

from __future__ import annotations

from entrypoints.namespace_guard import refuse_foreign_packages

refuse_foreign_packages()

import asyncio  # noqa: E402  (the guard comes before anything of ours)
import contextlib  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402

from dependency_injector import providers  # noqa: E402

from config.load import Configuration  # noqa: E402
from config.overrides_watch import wait_at_start_ms  # noqa: E402
from config.settings import Settings  # noqa: E402
from config.suggestions import unknown_symbols  # noqa: E402
from entrypoints.account_lock import account_held  # noqa: E402
from entrypoints.alerting import last_alerts  # noqa: E402
from entrypoints.candle_weight import refuse_too_heavy  # noqa: E402
from entrypoints.configuration import read_configuration  # noqa: E402
from entrypoints.container import DaemonContainer, DaemonParts, refuse_closed  # noqa: E402
from entrypoints.exit_codes import ExitCode, exit_code_of, message_of  # noqa: E402
from entrypoints.logs import end_in_the_log, set_up_logging  # noqa: E402
from entrypoints.output import say  # noqa: E402
from entrypoints.rehearsal import put_away_last_rehearsal  # noqa: E402
from entrypoints.screen import banner  # noqa: E402
from entrypoints.service_notify import ServiceNotify  # noqa: E402
from entrypoints.start_limit import starts_limited  # noqa: E402
from entrypoints.venue_connection import connect  # noqa: E402
from ports.alerts import Alerts  # noqa: E402

FROM_STORE = "--from-store"
USAGE = """usage: python -m entrypoints.daemon [--from-store]        (or ./run)

Trades until it is stopped (Ctrl-C or SIGTERM). Everything is set by AI_QUANT_* variables, a .env file and
config/strategy_overrides.yaml: see .env.example, and ./aiq show-config for what is in force.

--from-store    start only symbols whose candles are stored (./aiq download-data), and ask the venue for the tail
                alone; as AI_QUANT_FROM_STORE=1"""


def main(arguments: list[str]) -> int:
    """Run the daemon and return its exit code."""
    if arguments not in ([], [FROM_STORE]):
        say(USAGE)
        return ExitCode.DONE if arguments in (["-h"], ["--help"]) else ExitCode.USAGE
    try:
        configuration = _settled_configuration({"AI_QUANT_FROM_STORE": "1"} if arguments else {})
        refuse_closed(configuration.settings)
        set_up_logging(configuration.settings)
        settings = configuration.settings
        with end_in_the_log(), starts_limited(settings, _now_ms), account_held(settings):
            asyncio.run(_trade(configuration))
    except BaseException as error:
        code = exit_code_of(error)
        if code is None:
            raise
        say(message_of(error))
        return code
    return ExitCode.DONE


def _settled_configuration(override: Mapping[str, str]) -> Configuration:
    """The configuration; an overrides file that is just being written is waited for."""
    configuration = read_configuration(override)
    while (wait_ms := wait_at_start_ms(configuration.first, _now_ms())) > 0:
        time.sleep(wait_ms / 1000)
        configuration = read_configuration(override)
    return configuration


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _trade(configuration: Configuration) -> None:
    settings = configuration.settings
    put_away = put_away_last_rehearsal(settings)
    if put_away is not None:
        say(f"a new venue, a new ledger: the last rehearsal's is {put_away}")
    container = DaemonContainer(configuration=configuration)
    alerts = container.alerts()
    try:
        await _trade_with(container, configuration, alerts)
    finally:
        await last_alerts(alerts)


async def _trade_with(container: DaemonContainer, configuration: Configuration, alerts: Alerts) -> None:
    settings = configuration.settings
    ledger = container.ledger()
    try:
        connection = await connect(settings, [position.symbol for position in ledger.load().positions], alerts)
    except BaseException:
        ledger.close()
        raise
    try:
        watched = min(settings.top_n or len(connection.universe), len(connection.universe))
        held_most = configuration.book.everyone.trade.max_open_positions
        refuse_too_heavy(settings, watched, held_most)
        container.connection.override(providers.Object(connection))
        container.check_dependencies()
        await _trade_on(container.parts(), configuration)
    finally:
        await connection.close()


async def _trade_on(parts: DaemonParts, configuration: Configuration) -> None:
    settings = configuration.settings
    service = ServiceNotify.of_this_process(lambda: _status(settings, parts))
    service.recovering()
    try:
        for warning in unknown_symbols(configuration.book, parts.universe.symbols):
            say(f"warning: {warning}")
        print(banner(settings, configuration.first.path, len(parts.universe)), flush=True)
        stop = asyncio.Event()

        def end() -> None:
            service.stopping()
            stop.set()

        _stop_on_signals(stop, end)
        if settings.run_for_s is not None:
            asyncio.get_running_loop().call_later(settings.run_for_s, end)

        def turned() -> None:
            parts.watched.health.turned()
            service.turned()

        async with _scrapes(parts):
            await parts.supervisor.run(stop, turned)
        print(parts.screen.summary(f"./aiq why {parts.universe.symbols[0]}"), flush=True)
    finally:
        service.stopping()
        await parts.close()


def _scrapes(parts: DaemonParts) -> contextlib.AbstractAsyncContextManager[None]:
    """Metrics and health on their port, from before recovery on; nothing where there is no port."""
    port = parts.watched.settings.metrics_port
    if port is None:
        return contextlib.nullcontext()
    from entrypoints.metrics.server import MetricsServer

    return MetricsServer(parts.watched, port).beside()


def _status(settings: Settings, parts: DaemonParts) -> str:
    """One line for the service manager."""
    engine = parts.engine
    held, orders = len(engine.portfolio.positions), len(engine.oms.all_live_orders())
    warming = f", {engine.market.warm_up.awaited} symbols without history yet" if engine.market.warm_up.awaited else ""
    return f"{settings.mode.value} on {settings.network.value}: positions {held}, orders {orders}{warming}"


def _stop_on_signals(stop: asyncio.Event, end: Callable[[], None]) -> None:
    """The first SIGINT or SIGTERM stops cleanly, the second at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            say("stopped at once; the ledger is sound, the next start recovers")
            sys.stderr.flush()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        say(f"{signal.Signals(number).name}: stopping (again: at once)")
        end()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
