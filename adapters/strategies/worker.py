"""`DataFrameWorker`: runs a user's `analyze` over the jobs of a `DataFrameStrategy`, in a process of its own."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.strategies.plain_config import plain_config
from adapters.strategies.worker_process import WorkerGone, WorkerProcess
from adapters.strategies.worker_protocol import WorkRequest, pack_request, unpack_answer
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, analyses_problem
from domain.strategy_config import StrategyBook
from domain.strategy_job import StrategyJob
from ports.strategy import StrategyFailed, StrategyNotFound

ANALYZE_GATE = "analyze"
"""The last gate row: what the user's function said as a whole. Gates of its own audit stand before it."""


class DataFrameWorker:
    """The `StrategyWorker` of user strategies named `module:function`.

    A function that raises, or returns what cannot be used, costs only its own symbol's
    decision: NEUTRAL, the gate `analyze` failed, all features NaN, and the reason in
    `Analyses.failures`. Overrunning the deadline costs the whole job and the process, and the next
    job starts a new one. The process is also replaced after `recycle_after_jobs` jobs, so
    that what a user's code leaks does not stay for ever.
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
                answers = self._answers(job)
            except StrategyNotFound as error:  # it was there at the start
                raise StrategyFailed(str(error)) from error
            try:
                analyses = analyses_of(job, answers)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise StrategyFailed(f"strategy {self._spec} sent an answer of the wrong shape: {error}") from error
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

    def _answers(self, job: StrategyJob) -> list[dict[str, Any]]:
        process = self._started()
        symbols = [window.symbol for window in job.windows]
        configs = self._configs(job.book, symbols)
        changed = None if configs == self._configs_sent else configs
        request = pack_request(WorkRequest(job.job_no, job.windows, job.btc_bullish, changed))
        try:
            answer = unpack_answer(process.exchange(request, self._deadline_s))
        except WorkerGone as error:
            self._drop()
            raise StrategyFailed(f"strategy {self._spec} failed: {error}") from error
        except ValueError as error:
            self._drop()
            raise StrategyFailed(f"strategy {self._spec} sent an answer that cannot be read") from error
        self._configs_sent = configs
        self._jobs_done += 1
        if self._jobs_done >= self._recycle_after_jobs:
            self._drop()
        answers = answer.get("answers")
        if answer.get("job_no") != job.job_no or not isinstance(answers, list) or len(answers) != len(symbols):
            self._drop()
            raise StrategyFailed(f"strategy {self._spec} answered another question")
        return answers

    def _started(self) -> WorkerProcess:
        self._refuse_when_closed()
        if self._process is not None:
            return self._process
        self._process = process = WorkerProcess(self._spec)
        try:
            greeting = unpack_answer(process.exchange(b"", self._start_deadline_s))
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


def analyses_of(job: StrategyJob, answers: Sequence[dict[str, Any]]) -> Analyses:
    """The worker's answers as columns."""
    count = len(answers)
    audit_gates = sorted({name for answer in answers for name in answer.get("gates", {})} - {ANALYZE_GATE})
    names = (*audit_gates, ANALYZE_GATE)
    values = np.full((len(names), count), np.nan)
    passed = np.ones((len(names), count), dtype=bool)
    signal, confidence = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int8)
    features = np.full((len(FEATURE_INDEX), count), np.nan)
    failures = {}
    for place, answer in enumerate(answers):
        if "error" in answer:
            failures[place] = str(answer["error"])
            passed[-1, place] = False
            continue
        signal[place], confidence[place] = answer["signal"], answer["confidence"]
        features[:, place] = [math.nan if value is None else value for value in answer["features"]]
        for row, name in enumerate(audit_gates):
            if name in answer["gates"]:
                passed[row, place] = values[row, place] = answer["gates"][name]
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
