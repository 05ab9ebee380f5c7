"""What the strategy worker and its parent say to each other over a pipe.

A message is its length (8 bytes, big-endian) and its body. To the worker go pickles, because
it trusts its parent; from the worker comes JSON, because what runs there is not ours and a
pickle from it could run anything here.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.candles import CandleWindow

HEADER = struct.Struct(">Q")
MAX_MESSAGE = 1 << 30


@dataclass(frozen=True, slots=True)
class WorkRequest:
    """One job. `configs` holds a pickled plain config per window, or is None when they did not change."""

    job_no: int
    windows: tuple[CandleWindow, ...]
    btc_bullish: bool | None
    configs: tuple[bytes, ...] | None


def pack_request(request: WorkRequest) -> bytes:
    return _framed(pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL))


def unpack_request(body: bytes) -> WorkRequest:
    request = pickle.loads(body)
    assert isinstance(request, WorkRequest), "the parent sends work requests only"
    return request


def pack_answer(answer: dict[str, Any]) -> bytes:
    return _framed(json.dumps(answer).encode())


def unpack_answer(body: bytes) -> dict[str, Any]:
    """The answer of the worker; ValueError when it is none."""
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("an answer is an object")
    return answer


def read_message(read: Callable[[int], bytes]) -> bytes | None:
    """The next body from a blocking reader that returns all that was asked for; None at its end."""
    header = read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    body = read(length)
    return body if len(body) == length else None


def _framed(body: bytes) -> bytes:
    return HEADER.pack(len(body)) + body
