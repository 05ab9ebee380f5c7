"""Fault rules on frames: which ones never leave, leave later, twice, changed; which streams and sockets fell silent.

frame ─▶ socket half open? ─▶ stream silent? ─▶ rules, in the order of their ids ─▶ kept in order ─▶ (due, output)…
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from adapters.sim.venue.faults.answer_faults import Timed, distorted
from adapters.sim.venue.faults.arming import ArmedRule
from adapters.sim.venue.faults.distortions import distort
from adapters.sim.venue.faults.facts import (
    ACKS,
    FrameFacts,
    Phase,
    StreamKey,
    frame_matches,
    leading_channel,
    read_frame,
    read_json,
    stream_of_subscription,
)
from adapters.sim.venue.faults.kinds import (
    DelayFrames,
    Disconnect,
    DropFrames,
    DuplicateFrames,
    HalfOpen,
    Kill,
    LieOnResubscribe,
    NoPongs,
    OnText,
    ReorderFrames,
    StaleStream,
    UnknownChannel,
)
from adapters.sim.venue.faults.operator_acts import OperatorAct
from adapters.sim.venue.outputs import Frame, ProcessKilled, SocketDropped

NAMELESS = frozenset(("orderUpdates", "user", "notification"))
"""Channels of users' streams whose frames do not say whose they are."""


class Note(Protocol):
    def __call__(self, armed: ArmedRule, now_ms: int, **fields: object) -> None: ...


@dataclass(slots=True)
class Silence:
    """Nothing gets through because of a rule. `until_ms` None: for good."""

    rule_id: int
    until_ms: int | None
    ends_on_ack: bool = False

    def holds(self, now_ms: int) -> bool:
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(slots=True)
class Socket:
    """An open socket as the switchboard knows it."""

    ip: str
    users: set[str] = field(default_factory=set)
    asked: set[tuple[StreamKey, str | None]] = field(default_factory=set)
    awaiting: set[StreamKey] = field(default_factory=set)
    """Streams acknowledged that have not sent anything yet."""
    silent: dict[StreamKey, Silence] = field(default_factory=dict)
    dead: Silence | None = None
    """Set while it is half open."""
    held: dict[str, int] = field(default_factory=dict)
    """Per channel, when its last delayed frame leaves."""


