"""What a rule can know of a request or a frame before it is handled or sent: read leniently, never refused."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adapters.sim.venue.faults.rules import Match
from adapters.sim.venue.outputs import Frame

ACKS = "subscriptionResponse"
_CHANNELS = {"userEvents": "user", "activeSpotAssetCtx": "activeAssetCtx"}
"""Subscriptions whose data comes on a channel of another name."""
_LEAD = '{"channel":"'


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """`path` is that of HTTP also for a request posted over a socket, which then is named with the post's id.

    `user`: whom it asks about or acts for; a callable is asked only when a rule wants to know (recovering a signer
    costs). `coins`: those it names, for an action by their asset ids.
    """

    request_id: int
    ip: str
    path: str
    request_type: str | None = None
    action: str | None = None
    coins: tuple[str, ...] = ()
    user: str | Callable[[], str | None] | None = None
    socket_id: int | None = None
    post_id: int | None = None


class StreamKey(NamedTuple):
    """A subscription as its frames show it."""

    channel: str
    coin: str | None = None
    interval: str | None = None


class Phase(enum.Enum):
    ACK = "ack"
    FIRST = "first"
    """The first data after an acknowledgement: the snapshot, where the stream has one."""
    LATER = "later"
    OTHER = "other"
    """Pongs, errors, answers to posts."""


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """`stream` is what the frame belongs to, for an acknowledgement the stream that it is about."""

    socket_id: int
    ip: str
    stream: StreamKey | None
    phase: Phase
    channel: str
    coins: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


def request_facts(
    request_id: int,
    ip: str,
    path: str,
    body: bytes | Mapping[str, object],
    coins: Sequence[str],
    *,
    signer: Callable[[], str | None] | None = None,
    socket_id: int | None = None,
    post_id: int | None = None,
) -> RequestFacts:
    """The facts of one request. `coins` are the venue's, by asset id; `signer` tells whom an action acts for."""
    raw = read_json(body) if isinstance(body, bytes) else body
    request = raw if isinstance(raw, Mapping) else {}
    action = request.get("action")
    user: str | Callable[[], str | None] | None = _lower(request.get("user"))
    named: tuple[str, ...] = ()
    if isinstance(action, Mapping):
        named = tuple(dict.fromkeys(coins[asset] for asset in _assets(action) if 0 <= asset < len(coins)))
        user = _lower(request.get("vaultAddress")) or signer
    else:
        inner = request.get("req")
        coin = request.get("coin") or (inner.get("coin") if isinstance(inner, Mapping) else None)
        named = (coin,) if isinstance(coin, str) else ()
    return RequestFacts(
        request_id=request_id,
        ip=ip,
        path=path,
        request_type=_text(request.get("type")),
        action=_text(action.get("type")) if isinstance(action, Mapping) else None,
        coins=named,
        user=user,
        socket_id=socket_id,
        post_id=post_id,
    )


def request_matches(match: Match, request: RequestFacts) -> bool:
    return (
        (match.path is None or match.path == request.path)
        and (match.request_type is None or match.request_type == request.request_type)
        and (match.action is None or match.action == request.action)
        and (match.coin is None or match.coin in request.coins)
        and (match.socket is None or match.socket == request.socket_id)
        and (match.ip is None or match.ip == request.ip)
        and (match.user is None or match.user == _asked_user(request))
    )


def frame_matches(match: Match, facts: FrameFacts) -> bool:
    return (
        _phase_fits(match, facts)
        and (match.channel is None or match.channel == facts.channel or _is_ack_of(match, facts))
        and (match.coin is None or match.coin in facts.coins)
        and (match.user is None or match.user in facts.users)
        and (match.socket is None or match.socket == facts.socket_id)
        and (match.ip is None or match.ip == facts.ip)
    )


def _phase_fits(match: Match, facts: FrameFacts) -> bool:
    if match.phase is None:
        return True
    if match.phase == "data":
        return facts.phase in (Phase.FIRST, Phase.LATER)
    return match.phase == facts.phase.value


def _is_ack_of(match: Match, facts: FrameFacts) -> bool:
    return match.phase == "ack" and facts.stream is not None and match.channel == facts.stream.channel


def _asked_user(request: RequestFacts) -> str | None:
    return request.user() if callable(request.user) else request.user


def stream_of_subscription(subscription: Mapping[str, object]) -> StreamKey | None:
    kind = _text(subscription.get("type"))
    if kind is None:
        return None
    return StreamKey(_CHANNELS.get(kind, kind), _text(subscription.get("coin")), _text(subscription.get("interval")))


def leading_channel(frame: Frame) -> str | None:
    """The channel of a frame that names it first, as the venue's own do, without reading the rest."""
    if not frame.text.startswith(_LEAD):
        return None
    return frame.text.split('"', 4)[3]


def read_frame(frame: Frame) -> tuple[str, StreamKey | None, bool, frozenset[str], str | None]:
    """Channel, stream, whether it acknowledges a subscription, coins named, user named."""
    raw = read_json(frame.text)
    if not isinstance(raw, Mapping) or not isinstance(channel := raw.get("channel"), str):
        return "", None, False, frozenset(), None
    data = raw.get("data")
    if channel == ACKS:
        asked = data.get("subscription") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(asked, Mapping):
            return channel, None, False, frozenset(), None
        stream = stream_of_subscription(asked)
        coin = _text(asked.get("coin"))
        coins = frozenset([coin] if coin else [])
        return channel, stream, data.get("method") == "subscribe", coins, _lower(asked.get("user"))
    if channel in ("pong", "error", "post"):
        return channel, None, False, frozenset(), None
    about, coins, user = _data_facts(data)
    interval = _text(data.get("i")) if channel == "candle" and isinstance(data, Mapping) else None
    key = _CHANNELS.get(channel, channel)
    return channel, StreamKey(key, about, interval), False, coins, user


def _data_facts(data: object) -> tuple[str | None, frozenset[str], str | None]:
    """The coin that a frame is about, if one; all that it names; the user that it names."""
    if isinstance(data, Mapping):
        coin = _text(data.get("coin")) or _text(data.get("s"))
        rows = [row for value in data.values() if isinstance(value, list) for row in value]
        return coin, frozenset([coin]) if coin else _coins_of(rows), _lower(data.get("user"))
    if isinstance(data, list):
        coins = _coins_of(data)
        is_tape = bool(data) and isinstance(data[0], Mapping) and "px" in data[0]
        return next(iter(coins)) if is_tape and len(coins) == 1 else None, coins, None
    return None, frozenset(), None


def _coins_of(rows: Sequence[object]) -> frozenset[str]:
    found = set()
    for row in rows:
        if isinstance(row, Mapping):
            inner = row.get("order")
            coin = row.get("coin") or (inner.get("coin") if isinstance(inner, Mapping) else None)
            if isinstance(coin, str):
                found.add(coin)
    return frozenset(found)


def _assets(action: Mapping[str, object]) -> list[int]:
    """Asset ids anywhere in an action: `a` or `asset`, in it or in its lists."""
    rows: list[object] = [action]
    for value in action.values():
        if isinstance(value, list):
            rows += value
    for row in tuple(rows):
        if isinstance(row, Mapping) and isinstance(order := row.get("order"), Mapping):
            rows.append(order)
    return [
        asset
        for row in rows
        if isinstance(row, Mapping)
        for asset in (row.get("a"), row.get("asset"))
        if isinstance(asset, int) and not isinstance(asset, bool)
    ]


def read_json(text: bytes | str) -> object:
    """The JSON in it; None where there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _lower(value: object) -> str | None:
    return value.lower() if isinstance(value, str) else None
