"""A client of `websockets` that subscribes as the daemon does, counts frames and looks at none: `watchlist`'s baseline.

    python -m benchmarks._bare_watcher URL SYMBOLS USER BBO

SYMBOLS are comma-separated, USER may be empty, BBO is 1 or 0. Says in one JSON line when everything was asked for;
runs until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from websockets.asyncio.client import ClientConnection, connect

from adapters.hyperliquid.feed import FeedSettings
from adapters.hyperliquid.subscriptions import Subscription, account_subscriptions, market_subscriptions, spread
from domain.candles import Interval

PING_S = 20.0
"""A connection over which nothing is sent is dropped; an account's streams may be silent for long."""


async def watch(url: str, parts: Sequence[Sequence[Subscription]]) -> None:
    async with AsyncExitStack() as closing:
        tasks = []
        for part in parts:
            connection = await connect(url, compression=None, ping_interval=None, close_timeout=0.1, proxy=None)
            closing.push_async_callback(connection.close)
            tasks += [asyncio.create_task(_count(connection)), asyncio.create_task(_ping(connection))]
            for each in part:
                await connection.send(json.dumps({"method": "subscribe", "subscription": each.request}))
        print(json.dumps({"pid": os.getpid()}), flush=True)
        await asyncio.gather(*tasks)


async def _count(connection: ClientConnection) -> int:
    frames = 0
    async for _ in connection:
        frames += 1
    return frames


async def _ping(connection: ClientConnection) -> None:
    while True:
        await asyncio.sleep(PING_S)
        await connection.send('{"method":"ping"}')


def main(arguments: Sequence[str]) -> None:
    url, symbols, user, bbo = arguments
    account = account_subscriptions(user) if user else []
    market = market_subscriptions(symbols.split(","), Interval.M1, bbo=bbo == "1", candle=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark, which ends us
    asyncio.run(watch(url, spread(account, market, FeedSettings().subscriptions_per_socket)))


if __name__ == "__main__":
    main(sys.argv[1:])
