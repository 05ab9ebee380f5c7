"""HTTP over `requests`, in threads that this adapter owns; what is known of a request that failed is exact.

Whether a request has left is not guessed from the driver's exceptions: its connections ask `_Call` before they hand
anything to a socket. So a request that was given up (its time is over, its caller was cancelled) before that moment
never leaves, whatever its thread waits for, and one that failed after it is `BrokenError`. Giving up afterwards also
shuts the socket, so that no thread hangs on a venue that drips its answer.

Some threads are always left for what is urgent (exits, cancels), and one more of the others for `/exchange`: neither
entries nor reads that hang for their whole timeout hold up an exit, and reads do not hold up entries. Of the urgent
ones, whoever sends cancels in masses leaves a thread to exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from adapters.hyperliquid.transport import Bar, BrokenError, HttpReply, NotSentError

WORKERS = 7
KEPT_FOR_URGENT = 3
CONNECT_S = 3.0
"""A connection that takes longer does not come: a TCP handshake repeats after 1 s already."""
MAX_BODY_BYTES = 16 * 1024 * 1024
"""The largest answers (5,000 candles, 2,000 fills) stay under 1 MB."""
CLOSE_S = 2.0
"""How long `close` waits for threads; only a name server that is silent can hold one up."""

_CHUNK_BYTES = 64 * 1024
_TEXT_CHARS = 160
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "ai-quant"}


class RequestsTransport:
    """`HttpTransport` for one venue: keep-alive, explicit timeouts, no retries, no redirects.

    Proxies, `.netrc` and certificate bundles of the environment count only with `trust_env`. To be made and used in
    one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        workers: int = WORKERS,
        connect_s: float = CONNECT_S,
        max_body_bytes: int = MAX_BODY_BYTES,
        trust_env: bool = False,
    ) -> None:
        assert workers >= 3, "one thread for what is urgent, one for entries, one for reads"
        assert url.startswith(("http://", "https://")), "a venue's URL is http or https"
        self._url = url.rstrip("/")
        self._connect_s = connect_s
        self._max_body_bytes = max_body_bytes
        self._trust_env = trust_env
        self._executor: Executor = ThreadPoolExecutor(workers, thread_name_prefix="venue-http")
        patient = workers - min(KEPT_FOR_URGENT, workers - 2)
        self._readers = asyncio.Semaphore(patient - 1)
        self._patient = asyncio.Semaphore(patient)
        """Whatever is not urgent, reads included."""
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._calls: dict[asyncio.Future[_Outcome], _Call] = {}
        self._closed = False

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        """Send one request; `timeout_s` is for all of it, the wait for a free thread included."""
        ends_s = time.monotonic() + timeout_s
        release = None if urgent else await self._place(path, timeout_s)
        return await self._run(_Call(self._url + path, body, ends_s, timeout_s, bar), release)

    async def close(self) -> None:
        """Give up what still runs: its callers get `NotSentError` or `BrokenError`."""
        self._closed = True
        running = list(self._calls)
        for call in self._calls.values():
            call.give_up()
        self._executor.shutdown(wait=False, cancel_futures=False)
        if running:
            await asyncio.wait(running, timeout=CLOSE_S)
        for session in self._sessions:
            session.close()

    async def _place(self, path: str, timeout_s: float) -> Callable[[], None]:
        """Wait until one more request of this kind may have a thread; returns what gives its place back.

        An action waits no longer than half its time: with hardly any left it would only leave to end in not knowing.
        """
        is_action = path == "/exchange"
        gates = [self._patient] if is_action else [self._readers, self._patient]
        wait_s = timeout_s / 2 if is_action else timeout_s
        held: list[asyncio.Semaphore] = []

        def release() -> None:
            for gate in held:
                gate.release()

        try:
            async with asyncio.timeout(wait_s):
                for gate in gates:
                    await gate.acquire()
                    held.append(gate)
        except BaseException as e:
            release()
            if isinstance(e, TimeoutError):
                raise NotSentError(f"no connection was free within {wait_s:g} s") from None
            raise
        return release

    async def _run(self, call: _Call, release: Callable[[], None] | None) -> HttpReply:
        if self._closed:
            if release is not None:
                release()
            raise NotSentError("the transport is closed")
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._send, call)
        self._calls[running] = call
        running.add_done_callback(lambda done: self._ended(done, release))
        try:
            # Not `wait_for`: the thread's future must stay whole, for it says when the thread is free again.
            await asyncio.wait([running], timeout=max(0.0, call.ends_s - time.monotonic()))
        except asyncio.CancelledError:
            call.give_up()
            raise
        if not running.done():
            raise _late(call.timeout_s, has_left=call.give_up())
        outcome = running.result()
        if isinstance(outcome, HttpReply):
            return outcome
        raise outcome

    def _ended(self, done: asyncio.Future[_Outcome], release: Callable[[], None] | None) -> None:
        del self._calls[done]
        if release is not None:
            release()

    # ── in a worker thread ───────────────────────────────────────────────────────────────────────

    def _send(self, call: _Call) -> _Outcome:
        """Returns errors instead of raising them: nobody may be listening any more."""
        left_s = call.ends_s - time.monotonic()
        if left_s <= 0 or call.is_given_up:
            return _late(call.timeout_s, has_left=False)
        _current.call = call
        try:
            return self._exchanged(self._session(), call, left_s)
        except _Barred as e:
            return NotSentError(str(e))
        except Exception as e:  # noqa: BLE001  (whatever a driver raises, the request may have left)
            if time.monotonic() >= call.ends_s:
                return _late(call.timeout_s, has_left=call.has_left)
            return (BrokenError if call.has_left else NotSentError)(_short(e))
        finally:
            _current.call = None

    def _exchanged(self, session: requests.Session, call: _Call, left_s: float) -> _Outcome:
        timeouts = (min(self._connect_s, left_s), left_s)
        request, settings = self._prepared(session, call)
        with session.send(request, timeout=timeouts, allow_redirects=False, **settings) as reply:
            parts: list[bytes] = []
            size = 0
            for part in reply.iter_content(_CHUNK_BYTES):
                size += len(part)
                if size > self._max_body_bytes:
                    return BrokenError(f"the answer is larger than {self._max_body_bytes} bytes")
                parts.append(part)
            return HttpReply(reply.status_code, b"".join(parts))

    def _prepared(self, session: requests.Session, call: _Call) -> tuple[requests.PreparedRequest, dict[str, Any]]:
        """A request of this URL with another body: to prepare each from scratch costs as much as to send it."""
        known = self._local.prepared.get(call.url)
        if known is None:
            request = session.prepare_request(requests.Request("POST", call.url, _HEADERS, data=b"{}"))
            settings = session.merge_environment_settings(call.url, {}, True, None, None)
            known = self._local.prepared[call.url] = request, dict(settings)
        pattern, settings = known
        request = pattern.copy()
        request.body = call.body
        request.headers["Content-Length"] = str(len(call.body))
        return request, settings

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = self._trust_env
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # none are kept
            for scheme in ("http://", "https://"):
                session.mount(scheme, _WatchedAdapter())
            self._local.session = session
            self._local.prepared = {}
            self._sessions.append(session)
        return session


