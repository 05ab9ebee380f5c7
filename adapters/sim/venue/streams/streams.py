"""The WebSocket side of the local venue, without I/O: client texts in, frames and drops out.

    receive ─▶ subscriptions (what was asked) ─▶ MarketStreams | AccountStreams (acknowledgement, then data)
    publish ─▶ both of them, then whoever has heard nothing for too long is dropped

A socket that asked for what kills it is silent from then on and dies a moment later.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.sim.venue.exchange.events import VenueEvent
from adapters.sim.venue.info.readable import ReadableExchange, ReadableSigners
from adapters.sim.venue.limits import IpLimits
from adapters.sim.venue.outputs import Frame, Output, SocketDropped, SocketRefused
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.streams.account_streams import AccountStreams
from adapters.sim.venue.streams.cadence_clock import NEVER
from adapters.sim.venue.streams.market_streams import MarketStreams
from adapters.sim.venue.streams.sockets import (
    DROP_LAG_MS,
    PONG,
    Post,
    Socket,
    acknowledgement,
    error_frame,
    post_frame,
    unreadable,
)
from adapters.sim.venue.streams.streamed import StreamedMarket, StreamedMoves
from adapters.sim.venue.streams.subscriptions import (
    Kind,
    Ping,
    PostRequest,
    Subscribe,
    Subscription,
    Unsubscribe,
    read_request,
)

UNPROCESSABLE = 422


class Streams:
    """All sockets and their subscriptions. Times never go backwards."""

    def __init__(
        self,
        exchange: ReadableExchange,
        market: StreamedMarket,
        signers: ReadableSigners,
        ip_limits: IpLimits,
        settings: VenueSettings,
        *,
        legacy_web_data: bool = False,
    ) -> None:
        """`legacy_web_data`: serve `webData2`, which the SDK still offers and the venue refuses since 2026."""
        self._coins = exchange.by_coin
        self._markets = MarketStreams(exchange, market, settings.cadence)
        self._accounts = AccountStreams(exchange, market, signers, settings.cadence)
        self._limits = ip_limits
        self._idle_ms = settings.cadence.idle_close
        self._legacy = legacy_web_data
        self._sockets: dict[int, Socket] = {}

    def open(self, socket_id: int, ip: str, now_ms: int) -> list[Output]:
        """A handshake; `SocketRefused` where the IP has too many, else nothing (there is no greeting)."""
        assert socket_id not in self._sockets, "a socket opens once"
        if not self._limits.connect(ip, now_ms):
            return [SocketRefused(socket_id, 429, b"Too Many Requests")]
        self._sockets[socket_id] = Socket(socket_id, ip, now_ms)
        return []

    def closed(self, socket_id: int) -> None:
        """The client or its connection is gone. Sockets that were dropped or refused are forgotten already."""
        socket = self._sockets.pop(socket_id, None)
        if socket is None:
            return
        self._forget_streams(socket)
        for _ in range(socket.posts_in_flight):
            self._limits.end_post(socket.ip)
        self._limits.disconnect(socket.ip)

    def ip_of(self, socket_id: int) -> str:
        """Where an open socket came from."""
        return self._sockets[socket_id].ip

    def receive(self, socket_id: int, text: str, now_ms: int) -> list[Output | Post]:
        """Take one client frame; anything a client may say has an answer, if only silence."""
        socket = self._sockets.get(socket_id)
        if socket is None or socket.is_doomed:
            return []
        answers = self._answers(socket, text, now_ms)
        if any(isinstance(answer, str) for answer in answers):
            socket.last_sent_ms = now_ms
        return [Frame(socket_id, answer) if isinstance(answer, str) else answer for answer in answers]

    def answer(self, post: Post, status: int, body: object, now_ms: int) -> list[Output]:
        """The frame that answers a post, as over HTTP: a status, and the JSON that a 200 carries.

        What cannot be read (422) is told on the error channel, without the post's id. Nothing where the socket
        has gone since.
        """
        socket = self._sockets.get(post.socket_id)
        if socket is None:
            return []
        assert socket.posts_in_flight > 0, "a post is answered once"
        socket.posts_in_flight -= 1
        self._limits.end_post(socket.ip)
        if socket.is_doomed:
            return []
        socket.last_sent_ms = now_ms
        told = unreadable(post.text) if status == UNPROCESSABLE else post_frame(post, status, body)
        return [Frame(post.socket_id, told)]

    def publish(self, now_ms: int, events: Sequence[VenueEvent], moves: StreamedMoves) -> list[Frame | SocketDropped]:
        """Everything that sockets are to hear now: the dying first, then accounts, then the market."""
        frames: list[Frame] = []
        dropped = self._drop_due(now_ms)
        self._accounts.publish(now_ms, events, frames)
        self._markets.publish(now_ms, moves, frames)
        for socket_id in {frame.socket_id for frame in frames}:
            self._sockets[socket_id].last_sent_ms = now_ms
        return [*dropped, *frames]

    def next_due_ms(self) -> int:
        """When `publish` has something to say though nothing happens; far away if never."""
        ends_ms = min((self._end_ms(socket) for socket in self._sockets.values()), default=NEVER)
        return min(self._markets.next_due_ms(), self._accounts.next_due_ms(), ends_ms)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _answers(self, socket: Socket, text: str, now_ms: int) -> list[str | Post]:
        refusal = self._limits.message(socket.ip, now_ms)
        if refusal is not None:
            return [error_frame(refusal)]
        match read_request(text, legacy_web_data=self._legacy):
            case None:
                return [unreadable(text)]
            case Ping():
                return [PONG]
            case Subscribe(subscription):
                return list(self._subscribe(socket, subscription, now_ms))
            case Unsubscribe(subscription):
                return [self._unsubscribe(socket, subscription)]
            case PostRequest() as request:
                return [self._post(socket, request, text)]

    def _subscribe(self, socket: Socket, subscription: Subscription, now_ms: int) -> list[str]:
        echo = subscription.canonical
        if echo in socket.subscriptions:
            return [error_frame(f"Already subscribed: {echo}")]
        if not subscription.is_served:
            return [error_frame(f"Invalid subscription {echo}")]
        if self._kills(subscription):
            self._forget_streams(socket)
            socket.drop_ms = now_ms + DROP_LAG_MS
            return []
        refusal = self._limits.subscribe(socket.ip, subscription.user or None)
        if refusal is not None:
            return [error_frame(refusal)]
        socket.subscriptions[echo] = subscription
        first = self._side_of(subscription).subscribe(socket.socket_id, subscription, now_ms)
        return [acknowledgement("subscribe", subscription), *first]

    def _kills(self, subscription: Subscription) -> bool:
        if subscription.kind in _OF_A_COIN and subscription.coin not in self._coins:
            return True
        return not subscription.has_valid_book_parameters

    def _unsubscribe(self, socket: Socket, subscription: Subscription) -> str:
        if socket.subscriptions.pop(subscription.canonical, None) is None:
            return error_frame(f"Already unsubscribed: {subscription.canonical}")
        self._leave(socket, subscription)
        return acknowledgement("unsubscribe", subscription)

    def _post(self, socket: Socket, request: PostRequest, text: str) -> str | Post:
        refusal = self._limits.begin_post(socket.ip, request.id)
        if refusal is not None:
            return error_frame(refusal)
        socket.posts_in_flight += 1
        return Post(socket.socket_id, request.id, request.kind, request.payload, text)

    # -- sockets -----------------------------------------------------------------------------------------------------

    def _end_ms(self, socket: Socket) -> int:
        return min(socket.drop_ms, socket.last_sent_ms + self._idle_ms)

    def _drop_due(self, now_ms: int) -> list[SocketDropped]:
        due = [socket.socket_id for socket in self._sockets.values() if self._end_ms(socket) <= now_ms]
        for socket_id in due:
            self.closed(socket_id)
        return [SocketDropped(socket_id) for socket_id in due]

    def _forget_streams(self, socket: Socket) -> None:
        for subscription in socket.subscriptions.values():
            self._leave(socket, subscription)
        socket.subscriptions.clear()

    def _leave(self, socket: Socket, subscription: Subscription) -> None:
        self._limits.unsubscribe(socket.ip, subscription.user or None)
        self._side_of(subscription).unsubscribe(socket.socket_id, subscription)

    def _side_of(self, subscription: Subscription) -> MarketStreams | AccountStreams:
        return self._accounts if subscription.user else self._markets


_OF_A_COIN = frozenset(
    {Kind.BBO, Kind.L2_BOOK, Kind.TRADES, Kind.CANDLE, Kind.ACTIVE_ASSET_CTX, Kind.ACTIVE_ASSET_DATA}
)
