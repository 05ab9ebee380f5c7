"""A wired daemon that is looked at: before recovery, with a latch that is shut, and when it cannot be read."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers
from prometheus_client.parser import text_string_to_metric_families

from application.step import Step
from config.load import load_configuration
from config.variables import MASTER_KEY_CONSENT
from domain.positions import Position
from domain.risk import Latch
from entrypoints.container import DaemonContainer, DaemonParts
from entrypoints.metrics.collector import DaemonCollector
from entrypoints.metrics.server import MetricsServer
from entrypoints.venue_connection import connect
from ports.strategy_config import ConfigError
from tests.venue_process import venue


@pytest.fixture(scope="module")
def venue_ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with venue(tmp_path_factory.mktemp("venue"), "--symbols", "4") as (_, ready):
        yield ready


@asynccontextmanager
async def live_daemon(folder: Path, ready: dict[str, Any]) -> AsyncIterator[DaemonParts]:
    given = ready["accounts"][0]
    environ = {
        "AI_QUANT_MODE": "live",
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_USER_DIR": str(folder),
        "AI_QUANT_VENUE_URL": ready["url"],
        "AI_QUANT_ACCOUNT_ADDRESS": given["address"],
        "AI_QUANT_AGENT_KEY": given["key"],
        "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
    }
    configuration = load_configuration(environ, root=folder, cwd=folder, seen_ms=0)
    container = DaemonContainer(configuration=configuration)
    container.ledger()
    connection = await connect(configuration.settings)
    container.connection.override(providers.Object(connection))
    parts: DaemonParts = container.parts()
    try:
        yield parts
    finally:
        await parts.close()
        await connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def health(port: int) -> tuple[int, dict[str, Any]]:
    status, text = await asyncio.to_thread(get, port, "/healthz")
    return status, json.loads(text)


async def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Values by name and values of labels."""
    status, text = await asyncio.to_thread(get, port, "/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


async def test_it_answers_503_until_recovery_is_over_and_200_with_a_latch_that_is_shut(
    tmp_path: Path, venue_ready: dict[str, Any]
) -> None:
    port = free_port()
    async with live_daemon(tmp_path, venue_ready) as parts, MetricsServer(parts.watched, port).beside():
        status, answer = await health(port)
        assert (status, answer["ok"]) == (503, False)
        assert "recovery is not over" in answer["problems"][0]
        assert (await scrape(port))[("aiq_recovered",)] == 0.0

        parts.watched.health.turned()
        parts.engine.guard.shut(Step(1, 1), Latch.HALT, "an operator said so")
        parts.engine.guard.hold_entries("feed", "it says nothing")
        status, answer = await health(port)
        assert (status, answer["ok"], answer["latch"]) == (200, True, "halt")
        assert answer["latch_why"] == "an operator said so"
        assert answer["entries_held_by"].keys() == {"feed", "risk"}

        told = await scrape(port)
        assert told[("aiq_latch", "halt")] == 1.0
        assert told[("aiq_latch", "open")] == 0.0
        assert told[("aiq_entries_held",)] == told[("aiq_entries_held_by", "feed")] == 1.0


async def test_a_scrape_tells_what_stands_in_the_engine_at_that_moment(
    tmp_path: Path, venue_ready: dict[str, Any]
) -> None:
    port = free_port()
    async with live_daemon(tmp_path, venue_ready) as parts, MetricsServer(parts.watched, port).beside():
        told = await scrape(port)
        assert ("aiq_equity_usd",) not in told, "what nobody knows is left out"
        assert ("aiq_address_requests_left",) not in told
        assert not [key for key in told if key[0].startswith("aiq_position_")]

        portfolio, budget = parts.engine.portfolio, parts.row.address_budget
        assert budget is not None
        budget.told(used=40, cap=100)
        portfolio.cash_usd = Decimal("9000.5")
        portfolio.put(Position("ETH", Decimal("-2.5"), Decimal(100)))
        parts.row.alerts.send("risk_tripped", "one")
        parts.row.alerts.send("risk_tripped", "one")
        told = await scrape(port)
        assert told[("aiq_cash_usd",)] == 9000.5
        assert told[("aiq_address_requests_left",)] == 60.0
        assert told[("aiq_alerts_total", "risk_tripped")] == 2.0
        assert told[("aiq_position_size", "ETH")] == -2.5
        assert ("aiq_position_notional_usd", "ETH") not in told, "it has no price yet"
        assert ("aiq_equity_usd",) not in told

        portfolio.put(replace(portfolio.positions["ETH"], size=Decimal(0)))
        assert ("aiq_position_size", "ETH") not in await scrape(port)


async def test_every_metric_stands_in_the_handbook_and_no_other(tmp_path: Path, venue_ready: dict[str, Any]) -> None:
    async with live_daemon(tmp_path, venue_ready) as parts:
        families = DaemonCollector(parts.watched).collect()
        endings = {"counter": "_total", "info": "_info"}
        told = {family.name + endings.get(family.type, "") for family in families}
    handbook = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert set(re.findall(r"`(aiq_[a-z_]+)[`{]", handbook)) == told


async def test_a_metric_that_cannot_be_read_fails_the_scrape_and_nothing_else(
    tmp_path: Path, venue_ready: dict[str, Any]
) -> None:
    port = free_port()
    async with live_daemon(tmp_path, venue_ready) as parts, MetricsServer(parts.watched, port).beside():
        parts.engine.portfolio.cash_usd = Decimal("sNaN")
        status, _ = await asyncio.to_thread(get, port, "/metrics")
        assert status == 500
        parts.watched.health.turned()
        assert (await health(port))[0] == 200


async def test_a_port_that_is_taken_is_a_problem_of_configuration(tmp_path: Path, venue_ready: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        async with live_daemon(tmp_path, venue_ready) as parts:
            with pytest.raises(ConfigError, match=f"AI_QUANT_METRICS_PORT: cannot listen on 127.0.0.1:{port}"):
                async with MetricsServer(parts.watched, port).beside():
                    pass


async def test_whatever_ends_the_daemon_ends_the_server_too(tmp_path: Path, venue_ready: dict[str, Any]) -> None:
    port = free_port()
    async with live_daemon(tmp_path, venue_ready) as parts:

        async def fail() -> None:
            async with MetricsServer(parts.watched, port).beside():
                await health(port)
                raise ValueError("the engine failed")

        with pytest.raises(ExceptionGroup) as raised:
            await fail()
        assert str(raised.value.exceptions[0]) == "the engine failed"
        with pytest.raises(ConnectionRefusedError):
            await health(port)
