"""The control socket, on real sockets: whoever may speak is answered, and nobody costs anybody else anything."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.sqlite.writer_lock import WriterLock
from domain.events import Event, OperatorSpoke
from domain.operator import OperatorVerb
from entrypoints.control.answers import REMEMBERED, OperatorAnswers
from entrypoints.control.client import ask, new_request
from entrypoints.control.failures import NoAnswer, NotRunning
from entrypoints.control.protocol import LINE_LIMIT, Request, to_line
from entrypoints.control.server import MOST_CLIENTS, ControlServer, Patience
from ports.ledger import LedgerHeld, StorageError

USUAL = Patience()
SHORT = Patience(read_s=0.2, write_s=0.2, engine_s=0.2)


@dataclass
class Engine:
    """Stands in for the inbox and the engine behind it: notes what is put, and answers where it is told to."""

    answers: OperatorAnswers
    says: str | None = "so be it"
    is_done: bool = True
    heard: list[OperatorSpoke] = field(default_factory=list)

    def put(self, event: Event) -> None:
        assert isinstance(event, OperatorSpoke)
        self.heard.append(event)
        if self.says is not None:
            self.answers.answer(event.request_id, self.says, is_done=self.is_done)


@dataclass
class Rig:
    path: Path
    engine: Engine
    server: ControlServer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  (the other side of a socket has no event to wait for)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    path: Path,
    *,
    patience: Patience = USUAL,
    says: str | None = "so be it",
    is_done: bool = True,
    status: Callable[[], dict[str, Any]] = lambda: {"mode": "paper"},
    refusal: Callable[[OperatorVerb], str] = lambda _: "",
) -> AsyncIterator[Rig]:
    answers = OperatorAnswers()
    engine = Engine(answers, says, is_done)
    server = ControlServer(path, answers, status, refusal, patience=patience)
    task = asyncio.get_running_loop().create_task(server.keep(engine.put))
    try:
        await until(lambda: path.exists() or task.done())
        if task.done():
            await task
        yield Rig(path, engine, server)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, line: bytes) -> dict[str, Any]:
        """Send this, and read one answer."""
        self.writer.write(line)
        return await self.hears()

    async def hears(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            answer: dict[str, Any] = msgspec.json.decode(await self.reader.readline())
        return answer

    async def is_cut_off(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def asked(path: Path, request: Request) -> dict[str, Any]:
    async with client(path) as one:
        return await one.says(to_line(request))


# ── requests and answers ─────────────────────────────────────────────────────────────────────


async def test_a_request_becomes_an_event_and_gets_the_engines_answer(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says="closing BTC") as rig:
        request = new_request("force-exit", "BTC", "news")
        assert await asked(rig.path, request) == {"is_done": True, "text": "closing BTC"}
        heard = [OperatorSpoke(request.request_id, OperatorVerb.FORCE_EXIT, "BTC", "cli", "news")]
        assert rig.engine.heard == heard


async def test_an_engine_that_would_not_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says="no position in BTC", is_done=False) as rig:
        assert await asked(rig.path, new_request("flatten", "BTC")) == {"text": "no position in BTC"}


async def test_a_client_may_ask_again_and_again(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig, client(rig.path) as one:
        for verb in ("pause", "resume", "kill soft"):
            assert (await one.says(to_line(new_request(verb))))["is_done"]
        assert [event.verb.value for event in rig.engine.heard] == ["pause", "resume", "kill soft"]


async def test_status_is_answered_without_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says=None) as rig:
        assert (await asked(rig.path, new_request("status")))["status"] == {"mode": "paper"}
        assert rig.engine.heard == []


async def test_what_is_refused_beforehand_does_not_reach_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", refusal=lambda verb: f"not {verb.value}") as rig:
        assert await asked(rig.path, new_request("kill clear")) == {"text": "not kill clear"}
        assert rig.engine.heard == []


async def test_a_repeated_request_acts_once_and_gets_the_same_answer(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig:
        request = new_request("flatten")
        first = await asked(rig.path, request)
        rig.engine.says = "done again"
        assert await asked(rig.path, request) == first
        assert len(rig.engine.heard) == 1


async def test_a_request_repeated_before_its_answer_acts_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says=None) as rig:
        request = new_request("flatten")
        both = [asyncio.create_task(asked(rig.path, request)) for _ in range(2)]
        await until(lambda: bool(rig.engine.heard))
        rig.engine.answers.answer(request.request_id, "closing", is_done=True)
        assert await asyncio.gather(*both) == [{"is_done": True, "text": "closing"}] * 2
        assert len(rig.engine.heard) == 1


async def test_an_id_stands_for_one_request(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig:
        request = new_request("flatten", "BTC")
        await asked(rig.path, request)
        other = await asked(rig.path, Request(request.request_id, "flatten", "ETH"))
        assert "stands for another request" in other["problem"]
        assert len(rig.engine.heard) == 1


async def test_an_engine_that_is_silent_is_waited_for_with_a_limit_and_its_answer_found_later(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says=None, patience=SHORT) as rig:
        request = new_request("kill hard")
        assert "has not answered within 0.2 s" in (await asked(rig.path, request))["problem"]
        rig.engine.answers.answer(request.request_id, "halt", is_done=True)
        assert (await asked(rig.path, request))["text"] == "halt"
        assert len(rig.engine.heard) == 1


async def test_only_so_many_answers_are_kept(tmp_path: Path) -> None:
    answers = OperatorAnswers()
    first = Request("request-0", "pause")
    for number in range(REMEMBERED + 1):
        _, is_new = answers.expect(Request(f"request-{number}", "pause"))
        assert is_new
        answers.answer(f"request-{number}", "yes", is_done=True)
    assert not answers.expect(Request(f"request-{REMEMBERED}", "pause"))[1]
    assert answers.expect(first)[1], "the oldest is forgotten"


# ── bad clients ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\n", "this is no request"),
        (b"pause\n", "this is no request"),
        (b"\xff\xfe\x00\n", "this is no request"),
        (b"[" * 30_000 + b"\n", "this is no request"),
        (b'{"request_id": "12345678"}\n', "missing required field `verb`"),
        (b'{"request_id": "12345678", "verb": "pause", "extra": 1}\n', "unknown field `extra`"),
        (b'{"request_id": "x", "verb": "pause"}\n', "8 to 64 of the characters"),
        (b'{"request_id": "12345678", "verb": "sell everything"}\n', "no verb 'sell everything'; there are: status"),
        (b'{"request_id": "12345678", "verb": "pause", "symbol": "BTC"}\n', "pause takes no symbol"),
        (b'{"request_id": "12345678", "verb": "flatten", "symbol": ""}\n', "a symbol has 1 to 64"),
        (b'{"request_id": "12345678", "verb": "flatten", "symbol": "B\\nTC"}\n', "a symbol has 1 to 64"),
        (b'{"request_id": "12345678", "verb": "pause", "reason": "a\\nb"}\n', "a reason is one line"),
        (b'{"request_id": "12345678", "verb": "pause", "reason": "' + b"x" * 501 + b'"}\n', "a reason is one line"),
        (b"x" * (LINE_LIMIT + 1) + b"\n", f"at most {LINE_LIMIT} bytes"),
        (b"x" * (3 * LINE_LIMIT), f"at most {LINE_LIMIT} bytes"),
    ],
)
async def test_bad_input_is_one_clear_answer_and_an_end(tmp_path: Path, line: bytes, problem: str) -> None:
    async with serving(tmp_path / "d.sock") as rig, client(rig.path) as other:
        async with client(rig.path) as one:
            assert problem in (await one.says(line))["problem"]
            assert await one.is_cut_off()
        assert (await other.says(to_line(new_request("pause"))))["is_done"], "the others are served"
        assert len(rig.engine.heard) == 1


async def test_half_a_line_is_no_request(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig, client(rig.path) as one:
        one.writer.write(to_line(new_request("kill hard")).rstrip())
        one.writer.write_eof()
        assert "ends with a line end" in (await one.hears())["problem"]
        assert rig.engine.heard == []


async def test_who_says_nothing_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", patience=SHORT) as rig, client(rig.path) as one:
        assert "no whole request within 0.2 s" in (await one.hears())["problem"]
        assert await one.is_cut_off()


async def test_only_so_many_are_served_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig, AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(client(rig.path)) for _ in range(MOST_CLIENTS)]
        for one in crowd:
            await one.says(to_line(new_request("status")))
        async with client(rig.path) as late:
            assert "are being served already" in (await late.hears())["problem"]
        crowd[0].writer.close()
        await crowd[0].writer.wait_closed()
        async with client(rig.path) as next_one:
            assert (await next_one.says(to_line(new_request("pause"))))["is_done"]


async def test_who_takes_no_answer_is_cut_off(tmp_path: Path) -> None:
    """A status that fits into no socket's buffer, and nobody who reads it."""
    large = {"holds": "x" * 20_000_000}
    patience = Patience(read_s=60.0, write_s=0.2)
    async with serving(tmp_path / "d.sock", patience=patience, status=lambda: large) as rig, client(rig.path) as one:
        one.reader._transport.pause_reading()  # type: ignore[attr-defined]
        one.writer.write(to_line(new_request("status")))
        await until(lambda: rig.server.clients == 1)
        await until(lambda: rig.server.clients == 0)
        assert (await asked(rig.path, new_request("pause")))["is_done"]


