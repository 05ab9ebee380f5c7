"""The local venue over loopback: orders and frames a second, beside its own server around a core that does nothing.

The venue runs in a process of its own. The clients are bare sockets with requests signed beforehand and frames that
are counted, not read: what is measured is the venue. A client that uses `requests` adds its own cost to every call;
how much is in `orders_per_s_requests`. Rates are those of the best of several rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from decimal import Decimal
from itertools import count
from typing import Any

import requests
from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action  # type: ignore[import-untyped]

from benchmarks._runs import Figures, main
from benchmarks._venue_clients import FrameCounter, HttpConnection, http_request, process

ROUNDS = 6
ORDERS = 250
"""A round; after it all are canceled, off the clock. The real venue allows 1,000 open orders."""
BATCH_CONNECTIONS = 8
BATCHES = 2
BATCH_SIZE = 40
SYMBOLS = 200
SETTLE_S = 2.0
WINDOWS = 4
WINDOW_S = 1.5
SCALE = 2_000
"""Much faster than the venue can follow: it delivers as fast as it can."""
CHANNELS = ("bbo", "trades", "candle")
RESTING_AT = Decimal("0.8")
"""Of the mid price: the orders rest, none is executed."""
VENUE = ("-m", "entrypoints.cli", "venue", "--json", "--no-limits", "--balance", "100000000")
BARE = ("-m", "benchmarks._constant_venue")


def run() -> Figures:
    figures: Figures = {}
    _orders(figures)
    _batches(figures)
    frame_bytes = _frames(figures)
    _bare(figures, frame_bytes)
    for name in ("orders_per_s", "frames_per_s"):
        figures[f"{name}_ratio_to_bare"] = round(figures[name] / figures[f"{name}_bare"], 4)
    return figures


class _Signer:
    """Orders of the first toy account, each its own signed action."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._wallet = Account.from_key(ready["accounts"][0]["key"])
        self._nonces = count(int(time.time() * 1000))
        mids = requests.post(ready["url"] + "/info", json={"type": "allMids"}, timeout=10).json()
        self._price = str(int(Decimal(mids["BTC"]) * RESTING_AT))

    def body(self, size: int) -> bytes:
        """A request that places so many bids for BTC."""
        order = {"a": 0, "b": True, "p": self._price, "s": "0.001", "r": False, "t": {"limit": {"tif": "Gtc"}}}
        action = {"type": "order", "orders": [order] * size, "grouping": "na"}
        nonce = next(self._nonces)
        signature = sign_l1_action(self._wallet, action, None, nonce, None, False)
        signed = {"action": action, "nonce": nonce, "signature": signature, "vaultAddress": None, "expiresAfter": None}
        return json.dumps(signed).encode()

    def requests(self, number: int, size: int = 1) -> list[bytes]:
        return [http_request("/exchange", self.body(size)) for _ in range(number)]


