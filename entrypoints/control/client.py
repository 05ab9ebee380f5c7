"""Asking a running daemon: one connection, one request, one answer."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from adapters.sqlite.writer_lock import writer_of
from entrypoints.control.failures import NoAnswer, NotRunning
from entrypoints.control.private_socket import connected, peer_uid
from entrypoints.control.protocol import Answer, BadRequest, Request, answer_from, to_line

PATIENCE_S = 15.0
"""More than the daemon gives its engine: its own word comes first."""


def new_request(verb: str, symbol: str | None = None, reason: str = "") -> Request:
    """A request that nobody has made before."""
    return Request(uuid.uuid4().hex, verb, symbol, reason)


def ask(path: Path, ledger: Path, request: Request, patience_s: float = PATIENCE_S) -> Answer:
    """The answer of the daemon that listens at `path` and writes `ledger`. Raises `NotRunning` and `NoAnswer`."""
    try:
        with connected(path, patience_s) as line:
            if peer_uid(line) != os.geteuid():
                raise NoAnswer(f"{path}: another user's process listens here; nothing was said to it")
            line.sendall(to_line(request))
            with line.makefile("rb") as answers:
                answer = answer_from(answers.readline())
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NotRunning(_not_running(path, ledger)) from error
    except (OSError, BadRequest) as error:
        raise NoAnswer(
            f"{path}: the daemon has not answered ({error}); what was asked for may be done yet: "
            "look at `./aiq status` and its log"
        ) from error
    return answer


def _not_running(path: Path, ledger: Path) -> str:
    """What is known of the daemon that does not listen."""
    holder = writer_of(ledger)
    if holder is not None:
        return (
            f"{ledger}: process {holder} holds this ledger and does not listen at {path} yet: it is starting "
            "(asking the venue what happened) or stopping. Try again in a moment."
        )
    return (
        f"no daemon runs on {ledger}. Start it with ./run; of another one name its ledger with --db, or set the "
        "AI_QUANT_MODE, AI_QUANT_NETWORK and account that it was started with."
    )