async def test_who_goes_away_at_once_is_not_missed(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock", says=None) as rig:
        async with client(rig.path) as one:
            one.writer.write(to_line(new_request("kill soft")))
            await one.writer.drain()
            await until(lambda: bool(rig.engine.heard))
        rig.engine.says = "yes"
        assert (await asked(rig.path, new_request("pause")))["is_done"]
        assert [event.verb for event in rig.engine.heard] == [OperatorVerb.KILL_SOFT, OperatorVerb.PAUSE]


async def test_a_bug_in_the_status_is_told_and_ends_one_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, Any]:
        raise ZeroDivisionError("a bug")

    async with serving(tmp_path / "d.sock", status=broken) as rig:
        async with client(rig.path) as one:
            one.writer.write(to_line(new_request("status")))
            assert await one.is_cut_off()
        assert (await asked(rig.path, new_request("kill soft")))["is_done"]
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["control_failed"]


async def test_another_user_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path / "d.sock") as rig, client(rig.path) as one:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        assert "only the daemon's own user is served" in (await one.says(to_line(new_request("pause"))))["problem"]
        assert rig.engine.heard == []


# ── the socket's file ────────────────────────────────────────────────────────────────────────


async def test_only_the_owner_may_use_the_file_and_it_goes_with_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "d.sock"
    before = os.umask(0)
    try:
        async with serving(path):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
            assert stat.S_ISSOCK(path.lstat().st_mode)
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_dead_daemons_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    async with serving(path) as rig:
        async with asyncio.timeout(5):
            while True:
                try:
                    assert (await asked(rig.path, new_request("pause")))["is_done"]
                    break
                except ConnectionRefusedError:  # the old one, still
                    await asyncio.sleep(0)


