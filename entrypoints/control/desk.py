"""The operator's side of a daemon, put together: its socket, its kill file, and what is asked before it begins."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Mapping

from adapters.hyperliquid.budget import WeightBudget
from application.engine import UnifiedEngine
from application.inbox import Inbox
from application.recorder import Recorder
from application.strategy_manager import StrategyManager
from application.supervisor import Companion
from config.load import Configuration
from config.overrides_watch import OverridesWatch
from config.settings import Settings
from domain.operator import OperatorVerb
from entrypoints.control.answers import OperatorAnswers
from entrypoints.control.first_requests import first_requests
from entrypoints.control.kill_file import KillFileWatch
from entrypoints.control.server import ControlServer
from entrypoints.paths import socket_path
from entrypoints.screen import Screen
from entrypoints.status import DaemonStatus, Life
from ports.clock import Clock
from ports.session_log import SessionLog

JUDGED_WITHIN_S = 5.0
"""A file that lies still is judged within two seconds; one that does not is not waited for."""

LOOK_AGAIN_S = 0.1


def kill_file_of(settings: Settings) -> KillFileWatch:
    return KillFileWatch(settings.kill_switch_file, lambda: uuid.uuid4().hex)


def inbox_of(settings: Settings, recorder: Recorder, kill_file: KillFileWatch) -> Inbox:
    """An inbox in which the first requests wait already: the operator's lane is taken before the market's."""
    inbox = Inbox(recorder.dropped)
    for request in first_requests(settings, kill_file, lambda: uuid.uuid4().hex):
        inbox.put(request)
    return inbox


def control_companions(
    configuration: Configuration,
    engine: UnifiedEngine,
    inbox: Inbox,
    screen: Screen,
    budget: WeightBudget,
    clock: Clock,
    session: str,
    record: SessionLog,
    answers: OperatorAnswers,
    kill_file: KillFileWatch,
) -> Mapping[str, Companion]:
    """The tasks that hear the operator while a daemon runs."""
    settings = configuration.settings
    life = Life(session, record, os.getpid(), time.time_ns() // 1_000_000, clock.monotonic_ms())
    status = DaemonStatus(settings, engine, inbox, lambda: screen.decided_ms, budget, clock, life)

    async def overrides_judged() -> str:
        return await _judged(configuration.watch, engine.manager, clock)

    server = ControlServer(
        socket_path(settings.db_path),
        answers,
        status.snapshot,
        lambda verb: _refusal(verb, kill_file),
        overrides_judged,
    )
    return {"control": server.keep, "kill file": kill_file.keep}


def _refusal(verb: OperatorVerb, kill_file: KillFileWatch) -> str:
    if verb is OperatorVerb.KILL_CLEAR and kill_file.is_there:
        return f"{kill_file.path}: the kill file is still there, and would shut the latch at the next start: remove it"
    return ""


async def _judged(watch: OverridesWatch, manager: StrategyManager, clock: Clock) -> str:
    """Wait until the overrides file as it is has been judged, by whoever polls it; here is only looked.

    Empty where it is in force, else why it is not.
    """
    began_ms = clock.monotonic_ms()
    while (problems := manager.verdict_on(found := watch.look(clock.monotonic_ms()))) is None:
        if clock.monotonic_ms() - began_ms > JUDGED_WITHIN_S * 1000:
            return (
                f"{found.path} has not lain still for a second: the last good version stays in force; what is there "
                "is judged as soon as nobody writes it any more"
            )
        await asyncio.sleep(LOOK_AGAIN_S)
    if not problems:
        return ""
    return f"{found.path} is refused, the last good version stays in force: " + "; ".join(map(str, problems))
