"""`DataFrameWorker`: runs a user's `analyze` over the jobs of a `DataFrameStrategy`, in a process of its own."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from adapters.strategies.plain_config import plain_config
from adapters.strategies.user_answer import BadAnswer, UserAnswer, answer_of_plain
from adapters.strategies.worker_process import WorkerGone, WorkerProcess
from adapters.strategies.worker_protocol import WorkRequest, pack_request, unpack_answer
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, analyses_problem
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob
from ports.strategy import StrategyFailed, StrategyNotFound

ANALYZE_GATE = "analyze"
"""The last gate row: what the user's function said as a whole. Gates of its own audit stand before it."""

MOST_AUDIT_GATES = 100
"""Names of gates in one answer; the others are left out. Rows of a batch are counted in 8 bits."""

MOST_LOSSES = 4
"""Processes that one batch may use up: each start costs the others a second."""

SUSPECT_SHARE = 0.1
"""Of a batch's deadline: what a symbol gets that did not come to an end the last time."""


class DataFrameWorker:
    """The `StrategyWorker` of user strategies named `module:function`.

    A function that raises, returns what cannot be used, does not come to an end or takes its
    process with it costs only its own symbol's decision: NEUTRAL, the gate `analyze` failed, all
    features NaN, and the reason in `Analyses.failures`. The process is then started anew for the
    symbols that still wait, as long as `deadline_s` of the whole batch lasts. It is also replaced
    after `recycle_after_jobs` jobs, so that what a user's code leaks does not stay for ever.
    """

    def __init__(
        self, spec: str, *, deadline_s: float = 30.0, start_deadline_s: float = 60.0, recycle_after_jobs: int = 10_000
    ) -> None:
        self._spec = spec
        self._deadline_s = deadline_s
        self._start_deadline_s = start_deadline_s
        self._recycle_after_jobs = recycle_after_jobs
        self._turn = threading.Lock()
        self._process: WorkerProcess | None = None
        self._jobs_done = 0
        self._configs_sent: tuple[bytes, ...] | None = None
        self._pickled: dict[str, bytes] = {}
        self._digest = ""
        self._suspects: set[str] = set()
        self._closed = False

    def start(self) -> None:
        """Start the process and load the strategy. Raises StrategyNotFound or StrategyFailed. Idempotent."""
        with self._turn:
            self._started()

    async def run(self, job: StrategyJob) -> Analyses:
        """Analyse one batch. Cancelling the await does not stop the job: it ends by its deadline."""
        return await asyncio.to_thread(self.run_sync, job)

    def run_sync(self, job: StrategyJob) -> Analyses:
        """`run`, blocking: for the backtest, which waits for every answer. Raises StrategyFailed."""
        with self._turn:
            try:
                self._started()
            except StrategyNotFound as error:  # it was there at the start
                raise StrategyFailed(str(error)) from error
            answers = self._answers(job)
            self._refuse_when_closed()
        analyses = analyses_of(job, answers)
        problem = analyses_problem(analyses)
        if problem is not None:
            raise StrategyFailed(f"strategy {self._spec}: {problem}")
        return analyses

    async def close(self) -> None:
        """End the process. Idempotent; a job that runs meanwhile fails."""
        self.close_sync()

    def close_sync(self) -> None:
        self._closed = True
        process = self._process
        if process is not None:
            process.stop()

    def _answers(self, job: StrategyJob) -> list[UserAnswer | str]:
        """An answer a window, or why there is none. Who did not come to an end lately is asked last."""
        end_s = time.monotonic() + self._deadline_s
        places = range(len(job.windows))
        waiting = deque(sorted(places, key=lambda place: job.windows[place].symbol in self._suspects))
        answers: dict[int, UserAnswer | str] = {}
        problem = f"the strategy's process was lost {MOST_LOSSES} times over this batch"
        for _ in range(MOST_LOSSES):
            try:
                process = self._started(end_s)
            except (StrategyFailed, StrategyNotFound) as error:
                problem = str(error)
                break
            self._ask(process, job, waiting, answers, end_s)
            if not waiting:
                break
            if time.monotonic() >= end_s:
                problem = f"the batch's deadline of {self._deadline_s:g} s had passed before its turn came"
                break
        answers |= dict.fromkeys(waiting, problem)
        self._jobs_done += 1
        if self._jobs_done >= self._recycle_after_jobs:
            self._drop()
        return [answers[place] for place in range(len(job.windows))]

    def _ask(
        self,
        process: WorkerProcess,
        job: StrategyJob,
        waiting: deque[int],
        answers: dict[int, UserAnswer | str],
        end_s: float,
    ) -> None:
        """Have the process answer for who waits, one after the other, until it fails at one: that is an answer too."""
        windows = tuple(job.windows[place] for place in waiting)
        configs = self._configs(job.book, [window.symbol for window in windows])
        changed = None if configs == self._configs_sent else configs
        message = pack_request(WorkRequest(job.job_no, windows, job.btc_bullish, changed))
        for window in windows:
            place, is_last = waiting[0], len(waiting) == 1
            try:
                said = unpack_answer(process.exchange(message, self._allowed_s(window.symbol, end_s, is_last=is_last)))
                if said.get("job_no") != job.job_no or said.get("symbol") != window.symbol:
                    raise BadAnswer("it answered another question")
                answers[place] = answer_of_plain(said.get("answer"), float(window.close[-1]))
            except (WorkerGone, BadAnswer, ValueError) as error:
                answers[place] = str(error)
                waiting.popleft()
                self._suspects.add(window.symbol)
                self._drop()
                return
            waiting.popleft()
            self._suspects.discard(window.symbol)
            message = b""
        self._configs_sent = configs

    def _allowed_s(self, symbol: str, end_s: float, *, is_last: bool) -> float:
        """How long one symbol may take: half of what is left while others wait for it, so that they get theirs."""
        left_s = max(end_s - time.monotonic(), 0.0)
        if symbol in self._suspects:
            return min(left_s, self._deadline_s * SUSPECT_SHARE)
        return left_s if is_last else left_s / 2

    def _started(self, end_s: float = math.inf) -> WorkerProcess:
        """The process, with the strategy loaded; a new one has until `end_s` to say so."""
        self._refuse_when_closed()
        if self._process is not None:
            return self._process
        self._process = process = WorkerProcess(self._spec)
        try:
            greeting = unpack_answer(process.exchange(b"", min(self._start_deadline_s, end_s - time.monotonic())))
        except (WorkerGone, ValueError) as error:
            self._drop()
            raise StrategyFailed(f"strategy {self._spec} did not start: {error}") from error
        self._refuse_when_closed()
        if "not_found" in greeting:
            self._drop()
            raise StrategyNotFound(str(greeting["not_found"]))
        return process

    def _refuse_when_closed(self) -> None:
        if self._closed:
            self._drop()
            raise StrategyFailed(f"strategy {self._spec}: its worker was closed")

    def _drop(self) -> None:
        """Stop the process; the next job starts another."""
        if self._process is not None:
            self._process.stop()
        self._process = None
        self._jobs_done = 0
        self._configs_sent = None

    def _configs(self, book: StrategyBook, symbols: Sequence[str]) -> tuple[bytes, ...]:
        """A pickled plain config per symbol; made once per config, because it is large and rarely changes."""
        if book.digest != self._digest:
            self._pickled, self._digest = {}, book.digest
        for symbol in symbols:
            if symbol not in self._pickled:
                self._pickled[symbol] = pickle.dumps(plain_config(book.for_symbol(symbol)))
        return tuple(self._pickled[symbol] for symbol in symbols)


