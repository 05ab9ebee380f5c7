"""The fault switchboard: rules are plugged in, the facade asks it about every request, frame, socket and moment.

    request ─▶ request_fate ─▶ (chain, info) ─▶ answers ─▶ (due, output)…
    frame ─▶ frames ─▶ (due, output)…            the clock ─▶ acts_due, outputs_due

With no rule that concerns them, requests and frames cost one look. Everything follows from the seed and the calls;
every firing goes to the log with its rule's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from adapters.sim.venue.faults.answer_faults import Mark, RequestFate, Timed, cut, early_outputs, marked_answers
from adapters.sim.venue.faults.arming import ArmedRule
from adapters.sim.venue.faults.distortions import answer_body
from adapters.sim.venue.faults.facts import FrameFacts, RequestFacts, request_matches
from adapters.sim.venue.faults.forms import BadForm
from adapters.sim.venue.faults.frame_faults import FrameFaults, Socket
from adapters.sim.venue.faults.kinds import (
    ClockSkew,
    DelayAnswer,
    Disconnect,
    DropRequest,
    ExecuteLate,
    Fault,
    HalfOpen,
    Kill,
    Refuse,
    RefuseSocket,
)
from adapters.sim.venue.faults.operator_acts import OperatorAct, act_arguments, act_name
from adapters.sim.venue.faults.rules import FaultRule, Hook, rule_from_json, rule_to_json
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.outputs import (
    Frame,
    HttpAnswer,
    Output,
    ProcessKilled,
    SocketDropped,
    SocketRefused,
)


@dataclass(frozen=True, slots=True)
class Act:
    """What the operator shall do because a rule fired."""

    rule_id: int
    name: str
    arguments: dict[str, object]


class Switchboard:
    """All rules at work. The order of the rules is that of their ids; the first that drops something ends its way."""

    def __init__(self, seed: int, log: VenueLog, start_ms: int) -> None:
        self._seed = seed
        self._log = log
        self._start_ms = start_ms
        self._now_ms = start_ms
        self._last_id = 0
        self._armed: dict[int, ArmedRule] = {}
        self._on_request: tuple[ArmedRule, ...] = ()
        self._on_frame: tuple[ArmedRule, ...] = ()
        self._channels: frozenset[str] | None = frozenset()
        """Those of which rules want later data; None: all."""
        self._on_socket: tuple[ArmedRule, ...] = ()
        self._on_clock: tuple[ArmedRule, ...] = ()
        self._sort_ms: int | None = None
        """When the next rule's time ends."""
        self._frame_faults = FrameFaults(self._note, self._lose, self._queue)
        self._acts: list[Act] = []
        self._outputs: list[Output] = []

    # ── rules ────────────────────────────────────────────────────────────────────────────────

    def add(self, rule: FaultRule) -> int:
        """Plug a rule in; its id is in every firing's log row. Raises `BadForm` where the rule makes no sense."""
        rule = rule_from_json(rule_to_json(rule))
        self._last_id += 1
        self._armed[self._last_id] = ArmedRule(self._last_id, rule, self._seed, self._start_ms, self._now_ms)
        self._log.append("rule_added", self._now_ms, rule=self._last_id, says=rule_to_json(rule))
        self._sort()
        return self._last_id

    def add_json(self, raw: object) -> int:
        return self.add(rule_from_json(raw))

    def remove(self, rule_id: int) -> None:
        """Unplug a rule and end what it silenced; what it delayed still leaves when it is due."""
        if rule_id not in self._armed:
            raise BadForm(f"no rule {rule_id}; there are: {', '.join(map(str, self._armed)) or 'none'}")
        del self._armed[rule_id]
        self._frame_faults.lift(rule_id)
        self._acts = [act for act in self._acts if act.rule_id != rule_id]
        self._log.append("rule_removed", self._now_ms, rule=rule_id)
        self._sort()

    def clear(self) -> None:
        """Unplug every rule: the calm after the storm."""
        for rule_id in list(self._armed):
            self.remove(rule_id)

    def rules(self) -> list[dict[str, object]]:
        """Every rule as JSON, with its id, how many events it saw, how often it fired, and whether it is over."""
        return [armed.told(self._now_ms) for armed in self._armed.values()]

    def fired(self, rule_id: int) -> int:
        return self._armed[rule_id].fired

    # ── requests ─────────────────────────────────────────────────────────────────────────────

    @property
    def watches_requests(self) -> bool:
        return bool(self._on_request)

    def request_fate(self, request: RequestFacts, now_ms: int) -> RequestFate | None:
        """What becomes of a request that has arrived; None: nothing special."""
        self._now_ms = now_ms
        outputs: list[Timed] = []
        marks: list[Mark] = []
        handle_after_ms, answered, struck = 0, False, False
        for armed in self._on_request:
            if request.socket_id is not None and armed.hooks & Hook.FRAME:
                continue  # the rule will meet the post's answer as a frame
            if not request_matches(armed.match, request) or not armed.fires(now_ms):
                continue
            struck = True
            self._note(armed, now_ms, request=request.request_id, path=request.path, action=request.action)
            fault = armed.rule.fault
            match fault:
                case DropRequest(hang=hang):
                    lost = () if hang else ((now_ms, cut(request)),)
                    return RequestFate((*outputs, *lost), handled=False, answered=True)
                case Refuse():
                    told = early_outputs(request, fault, now_ms)
                    return RequestFate((*outputs, *told), handled=False, answered=True)
                case ExecuteLate(ms=ms, jitter_ms=jitter_ms):
                    handle_after_ms += ms + armed.draw(jitter_ms)
                    outputs += () if answered else early_outputs(request, fault, now_ms)
                    answered = True
                case Kill(pid=pid, point="before", handled=handled):
                    outputs.append((now_ms, ProcessKilled(pid)))
                    if not handled:
                        return RequestFate(tuple(outputs), handled=False, answered=True)
                case Disconnect(point=point):
                    sockets = self._frame_faults.sockets_of(request.ip)
                    if point == "after":
                        marks.append(Mark(armed.id, fault, sockets=tuple(sockets)))
                    else:
                        outputs += [(now_ms, SocketDropped(socket_id)) for socket_id in sockets]
                        self._forget(sockets)
                case HalfOpen():
                    self._frame_faults.half_open(self._frame_faults.sockets_of(request.ip), armed, fault, now_ms)
                case OperatorAct():
                    self._queue(armed, fault, now_ms)
                case Fault():
                    delay_ms = 0
                    if isinstance(fault, DelayAnswer):
                        delay_ms = fault.ms + armed.draw(fault.jitter_ms)
                    marks.append(Mark(armed.id, fault, delay_ms))
                case _:
                    assert_never(fault)
        if not struck:
            return None
        return RequestFate(tuple(outputs), True, handle_after_ms, answered, tuple(marks))

    def answers(
        self, request: RequestFacts, fate: RequestFate | None, answer: HttpAnswer | Frame, now_ms: int
    ) -> list[Timed]:
        """What leaves instead of an answer, and when. A post's answer is a frame, which then goes to `frames`."""
        self._now_ms = now_ms
        if fate is None:
            return [(now_ms, answer)]
        if fate.answered:
            return []
        items = marked_answers(request, fate.marks, answer, now_ms)
        self._forget([output.socket_id for _, output in items if isinstance(output, SocketDropped)])
        return items

    # ── sockets and frames ───────────────────────────────────────────────────────────────────

    def socket_opened(self, socket_id: int, ip: str, now_ms: int) -> SocketRefused | None:
        """Tell of every new socket, before the streams know it; a refusal means that it never was."""
        self._now_ms = now_ms
        for armed in self._on_socket:
            if armed.match.ip in (None, ip) and armed.fires(now_ms):
                self._note(armed, now_ms, socket=socket_id)
                fault = armed.rule.fault
                assert isinstance(fault, RefuseSocket)
                body, _ = answer_body(fault.body, fault.status, fault.text)
                return SocketRefused(socket_id, fault.status, body)
        self._frame_faults.sockets[socket_id] = Socket(ip)
        return None

    def socket_closed(self, socket_id: int) -> None:
        self._frame_faults.sockets.pop(socket_id, None)

    def hears(self, socket_id: int, text: str, now_ms: int) -> bool:
        """Whether a client's frame reaches the venue. Tell of every one: it learns from them who listens to what."""
        self._now_ms = now_ms
        killer = self._frame_faults.is_dead(socket_id, now_ms)
        if killer is not None:
            self._lose(killer, now_ms, socket_id, "", "in")
            return False
        self._frame_faults.heard(socket_id, text)
        return True

    def reaches(self, socket_id: int, now_ms: int) -> bool:
        """Whether the venue's own closing of a socket would reach the client."""
        return self._frame_faults.is_dead(socket_id, now_ms) is None

    @property
    def watches_frames(self) -> bool:
        """False: frames may leave without being asked about."""
        return bool(self._on_frame) or self._frame_faults.is_busy

    def passes(self, frame: Frame) -> bool:
        """True: no rule and no silence can concern this frame, which may leave without being read."""
        return self._frame_faults.passes(self._channels, frame)

    def facts(self, frame: Frame) -> FrameFacts:
        """What rules can know of a frame; ask right before `frames`."""
        return self._frame_faults.facts(frame)

    def frames(self, facts: FrameFacts, frame: Frame, now_ms: int) -> list[Timed]:
        """What leaves instead of a frame, and when; outputs due at one moment leave in this order."""
        self._now_ms = now_ms
        return self._frame_faults.send(self._on_frame, facts, frame, now_ms)

    # ── the clock ────────────────────────────────────────────────────────────────────────────

    def acts_due(self, now_ms: int) -> list[Act]:
        """What the operator shall do now, in order."""
        self._run_clock(now_ms)
        acts, self._acts = self._acts, []
        return acts

    def outputs_due(self, now_ms: int) -> list[Output]:
        """What the clock does to sockets and processes now."""
        self._run_clock(now_ms)
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_due_ms(self) -> int | None:
        if self._acts or self._outputs:
            return self._now_ms
        return min((armed.next_ms for armed in self._on_clock if armed.next_ms is not None), default=None)

    def date_skew_ms(self, now_ms: int) -> int:
        """By how much the `Date` of an HTTP answer is off."""
        return sum(
            armed.rule.fault.ms
            for armed in self._armed.values()
            if isinstance(armed.rule.fault, ClockSkew)
            and armed.rule.fault.of != "times"
            and now_ms >= armed.from_ms
            and not armed.is_over(now_ms)
        )

    def _run_clock(self, now_ms: int) -> None:
        self._now_ms = now_ms
        if self._sort_ms is not None and now_ms >= self._sort_ms:
            self._sort()
        while True:
            due = [(armed.next_ms, armed.id) for armed in self._on_clock if armed.next_ms is not None]
            if not due or min(due)[0] > now_ms:
                return
            armed = self._armed[min(due)[1]]
            if armed.strikes_by_clock():
                self._strike_by_clock(armed, now_ms)

    def _strike_by_clock(self, armed: ArmedRule, now_ms: int) -> None:
        fault = armed.rule.fault
        if isinstance(fault, OperatorAct):
            self._note(armed, now_ms)
            self._queue(armed, fault, now_ms)
        elif isinstance(fault, Kill):
            self._note(armed, now_ms, pid=fault.pid)
            self._outputs.append(ProcessKilled(fault.pid))
        else:
            sockets = self._frame_faults.matching_sockets(armed)
            self._note(armed, now_ms, sockets=sockets)
            if isinstance(fault, HalfOpen):
                self._frame_faults.half_open(sockets, armed, fault, now_ms)
            else:
                self._outputs += [SocketDropped(socket_id) for socket_id in sockets]
                self._forget(sockets)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _sort(self) -> None:
        """Which rules listen where: only those that can still fire."""
        live = [armed for armed in self._armed.values() if not armed.is_over(self._now_ms)]
        self._on_request = tuple(armed for armed in live if armed.hooks & Hook.REQUEST)
        self._on_frame = tuple(armed for armed in live if armed.hooks & Hook.FRAME)
        channels = {armed.match.channel for armed in self._on_frame if armed.match.phase not in ("ack", "first")}
        self._channels = None if None in channels else frozenset(each for each in channels if each is not None)
        self._on_socket = tuple(armed for armed in live if armed.hooks & Hook.SOCKET)
        self._on_clock = tuple(armed for armed in live if armed.hooks & Hook.CLOCK)
        ends = [armed.until_ms for armed in live if armed.until_ms is not None and armed.next_ms is None]
        self._sort_ms = min(ends, default=None)

    def _note(self, armed: ArmedRule, now_ms: int, **fields: object) -> None:
        self._log.append("fault", now_ms, rule=armed.id, fault=armed.rule.name, **fields)
        if armed.is_over(now_ms):
            self._sort()

    def _lose(self, rule_id: int, now_ms: int, socket_id: int, channel: str, way: str) -> None:
        self._log.append("lost", now_ms, rule=rule_id, socket=socket_id, channel=channel, way=way)

    def _queue(self, armed: ArmedRule, act: OperatorAct, now_ms: int) -> None:
        self._acts.append(Act(armed.id, act_name(act), act_arguments(act)))

    def _forget(self, sockets: list[int]) -> None:
        for socket_id in sockets:
            self._frame_faults.sockets.pop(socket_id, None)
