"""A venue that takes every order and looks at none: what it knows is when each request for `/exchange` was complete."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

LEVERAGE = 3

_arrived_ns: list[int] = []


def serve() -> None:
    """One thread a connection, for ever. Times are of CLOCK_MONOTONIC, which all processes of a machine share."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_talk, args=(connection,), daemon=True).start()


def _talk(connection: socket.socket) -> None:
    buffer = b""
    while True:
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if not (chunk := connection.recv(1 << 16)):
                return
            buffer += chunk
        head = buffer[:end].lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(buffer) < end + 4 + size:
            if not (chunk := connection.recv(1 << 16)):
                return
            buffer += chunk
        now_ns = time.monotonic_ns()
        path, body = head.split(b" ", 2)[1], buffer[end + 4 : end + 4 + size]
        buffer = buffer[end + 4 + size :]
        if path == b"/exchange":
            _arrived_ns.append(now_ns)
        answer = json.dumps(_answer(path, body)).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
        connection.sendall(head + answer)


def _answer(path: bytes, body: bytes) -> object:
    if path == b"/exchange":
        statuses = [{"resting": {"oid": len(_arrived_ns)}}]
        return {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
    if path == b"/arrived":
        return _arrived_ns
    asked: dict[str, Any] = json.loads(body)
    return {
        "user": asked["user"],
        "coin": asked["coin"],
        "leverage": {"type": "cross", "value": LEVERAGE},
        "maxTradeSzs": ["1.0", "1.0"],
        "availableToTrade": ["100.0", "100.0"],
        "markPx": "90000.0",
    }


if __name__ == "__main__":
    serve()
