"""Clients of a local venue that cost next to nothing: bare sockets, requests built before the clock starts."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ROOT = Path(__file__).resolve().parents[1]
_START_S = 60.0
_CHUNK = 1 << 20


@contextmanager
def process(*arguments: str) -> Iterator[dict[str, Any]]:
    """A Python process of its own that says where it listens in one JSON line; ended by SIGTERM."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, f"the process ended:\n{running.communicate(timeout=_START_S)[1]}"
        yield json.loads(line)
    finally:
        running.terminate()
        running.communicate(timeout=_START_S)


def http_request(path: str, body: bytes) -> bytes:
    """The bytes of one POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class HttpConnection:
    """One keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._socket = _connected(url)
        self._buffer = b""

    def exchange(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer."""
        self.send(request)
        return self.receive()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> bytes:
        """The body of the next answer; anything but a 200 is an error."""
        buffer = self._buffer
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            buffer += self._read()
        head = buffer[:end].lower()
        assert head.startswith(b"http/1.1 200"), buffer[:300]
        start = head.index(b"content-length:") + 15
        size = int(head[start:].split(b"\r\n", 1)[0])
        while len(buffer) < end + 4 + size:
            buffer += self._read()
        self._buffer = buffer[end + 4 + size :]
        return buffer[end + 4 : end + 4 + size]

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> bytes:
        chunk = self._socket.recv(_CHUNK)
        assert chunk, "the venue closed the connection"
        return chunk


class FrameCounter:
    """One WebSocket whose frames are walked by their heads and not read."""

    def __init__(self, url: str) -> None:
        self._socket = _connected(url)
        key = base64.b64encode(bytes(16)).decode()
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._socket.recv(1)
        assert b" 101 " in head, head
        self._rest = b""
        self.payload_bytes = 0

    def send(self, texts: Sequence[str]) -> None:
        """Masked with zeros: the payload stands as it is."""
        frames = []
        for text in texts:
            payload = text.encode()
            size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
            frames.append(b"\x81" + size + bytes(4) + payload)
        self._socket.sendall(b"".join(frames))

    def count(self, seconds: float) -> int:
        """Frames that are complete after so many seconds."""
        total = 0
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            total += self.read()
        return total

    def read(self) -> int:
        """Wait for the next bytes; the frames that they complete."""
        chunk = self._socket.recv(_CHUNK)
        assert chunk, "the venue closed the socket"
        data = self._rest + chunk
        at = count = 0
        end = len(data)
        while at + 10 <= end or (at + 2 <= end and data[at + 1] < 126) or (at + 4 <= end and data[at + 1] == 126):
            size, head = data[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[at + 2 : at + 4]), 4
            elif size == 127:
                size, head = int.from_bytes(data[at + 2 : at + 10]), 10
            if at + head + size > end:
                break
            at += head + size
            count += 1
            self.payload_bytes += size
        self._rest = data[at:]
        return count

    def close(self) -> None:
        self._socket.close()


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connected = socket.create_connection((parts.hostname, parts.port or 80), timeout=_START_S)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected
