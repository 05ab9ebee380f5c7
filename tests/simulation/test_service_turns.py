"""What feeds the watchdog is the engine's loop itself: it turns while idle, and falls silent while it hangs."""

from __future__ import annotations

import asyncio

from tests.engine_builders import BUY
from tests.simulation.test_pipeline import Daemon, candle, run


def test_the_loop_turns_while_nothing_happens_and_not_while_it_hangs() -> None:
    async def test() -> None:
        daemon = Daemon()
        daemon.strategy.script["BTC", candle(1)] = BUY  # something to write down
        turns: list[int] = []
        running = asyncio.create_task(daemon.supervisor.run(daemon.stop, lambda: turns.append(len(daemon.steps))))
        await daemon.until(lambda: bool(turns))
        assert daemon.lists.fills_since_ms >= 0, "the first turn comes after recovery"
        before = len(turns)
        for _ in range(10):
            await asyncio.sleep(0.2)
        assert len(turns) - before >= 5, "a timer's pause between two turns at most"

        await daemon.close_candle(0)  # with it equity is known: nothing more is written before the next one
        await daemon.until(lambda: any(each.open_ms == candle(0) for each in daemon.lists.decisions))
        daemon.ledger.gate.clear()
        daemon.ledger.waiting.clear()
        await daemon.close_candle(1)
        await daemon.until(daemon.ledger.waiting.is_set)
        hanging = len(turns)
        beats = daemon.heartbeats
        for _ in range(50):
            await asyncio.sleep(0.1)
        assert len(turns) == hanging and daemon.heartbeats > beats, "timers go on and the loop does not"
        daemon.ledger.gate.set()
        await daemon.until(lambda: len(turns) > hanging)
        await daemon.end(running)

    run(test)
