"""A venue that only talks: acknowledges subscriptions, then sends their frames as fast as they are taken.

Frames have the venue's shapes and are built beforehand; of each round only the times change. All connections of a
client get their share in turn, so that their mix does not depend on who reads faster.

    python -m benchmarks._frame_server SUBSCRIPTIONS   how many to wait for before the first frame
"""

from __future__ import annotations

import base64
import hashlib
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

PHASES = 10
"""Rounds that differ: a symbol is quoted in `QUOTED` of them, and its candle told in one."""
QUOTED = 3
ACCOUNT_EVERY = 5
"""Rounds of the market to one frame about the account."""
STALLED_S = 10.0
BLOCK_MS = 70
"""The venue's quotes carry the time of their block."""
_MINUTE_MS = 60_000
_NOW, _OPEN, _END = 1_111_111_111_111, 1_111_111_111_112, 1_111_111_111_113
"""Stand-ins in the frames: this block, begin and end of the running candle."""


class _Peer:
    """One connection of the client that is being served."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(STALLED_S)
        self.connection = connection
        self.subscriptions: list[dict[str, Any]] = []
        self.phases: list[bytes] = []
        self._buffer = b""
        self._is_open = False

    @property
    def is_of_account(self) -> bool:
        return "user" in self.subscriptions[0]

    def read(self) -> None:
        """Answer whatever came: the handshake, subscriptions, pings. Raises `OSError` when it is over."""
        chunk = self.connection.recv(1 << 16)
        if not chunk:
            raise ConnectionError("the client is gone")
        self._buffer += chunk
        if not self._is_open:
            head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            self.connection.sendall(_upgraded(head))
            self._is_open = True
        for text in self._texts():
            message = json.loads(text)
            if message["method"] == "subscribe":
                self.subscriptions.append(message["subscription"])
                self.connection.sendall(_ws(_frame("subscriptionResponse", message)))
            else:
                self.connection.sendall(_ws('{"channel":"pong"}'))

    def build(self) -> None:
        """What is sent later, ready but for the times."""
        if self.is_of_account:
            self.phases = [_ws(_frame("orderUpdates", [_update()])), _ws(_frame("userFills", _fills(self._user)))]
            return
        rounds: list[list[str]] = [[] for _ in range(PHASES)]
        for place, each in enumerate(self.subscriptions):
            mine = [(place // 2 + turn) % PHASES for turn in range(0, PHASES, PHASES // QUOTED)][:QUOTED]
            for turn in mine if each["type"] == "bbo" else mine[:1]:
                price = 100 + place + turn / 100
                rounds[turn].append(_quote(each["coin"], price) if each["type"] == "bbo" else _candle(each, price))
        self.phases = [b"".join(map(_ws, texts)) for texts in rounds]

    @property
    def _user(self) -> str:
        return str(self.subscriptions[0]["user"])

    def _texts(self) -> Iterator[bytes]:
        """Whole frames of the client, unmasked. Anything but a text ends the conversation."""
        while len(self._buffer) >= 6:
            opcode, size = self._buffer[0] & 15, self._buffer[1] & 127
            start = 2
            if size == 126:
                size, start = int.from_bytes(self._buffer[2:4]), 4
            end = start + 4 + size
            if len(self._buffer) < end:
                return
            mask, masked = self._buffer[start : start + 4], self._buffer[start + 4 : end]
            self._buffer = self._buffer[end:]
            if opcode != 1:
                raise ConnectionError("the client says goodbye")
            yield bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))


def serve(wanted: int) -> None:
    """One client after another, for ever. A client is done when it ends one of its connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as selector:
        print(json.dumps({"url": f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"}), flush=True)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            peers: list[_Peer] = []
            with suppress(OSError):
                _greet(listener, selector, peers, wanted)
                for peer in peers:
                    peer.build()
                for number in count():
                    _round(peers, number)
                    _hear(selector, 0.0)
            for peer in peers:
                selector.unregister(peer.connection)
                peer.connection.close()


def _greet(listener: socket.socket, selector: selectors.BaseSelector, peers: list[_Peer], wanted: int) -> None:
    while sum(len(peer.subscriptions) for peer in peers) < wanted:
        if _hear(selector, None):
            peers.append(_Peer(listener.accept()[0]))
            selector.register(peers[-1].connection, selectors.EVENT_READ, peers[-1])


def _hear(selector: selectors.BaseSelector, wait_s: float | None) -> bool:
    """Read what has come; True when somebody wants in."""
    somebody = False
    for key, _ in selector.select(wait_s):
        if key.data is None:
            somebody = True
        else:
            key.data.read()
    return somebody


def _round(peers: Sequence[_Peer], number: int) -> None:
    now_ms = time.time_ns() // 1_000_000 // BLOCK_MS * BLOCK_MS
    open_ms = now_ms // _MINUTE_MS * _MINUTE_MS
    for peer in peers:
        if peer.is_of_account and number % ACCOUNT_EVERY:
            continue
        turn = number // ACCOUNT_EVERY if peer.is_of_account else number
        chunk = peer.phases[turn % len(peer.phases)].replace(b"%d" % _NOW, b"%d" % now_ms)
        chunk = chunk.replace(b"%d" % _OPEN, b"%d" % open_ms)
        peer.connection.sendall(chunk.replace(b"%d" % _END, b"%d" % (open_ms + _MINUTE_MS - 1)))


# ── the venue's words ────────────────────────────────────────────────────────────────────────────


def _upgraded(head: bytes) -> bytes:
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    assert b"upgrade" in lines, "a WebSocket is asked for"
    secret = key.split(b": ", 1)[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(secret).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def _ws(text: str) -> bytes:
    payload = text.encode()
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return b"\x81" + size + payload


def _frame(channel: str, data: object) -> str:
    return json.dumps({"channel": channel, "data": data}, separators=(",", ":"))


def _quote(coin: str, price: float) -> str:
    sides = [{"px": f"{price:.2f}", "sz": "10.25", "n": 36}, {"px": f"{price + 0.01:.2f}", "sz": "50.6", "n": 18}]
    return _frame("bbo", {"coin": coin, "time": _NOW, "bbo": sides})


def _candle(subscription: dict[str, Any], price: float) -> str:
    row = {"t": _OPEN, "T": _END, "s": subscription["coin"], "i": subscription["interval"], "o": f"{price:.2f}"}
    prices = {"c": f"{price + 0.02:.2f}", "h": f"{price + 0.05:.2f}", "l": f"{price - 0.05:.2f}"}
    return _frame("candle", {**row, **prices, "v": "14.27847", "n": 114})


def _update() -> dict[str, object]:
    order = {"coin": "BTC", "side": "B", "limitPx": "64020.0", "sz": "1.17163", "oid": 502464968365}
    more = {"timestamp": _NOW, "origSz": "1.5", "cloid": "0xa19c0100020304050607080910111213"}
    return {"order": {**order, **more}, "status": "open", "statusTimestamp": _NOW}


def _fills(user: str) -> dict[str, object]:
    fill = {"coin": "BTC", "px": "64019.0", "sz": "0.001", "side": "B", "time": _NOW, "startPosition": "0.00093"}
    more = {"dir": "Open Long", "closedPnl": "0.0", "hash": "0x" + "5f" * 32, "oid": 502464968365, "crossed": True}
    last = {"fee": "0.028808", "tid": 404237815023429, "feeToken": "USDC", "twapId": None}
    return {"isSnapshot": False, "user": user, "fills": [{**fill, **more, **last}]}


if __name__ == "__main__":
    serve(int(sys.argv[1]))