def analyses_of(job: StrategyJob, answers: Sequence[UserAnswer | str]) -> Analyses:
    """The answers as columns; a text says why there is none."""
    count = len(answers)
    found = [answer for answer in answers if isinstance(answer, UserAnswer)]
    every_name = dict.fromkeys(name for answer in found for name in answer.gates if name != ANALYZE_GATE)
    audit_gates = sorted(list(every_name)[:MOST_AUDIT_GATES])
    names = (*audit_gates, ANALYZE_GATE)
    values = np.full((len(names), count), np.nan)
    passed = np.ones((len(names), count), dtype=bool)
    signal, confidence = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int8)
    features = np.full((len(FEATURE_INDEX), count), np.nan)
    failures = {}
    for place, answer in enumerate(answers):
        if isinstance(answer, str):
            failures[place] = answer
            passed[-1, place] = False
            continue
        signal[place], confidence[place] = answer.signal, answer.confidence
        features[:, place] = answer.features
        for row, name in enumerate(audit_gates):
            if name in answer.gates:
                passed[row, place] = values[row, place] = answer.gates[name]
        values[-1, place] = signal[place]
        passed[-1, place] = signal[place] != 0
    first_no = np.where(signal != 0, NO_GATE, passed.argmin(axis=0)).astype(np.int8)
    return Analyses(
        ids=job.batch.ids,
        signal=signal,
        confidence=confidence,
        first_no=first_no,
        features=features,
        gate_names=names,
        gate_values=values,
        gate_thresholds=np.full(values.shape, np.nan),
        gate_passed=passed,
        failures=failures,
    )