_Outcome = HttpReply | NotSentError | BrokenError


class _Call:
    """One request on its way, shared by its caller and its thread."""

    def __init__(self, url: str, body: bytes, ends_s: float, timeout_s: float, bar: Bar | None) -> None:
        self.url, self.body, self.ends_s, self.timeout_s = url, body, ends_s, timeout_s
        self._bar = bar
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.has_left = False
        self.is_given_up = False

    def leaves(self, by: object) -> None:
        """Bytes are about to be handed to a socket; raises where nobody wants them sent any more."""
        with self._lock:
            if self.is_given_up:
                raise _GivenUp("given up before anything was sent")
            if not self.has_left and self._bar is not None and (reason := self._bar()):
                raise _Barred(reason)
            self.has_left = True
            self._socket = by if isinstance(by, socket.socket) else None

    def give_up(self) -> bool:
        """Nothing leaves from here on, nobody waits for an answer. Returns whether something has left already."""
        with self._lock:
            self.is_given_up = True
            if self._socket is not None:
                # Not a TLS socket's own method, which would change it under the thread that reads from it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            return self.has_left


class _GivenUp(Exception):
    pass


class _Barred(Exception):
    """In the words of whoever bars it."""


class _Current(threading.local):
    call: _Call | None = None


_current = _Current()


class _WatchedHttp(HTTPConnection):
    def send(self, data: Any) -> None:
        _ask_to_send(self)
        super().send(data)


class _WatchedHttps(HTTPSConnection):
    def send(self, data: Any) -> None:
        _ask_to_send(self)
        super().send(data)


def _ask_to_send(connection: HTTPConnection) -> None:
    if connection.sock is None:
        connection.connect()  # as `send` would: what fails here has not left
    if _current.call is not None:
        _current.call.leaves(connection.sock)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHttps


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _WatchedAdapter(HTTPAdapter):
    """Connections that ask before they send; `max_retries` stays 0."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _late(timeout_s: float, *, has_left: bool) -> NotSentError | BrokenError:
    if has_left:
        return BrokenError(f"no answer within {timeout_s:g} s")
    return NotSentError(f"it could not be sent within {timeout_s:g} s")


def _short(error: BaseException) -> str:
    """The innermost cause, which is the system's word, in one short line."""
    inner = error
    while (below := inner.__cause__ or inner.__context__) is not None:
        inner = below
    text = " ".join(f"{type(inner).__name__}: {inner}".split())
    return text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"