async def test_a_live_daemons_socket_is_not_taken_away(tmp_path: Path) -> None:
    async with serving(tmp_path / "d.sock") as rig:
        with pytest.raises(LedgerHeld, match="another process listens here"):
            await ControlServer(rig.path, OperatorAnswers(), dict).keep(rig.engine.put)
        assert (await asked(rig.path, new_request("pause")))["is_done"]


async def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    path.write_text("mine")
    with pytest.raises(StorageError, match="Move it away"):
        await ControlServer(path, OperatorAnswers(), dict).keep(lambda _: None)
    assert path.read_text() == "mine"


async def test_a_socket_that_took_our_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    async with serving(path):
        path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(str(path))
    assert path.exists()


async def test_a_path_longer_than_a_sockets_address_works_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / ("deep-" * 20) / ("deeper-" * 20) / "paper-local.sock"
    assert len(os.fsencode(path)) > 200
    async with serving(path) as rig:
        answer = await asyncio.to_thread(ask, path, tmp_path / "none.sqlite", new_request("pause"))
        assert answer.is_done
        assert len(rig.engine.heard) == 1
    assert list(path.parent.iterdir()) == []
    async with serving(path):  # and once more, over a long path to a stale file
        assert path.exists()


# ── the command's side ───────────────────────────────────────────────────────────────────────


def test_without_a_daemon_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=r"no daemon runs on .*x\.sqlite\. Start it with"):
        ask(tmp_path / "x.sock", tmp_path / "x.sqlite", new_request("status"))


def test_a_daemon_that_does_not_listen_yet_is_named(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "x.sqlite")
    try:
        with pytest.raises(NotRunning, match=f"process {os.getpid()} holds this ledger"):
            ask(tmp_path / "x.sock", tmp_path / "x.sqlite", new_request("status"))
    finally:
        lock.release()


async def test_a_daemon_that_hangs_is_no_daemon_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hanging:
        hanging.bind(str(path))
        hanging.listen(1)
        with pytest.raises(NoAnswer, match="may be done yet"):
            await asyncio.to_thread(ask, path, tmp_path / "x.sqlite", new_request("kill hard"), 0.2)


async def test_an_answer_that_breaks_off_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        asking = asyncio.create_task(asyncio.to_thread(ask, path, tmp_path / "x.sqlite", new_request("pause")))
        line, _ = await asyncio.to_thread(listener.accept)
        with line:
            line.sendall(b'{"is_done": tr')
        with pytest.raises(NoAnswer):
            await asking