class FrameFaults:
    """The sockets' state, and what rules do to a frame. `note` writes a firing, `lose` a frame that fell silent."""

    def __init__(
        self,
        note: Note,
        lose: Callable[[int, int, int, str, str], None],
        queue: Callable[[ArmedRule, OperatorAct, int], None],
    ) -> None:
        self._note = note
        self._lose = lose
        self._queue = queue
        self.sockets: dict[int, Socket] = {}
        self._times_asked: dict[tuple[str, StreamKey, str | None], int] = {}
        self._first_frames: dict[tuple[str, StreamKey, frozenset[str]], str] = {}

    @property
    def is_busy(self) -> bool:
        """Something outlasts the rules that began it."""
        return any(socket.dead or socket.silent or socket.held for socket in self.sockets.values())

    # ── sockets ──────────────────────────────────────────────────────────────────────────────

    def matching_sockets(self, armed: ArmedRule) -> list[int]:
        match = armed.match
        return [
            socket_id
            for socket_id, socket in self.sockets.items()
            if (match.socket is None or match.socket == socket_id)
            and (match.ip is None or match.ip == socket.ip)
            and (match.user is None or match.user in socket.users)
        ]

    def sockets_of(self, ip: str) -> list[int]:
        return [socket_id for socket_id, socket in self.sockets.items() if socket.ip == ip]

    def half_open(self, socket_ids: Sequence[int], armed: ArmedRule, fault: HalfOpen, now_ms: int) -> None:
        for socket_id in socket_ids:
            self.sockets[socket_id].dead = Silence(armed.id, _later(now_ms, fault.for_ms))

    def lift(self, rule_id: int) -> None:
        """End every silence that a rule began."""
        for socket in self.sockets.values():
            if socket.dead is not None and socket.dead.rule_id == rule_id:
                socket.dead = None
            socket.silent = {key: each for key, each in socket.silent.items() if each.rule_id != rule_id}

    def is_dead(self, socket_id: int, now_ms: int) -> int | None:
        """The rule that keeps a socket half open; heals it when its time is over."""
        socket = self.sockets.get(socket_id)
        if socket is None or socket.dead is None:
            return None
        if socket.dead.holds(now_ms):
            return socket.dead.rule_id
        socket.dead = None
        return None

    def heard(self, socket_id: int, text: str) -> None:
        """Learn from a client's frame what it subscribes to."""
        socket = self.sockets.get(socket_id)
        if socket is None or "subscri" not in text:
            return
        raw = read_json(text)
        subscription = raw.get("subscription") if isinstance(raw, dict) else None
        stream = stream_of_subscription(subscription) if isinstance(subscription, dict) else None
        if not isinstance(raw, dict) or not isinstance(subscription, dict) or stream is None:
            return
        named = subscription.get("user")
        user = named.lower() if isinstance(named, str) else None
        if raw.get("method") == "unsubscribe":
            socket.asked.discard((stream, user))
        elif raw.get("method") == "subscribe" and (stream, user) not in socket.asked:
            socket.asked.add((stream, user))
            place = (socket.ip, stream, user)
            self._times_asked[place] = self._times_asked.get(place, 0) + 1
            if user is not None:
                socket.users.add(user)

    # ── frames ───────────────────────────────────────────────────────────────────────────────

    def passes(self, channels: Collection[str] | None, frame: Frame) -> bool:
        """Whether a frame leaves as it is, whatever else is in it. `channels`: of which rules want later data."""
        socket = self.sockets.get(frame.socket_id)
        if channels is None or socket is None or socket.dead or socket.silent or socket.held or socket.awaiting:
            return False
        channel = leading_channel(frame)
        return channel is not None and channel != ACKS and channel not in channels

    def facts(self, frame: Frame) -> FrameFacts:
        """What rules can know of a frame that is about to leave."""
        socket = self.sockets.get(frame.socket_id)
        channel, stream, is_ack, coins, user = read_frame(frame)
        phase = Phase.OTHER
        if is_ack:
            phase = Phase.ACK
        elif stream is not None and channel != ACKS:
            phase = Phase.FIRST if socket is not None and stream in socket.awaiting else Phase.LATER
        if user is not None:
            users = frozenset([user])
        else:
            users = frozenset(socket.users) if socket is not None and channel in NAMELESS else frozenset()
        return FrameFacts(frame.socket_id, socket.ip if socket else "", stream, phase, channel, coins, users)

    def send(self, rules: Sequence[ArmedRule], facts: FrameFacts, frame: Frame, now_ms: int) -> list[Timed]:
        socket = self.sockets.get(facts.socket_id)
        if socket is None:
            return []
        self._track(socket, facts)
        if (killer := self.is_dead(facts.socket_id, now_ms)) is not None:
            self._lose(killer, now_ms, facts.socket_id, facts.channel, "out")
            return []
        if facts.stream is not None and facts.phase is not Phase.ACK:
            silence = socket.silent.get(facts.stream)
            if silence is not None and silence.holds(now_ms):
                self._lose(silence.rule_id, now_ms, facts.socket_id, facts.channel, "out")
                return []
            socket.silent.pop(facts.stream, None)
        items: list[Timed] = [(now_ms, frame)]
        in_order = True
        for armed in rules:
            if (
                not frame_matches(armed.match, facts)
                or not self._applies(armed, facts, frame)
                or not armed.fires(now_ms)
            ):
                continue
            self._note(armed, now_ms, socket=facts.socket_id, channel=facts.channel, phase=facts.phase)
            in_order = in_order and not isinstance(armed.rule.fault, ReorderFrames)
            items = self._changed(armed, socket, facts, items, now_ms)
            if facts.socket_id not in self.sockets or not any(isinstance(output, Frame) for _, output in items):
                break
        if facts.phase is Phase.FIRST:
            self._remember(rules, facts, frame)
        return _ordered(socket, facts.channel, items, now_ms) if in_order else items

    def _track(self, socket: Socket, facts: FrameFacts) -> None:
        if facts.stream is None:
            return
        if facts.phase is Phase.ACK:
            socket.awaiting.add(facts.stream)
            silence = socket.silent.get(facts.stream)
            if silence is not None and silence.ends_on_ack:
                del socket.silent[facts.stream]
        else:
            socket.awaiting.discard(facts.stream)

    def _applies(self, armed: ArmedRule, facts: FrameFacts, frame: Frame) -> bool:
        """What a fault needs beyond the match: something to change, to tell again, to silence."""
        fault = armed.rule.fault
        if isinstance(fault, LieOnResubscribe):
            return self._is_again(facts) and (fault.data == "nothing" or self._place(facts) in self._first_frames)
        if isinstance(fault, OnText):
            return distort(frame.text, fault) != frame.text
        return not isinstance(fault, StaleStream) or facts.stream is not None

    def _changed(
        self, armed: ArmedRule, socket: Socket, facts: FrameFacts, items: list[Timed], now_ms: int
    ) -> list[Timed]:
        """What a firing makes of the outputs so far; all but frames pass."""
        fault = armed.rule.fault
        if isinstance(fault, OperatorAct):
            self._queue(armed, fault, now_ms)
            return items
        frames = [(due_ms, output) for due_ms, output in items if isinstance(output, Frame)]
        others = [item for item in items if not isinstance(item[1], Frame)]
        last_ms = frames[-1][0]
        if isinstance(fault, OnText):
            return others + [(due_ms, distorted(each, fault)) for due_ms, each in frames]
        match fault:
            case DropFrames() | NoPongs():
                return others
            case DelayFrames(ms=ms, jitter_ms=jitter_ms):
                delay_ms = ms + armed.draw(jitter_ms)
                return others + [(due_ms + delay_ms, each) for due_ms, each in frames]
            case DuplicateFrames(copies=copies, after_ms=after_ms):
                return items + [(due_ms + after_ms, each) for due_ms, each in frames] * copies
            case ReorderFrames(window_ms=window_ms):
                return others + sorted(((due_ms + armed.draw(window_ms), each) for due_ms, each in frames), key=_due)
            case UnknownChannel(channel=channel, instead=instead):
                text = json.dumps({"channel": channel, "data": {"unheardOf": True}}, separators=(",", ":"))
                extra: Timed = (frames[0][0], Frame(facts.socket_id, text))
                return [extra, *others] if instead else [extra, *items]
            case StaleStream(ends=ends, for_ms=for_ms):
                assert facts.stream is not None
                socket.silent[facts.stream] = Silence(armed.id, _later(now_ms, for_ms), ends == "resubscribe")
                return others
            case LieOnResubscribe(data="nothing"):
                assert facts.stream is not None
                socket.silent[facts.stream] = Silence(armed.id, None, ends_on_ack=True)
                return items
            case LieOnResubscribe():
                old = self._first_frames[self._place(facts)]
                return others + [(due_ms, replace(each, text=old)) for due_ms, each in frames]
            case HalfOpen():
                self.half_open([facts.socket_id], armed, fault, now_ms)
                return others
            case Disconnect(point=point):
                del self.sockets[facts.socket_id]
                dropped = SocketDropped(facts.socket_id)
                return [*others, (now_ms, dropped)] if point == "before" else [*items, (last_ms, dropped)]
            case Kill(pid=pid, point=point):
                killed = ProcessKilled(pid)
                return [(now_ms, killed), *items] if point == "before" else [*items, (last_ms, killed)]
            case _:
                raise AssertionError(f"rule {armed.id}: {fault} is not for frames")

    def _is_again(self, facts: FrameFacts) -> bool:
        """Whether the client had asked for this stream before it asked this time."""
        if facts.stream is None:
            return False
        stream = facts.stream
        return any(self._times_asked.get((facts.ip, stream, user), 0) > 1 for user in (*facts.users, None))

    def _remember(self, rules: Sequence[ArmedRule], facts: FrameFacts, frame: Frame) -> None:
        """Keep a stream's first data for a rule that will tell it again."""
        if any(isinstance(armed.rule.fault, LieOnResubscribe) for armed in rules):
            self._first_frames[self._place(facts)] = frame.text

    def _place(self, facts: FrameFacts) -> tuple[str, StreamKey, frozenset[str]]:
        assert facts.stream is not None
        return facts.ip, facts.stream, facts.users


def _ordered(socket: Socket, channel: str, items: list[Timed], now_ms: int) -> list[Timed]:
    """No frame before an earlier one of its channel that was held back."""
    floor_ms = socket.held.get(channel, now_ms)
    ordered: list[Timed] = []
    for due_ms, output in sorted(items, key=_due):
        if isinstance(output, Frame):
            due_ms = max(due_ms, floor_ms)
            floor_ms = due_ms
        ordered.append((due_ms, output))
    socket.held = {each: until_ms for each, until_ms in socket.held.items() if until_ms > now_ms}
    if floor_ms > now_ms:
        socket.held[channel] = floor_ms
    return ordered


def _due(item: Timed) -> int:
    return item[0]


def _later(now_ms: int, by_ms: int | None) -> int | None:
    return None if by_ms is None else now_ms + by_ms