def _orders(figures: Figures) -> None:
    """One order at a time, each executed at once: no block to wait for."""
    with process(*VENUE, "--block", "0") as ready:
        signer = _Signer(ready)
        connection = HttpConnection(ready["url"])
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(_exchanged(connection, signer.requests(ORDERS)))
            _cancel_all(ready)
        connection.close()
        waits = [wait for each in rounds for wait in each]
        figures["orders_per_s"] = round(ORDERS / min(map(sum, rounds)))
        figures["order_p50_ms"] = round(statistics.median(waits) * 1000, 3)
        figures["order_p99_ms"] = round(sorted(waits)[int(len(waits) * 0.99)] * 1000, 3)
        rounds_s = []
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Content-Type"] = "application/json"
            for _ in range(ROUNDS // 2):
                bodies = [signer.body(1) for _ in range(ORDERS)]
                started = time.perf_counter()
                for body in bodies:
                    session.post(ready["url"] + "/exchange", data=body, timeout=10)
                rounds_s.append(time.perf_counter() - started)
                _cancel_all(ready)
        figures["orders_per_s_requests"] = round(ORDERS / min(rounds_s))


def _exchanged(connection: HttpConnection, presigned: list[bytes]) -> list[float]:
    """Seconds of each request, one after the other. Every order must rest."""
    answers, waits = [], []
    for request in presigned:
        sent = time.perf_counter()
        answers.append(connection.exchange(request))
        waits.append(time.perf_counter() - sent)
    for answer in answers:
        assert answer.count(b'"resting"') == 1, answer[:300]
    return waits


def _batches(figures: Figures) -> None:
    """Many orders to an action, several actions to a block, a block every 70 ms as on the real venue."""
    with process(*VENUE) as ready:
        signer = _Signer(ready)
        connections = [HttpConnection(ready["url"]) for _ in range(BATCH_CONNECTIONS)]
        rounds = []
        for _ in range(ROUNDS):
            presigned = [signer.requests(BATCH_CONNECTIONS, BATCH_SIZE) for _ in range(BATCHES)]
            started = time.perf_counter()
            for batch in presigned:
                for connection, request in zip(connections, batch, strict=True):
                    connection.send(request)
                for connection in connections:
                    answer = connection.receive()
                    assert answer.count(b'"resting"') == BATCH_SIZE, answer[:300]
            rounds.append(time.perf_counter() - started)
            _cancel_all(ready)
        for connection in connections:
            connection.close()
        figures["batched_orders_per_s"] = round(BATCHES * BATCH_CONNECTIONS * BATCH_SIZE / min(rounds))


def _cancel_all(ready: dict[str, Any]) -> None:
    user = ready["accounts"][0]["address"]
    requests.post(ready["control_url"] + "/operator/cancel_all", json={"user": user}, timeout=60).raise_for_status()


def _frames(figures: Figures) -> int:
    """All market data of many symbols to one socket, time running as fast as it can; the mean frame's size."""
    with process(*VENUE, "--symbols", str(SYMBOLS), "--scale", str(SCALE)) as ready:
        socket = FrameCounter(ready["url"])
        started_ms = _venue_ms(ready)
        started = time.perf_counter()
        for channel in CHANNELS:
            more = {"interval": "1m"} if channel == "candle" else {}
            subscriptions = [{"type": channel, "coin": coin} | more for coin in ready["symbols"]]
            socket.send([json.dumps({"method": "subscribe", "subscription": each}) for each in subscriptions])
        socket.count(SETTLE_S)
        socket.payload_bytes = 0
        counted = [socket.count(WINDOW_S) for _ in range(WINDOWS)]
        figures["frames_per_s"] = round(max(counted) / WINDOW_S)
        figures["frame_bytes"] = round(socket.payload_bytes / max(1, sum(counted)))
        socket.close()
        passed_ms = _venue_ms(ready) - started_ms
        figures["venue_s_per_s"] = round(passed_ms / 1000 / (time.perf_counter() - started), 1)
    return int(figures["frame_bytes"])


def _venue_ms(ready: dict[str, Any]) -> int:
    return int(requests.get(ready["control_url"] + "/state", timeout=60).json()["time"])


def _bare(figures: Figures, frame_bytes: int) -> None:
    """The same server and the same clients: a constant answer, constant frames of the same size."""
    with process(*BARE) as ready:
        connection = HttpConnection(ready["url"])
        request = http_request("/exchange", bytes(400))
        rounds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _ in range(ORDERS):
                connection.exchange(request)
            rounds.append(time.perf_counter() - started)
        connection.close()
        figures["orders_per_s_bare"] = round(ORDERS / min(rounds))
        socket = FrameCounter(ready["url"])
        figures["frames_per_s_bare"] = max(_pulled(socket, frame_bytes) for _ in range(WINDOWS))
        socket.close()


def _pulled(socket: FrameCounter, frame_bytes: int, batch: int = 1_000, ahead: int = 3) -> int:
    """Frames a second while so many batches are always asked for ahead."""
    asked = got = 0
    started = time.perf_counter()
    while time.perf_counter() - started < WINDOW_S / 3:
        while asked - got < ahead * batch:
            socket.send([f"{batch} {frame_bytes}"])
            asked += batch
        got += socket.read()
    while got < asked:
        got += socket.read()
    return round(got / (time.perf_counter() - started))


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
