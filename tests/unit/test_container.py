"""The container wires every row of the mode table; what may not start says so before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from adapters.hyperliquid.dry_gateway import DryGateway
from adapters.hyperliquid.gateway import HyperliquidGateway
from adapters.sim.paper_desk import PaperDesk
from config.load import Configuration, load_configuration
from config.variables import LIVE_CONFIRMATION, MASTER_KEY_CONSENT
from config.yaml_reader import OverridesParser
from domain.candles import Interval
from domain.config_events import ABSENT, OverridesText
from entrypoints.backtest_container import BacktestContainer, BacktestInputs
from entrypoints.container import (
    DaemonContainer,
    DaemonParts,
    refuse_closed,
)
from entrypoints.gates import GateClosed
from entrypoints.strategies import MEI_ALPHA_V1
from entrypoints.venue_connection import connect
from ports.alerts import Alerts
from ports.datasets import CandleSet
from ports.strategy_config import ConfigError
from tests.builders import make_instrument
from tests.engine_builders import window_of
from tests.session_samples import AlertsHeard
from tests.venue_process import venue


@pytest.fixture(scope="module")
def venue_ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with venue(tmp_path_factory.mktemp("venue"), "--symbols", "8") as (_, ready):
        yield ready


def configuration_of(folder: Path, ready: dict[str, Any], **more: str) -> Configuration:
    environ = {
        "AI_QUANT_USER_DIR": str(folder),
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_VENUE_URL": ready["url"],
        "AI_QUANT_SYMBOLS": "ETH,kPEPE",
        **more,
    }
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=0)


def of_the_toy(ready: dict[str, Any]) -> dict[str, str]:
    given = ready["accounts"][0]
    return {
        "AI_QUANT_ACCOUNT_ADDRESS": given["address"],
        "AI_QUANT_AGENT_KEY": given["key"],
        "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
    }


async def build(configuration: Configuration, alerts: Alerts | None = None) -> DaemonContainer:
    container = DaemonContainer(configuration=configuration)
    if alerts is not None:
        container.alerts.override(providers.Object(alerts))
    container.ledger()
    connection = await connect(configuration.settings, (), container.alerts())
    container.connection.override(providers.Object(connection))
    container.check_dependencies()
    return container


async def test_recorder_connection_and_row_have_the_same_alerts(tmp_path: Path, venue_ready: dict[str, Any]) -> None:
    heard = AlertsHeard()
    configuration = configuration_of(tmp_path, venue_ready, AI_QUANT_MODE="paper")
    configuration.settings.sessions_dir.parent.mkdir(parents=True, exist_ok=True)
    configuration.settings.sessions_dir.write_text("a disk that refuses")
    container = await build(configuration, heard)
    container.connection().sentinel.note("here", "{}", "an unknown word")
    parts = container.parts()
    parts.row.alerts.send("from_the_row", "")
    await parts.close()
    await container.connection().close()
    assert sorted(code for code, _ in heard.sent) == ["from_the_row", "recording_stopped", "venue_drifted"]


@pytest.mark.parametrize("mode", ["paper", "dry_live", "live"])
async def test_every_row_builds_and_closes(tmp_path: Path, venue_ready: dict[str, Any], mode: str) -> None:
    more = {} if mode == "paper" else of_the_toy(venue_ready)
    configuration = configuration_of(tmp_path, venue_ready, AI_QUANT_MODE=mode, **more)
    refuse_closed(configuration.settings)
    container = await build(configuration)
    parts: DaemonParts = container.parts()
    assert parts.universe.symbols == ("BTC", "ETH", "kPEPE"), "BTC is always there, in the venue's order"
    kinds = {"paper": PaperDesk, "dry_live": DryGateway, "live": HyperliquidGateway}
    assert type(parts.row.gateway) is kinds[mode]
    await parts.close()
    await container.connection().close()


async def test_dry_live_makes_no_signer(
    tmp_path: Path, venue_ready: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a signer was made")

    monkeypatch.setattr("adapters.hyperliquid.signing.Signer.__init__", refuse)
    monkeypatch.setattr("adapters.hyperliquid.keys.AgentKey.__init__", refuse)
    container = await build(
        configuration_of(tmp_path, venue_ready, AI_QUANT_MODE="dry_live", **of_the_toy(venue_ready))
    )
    await container.parts().close()
    await container.connection().close()


@pytest.mark.parametrize("network", ["mainnet", "testnet"])
@pytest.mark.parametrize("given", [{}, {"AI_QUANT_LIVE_ENABLE": "1"}, {"AI_QUANT_LIVE_CONFIRM": LIVE_CONFIRMATION}])
def test_live_needs_both_switches(tmp_path: Path, network: str, given: dict[str, str]) -> None:
    environ = {"AI_QUANT_MODE": "live", "AI_QUANT_NETWORK": network, "AI_QUANT_USER_DIR": str(tmp_path / "user")}
    configuration = load_configuration({**environ, **given}, root=tmp_path, cwd=tmp_path, seen_ms=0)
    with pytest.raises(GateClosed, match="nothing was sent"):
        refuse_closed(configuration.settings)
    assert not (tmp_path / "user").exists()


BOTH_SWITCHES = {"AI_QUANT_LIVE_ENABLE": "1", "AI_QUANT_LIVE_CONFIRM": LIVE_CONFIRMATION}
RAISED = "global: {trade: {max_open_positions: 3}}\nlive: {trade: {max_notional_usd_per_order: 80}}\n"


@pytest.mark.parametrize("network", ["mainnet", "testnet"])
@pytest.mark.parametrize("mode", ["live", "dry_live"])
def test_real_orders_begin_small_until_the_file_raises_them(tmp_path: Path, mode: str, network: str) -> None:
    environ = {"AI_QUANT_MODE": mode, "AI_QUANT_NETWORK": network, **BOTH_SWITCHES}
    configuration = load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0)
    refuse_closed(configuration.settings)
    trade = configuration.book.for_symbol("BTC").trade
    assert (trade.max_notional_usd_per_order, trade.max_open_positions) == (Decimal(25), 1)
    assert configuration.book.origin(None, "trade.max_open_positions") == "cautious default of live"
    again = configuration.parser.parse(RAISED, "overrides.yaml").for_symbol("BTC").trade
    assert (again.max_notional_usd_per_order, again.max_open_positions) == (Decimal(80), 3)


def test_toy_money_has_the_usual_defaults(tmp_path: Path) -> None:
    environ = {"AI_QUANT_MODE": "live", "AI_QUANT_NETWORK": "local"}
    configuration = load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0)
    assert configuration.book.everyone.trade.max_open_positions == 20


async def test_a_strangers_key_is_refused_in_words(tmp_path: Path, venue_ready: dict[str, Any]) -> None:
    more = {**of_the_toy(venue_ready), "AI_QUANT_AGENT_KEY": "0x" + 64 * "1"}
    configuration = configuration_of(tmp_path, venue_ready, AI_QUANT_MODE="live", **more)
    with pytest.raises(ConfigError) as refused:
        await connect(configuration.settings)
    assert 64 * "1" not in str(refused.value)


def test_the_backtest_row_builds(tmp_path: Path) -> None:
    window = window_of("BTC", 7_200_000, [100.0] * 3, Interval.H1)
    inputs = BacktestInputs(
        candles=CandleSet(Interval.H1, ("BTC",), (window,), ("test",)),
        funding=None,
        instruments=(make_instrument(),),
        parser=OverridesParser(False, None, ()),
        first_look=OverridesText("none", None, ABSENT, 0, 0, 0, 0),
        strategy=MEI_ALPHA_V1,
        strategy_deadline_ms=1_000,
        start_cash_usd=Decimal(1_000),
    )
    container = BacktestContainer(inputs=inputs)
    container.check_dependencies()
    assert container.backtest().run(inputs.candles.batches(container.universe())).bars == 3
