"""The worker process: `python -m adapters.strategies.worker_main module:function`.

It answers the requests on its standard input one after the other, until that ends: one message a
window, sent as soon as it is known, so that the parent sees at which window it stands still. What
the user's code prints goes to standard error, for standard output carries the answers.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from adapters.strategies.candle_frames import frame_of
from adapters.strategies.user_answer import MAX_ERROR_TEXT, BadAnswer, answer_to_plain, clean_text, read_answer
from adapters.strategies.user_strategy import UserAnalyze, load_user_strategy
from adapters.strategies.worker_protocol import WorkRequest, pack_answer, read_message, unpack_request
from domain.candles import CandleWindow
from ports.strategy import StrategyNotFound


def main(argv: Sequence[str]) -> int:
    requests, answers = _private_pipes()
    try:
        analyze = load_user_strategy(argv[0])
    except StrategyNotFound as error:
        _send(answers, {"not_found": str(error)})
        return 1
    importlib.import_module("pandas")  # every frame needs it; before the greeting, so that no job's deadline pays
    _send(answers, {"ready": True})
    inbox: queue.SimpleQueue[WorkRequest] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True, name="requests").start()
    configs: tuple[bytes, ...] = ()
    while True:
        request = inbox.get()
        configs = configs if request.configs is None else request.configs
        for window, config in zip(request.windows, configs, strict=True):
            answer = _answer(analyze, window, request.btc_bullish, config)
            _send(answers, {"job_no": request.job_no, "symbol": window.symbol, "answer": answer})


def _answer(analyze: UserAnalyze, window: CandleWindow, btc_bullish: bool | None, config: bytes) -> dict[str, Any]:
    """Run the user's function on a frame and a config of its own, so that nothing it changes is seen again.

    A window whose analysis fails has an `error` for an answer.
    """
    try:
        returned = analyze(frame_of(window), window.symbol, btc_bullish, pickle.loads(config))
        answer = read_answer(returned, float(window.close[-1]))
    except BadAnswer as error:
        return {"error": clean_text(str(error), MAX_ERROR_TEXT)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the function is the user's: it may raise anything
        return {"error": clean_text(_described(error), MAX_ERROR_TEXT)}
    return answer_to_plain(answer)


def _described(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if len(frames) > 1 else ""
    return f"analyze raised {type(error).__name__}: {error}{where}"


def _send(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(pack_answer(answer))
    answers.flush()


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[WorkRequest]) -> None:
    """Feed the inbox; when the parent is gone, end the process even out of an endless loop of the user's."""
    while (body := read_message(requests.read)) is not None:
        inbox.put(unpack_request(body))
    os._exit(0)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from standard input and output, which stay usable for the user's code."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
