"""A running daemon whose watch looks at a real local venue: entries stop when the clocks part, and go on afterwards."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from adapters.clocks import SystemClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.watch import CLOCK, VenueWatch
from domain.events import Event
from domain.gating import first_refusal
from domain.intents import OrderRequest
from tests.engine_builders import BUY, SELL
from tests.simulation.test_pipeline import Daemon, candle
from tests.venue_process import venue

EVERY_S = 0.05


class Told(list[tuple[str, str]]):
    def send(self, code: str, text: str) -> None:
        self.append((code, text))


def control(ready: dict[str, Any], verb: str, path: str, body: object = None) -> Any:
    answer = requests.request(verb, ready["control_url"] + path, json=body, timeout=10)
    assert answer.ok, answer.text
    return answer.json()


def entries_of(daemon: Daemon) -> list[OrderRequest]:
    return [request for request in daemon.gateway.sent if not request.reduce_only]


async def offer(daemon: Daemon, number: int) -> str | None:
    """A signal to buy at the close of this candle; the gate that refused it."""
    daemon.strategy.script[("BTC", candle(number))] = BUY
    before = len(daemon.lists.decisions)
    await daemon.close_candle(number)
    await daemon.until(lambda: len(daemon.lists.decisions) > before)
    refused = first_refusal(daemon.lists.decisions[-1].entry_gates[0])
    return None if refused is None else refused.name


async def test_a_watch_holds_entries_while_the_venues_clock_is_off_and_lets_go_when_it_ends(tmp_path: Path) -> None:
    with venue(tmp_path, "--symbols", "2") as (_, ready):
        clock, told = SystemClock(), Told()
        transport = RequestsTransport(ready["url"])
        info = InfoClient(transport, WeightBudget(clock, 100_000), clock)
        own = ready["accounts"][0]["address"]
        watch = VenueWatch(info, clock, told, signer=own, account=own, every_s=EVERY_S)
        holds: list[Event] = []

        async def noting(put: Any) -> None:
            def note(event: Event) -> None:
                holds.append(event)
                put(event)

            await watch.keep_watch(note)

        daemon = Daemon("BTC", companions={"venue watch": noting})
        async with asyncio.timeout(60):
            running = await daemon.start()
            (rule,) = control(ready, "POST", "/faults", {"fault": "clock_skew", "with": {"ms": 20_000}})["ids"]
            await daemon.until(lambda: len(told) == 1)
            assert "behind the venue's" in told[0][1]
            assert await offer(daemon, 0) == "entries_held"
            assert entries_of(daemon) == []

            control(ready, "DELETE", f"/faults/{rule}")
            await daemon.until(lambda: len(told) == 2)
            assert await offer(daemon, 1) is None
            await daemon.until(lambda: bool(entries_of(daemon)))
            daemon.fill(entries_of(daemon)[0], tid=1)
            await daemon.until(lambda: daemon.engine.portfolio.position("BTC").size > Decimal(0))

            control(ready, "POST", "/faults", {"fault": "clock_skew", "with": {"ms": -20_000}})
            await daemon.until(lambda: len(told) == 3)
            assert "ahead of the venue's" in told[2][1]
            before = len(daemon.gateway.sent)
            daemon.strategy.script[("BTC", candle(2))] = SELL
            await daemon.close_candle(2)
            await daemon.until(lambda: len(daemon.gateway.sent) > before)
            assert len(entries_of(daemon)) == 1, "exits go on, entries do not"
            await daemon.end(running)
        await transport.close()
    assert [code for code, _ in told] == [CLOCK] * 3
    assert len(holds) == 3, "on, off, on: no event a look"
