"""Fault rules: what happens (`with`), to what (`match`), how often and when (`when`), and their JSON form.

    {"fault": "lose_reply", "match": {"action": "order"}, "when": {"nth": 3}, "with": {"sent_bytes": 10}, "note": ""}

A rule waits for events, or for the clock. For events: of those that match from `at_ms` to `until_ms`, it fires at
the `nth` (else the first), then at `every` so-manieth, each time with `probability`, at most `times` times. By the
clock (only what needs no event: acts, `disconnect`, `half_open`, `kill`): at `at_ms`, then each `every_ms`. Times
count from the venue's start. `times` is 1 where only `nth` is given, and for what by its nature happens once.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.sim.venue.faults.forms import BadForm, read_form, read_object, require_known
from adapters.sim.venue.faults.kinds import (
    FAULTS,
    Count,
    Disconnect,
    Fault,
    HalfOpen,
    Kill,
    Milliseconds,
    OnFrame,
    OnRequest,
    OnText,
    RefuseSocket,
    StaleStream,
)
from adapters.sim.venue.faults.operator_acts import ACTS, OperatorAct, act_name

# fmt: off
CHANNELS = frozenset((
    "allMids", "bbo", "l2Book", "trades", "candle", "activeAssetCtx", "activeSpotAssetCtx", "fastAssetCtxs",
    "allDexsAssetCtxs", "orderUpdates", "user", "userFills", "userFundings", "userNonFundingLedgerUpdates",
    "notification", "activeAssetData", "clearinghouseState", "allDexsClearinghouseState", "openOrders", "spotState",
    "webData2", "webData3", "userHistoricalOrders", "twapStates", "userTwapSliceFills", "userTwapHistory",
    "outcomeMetaUpdates", "subscriptionResponse", "pong", "error", "post",
))
# fmt: on
RULE_KEYS = ("fault", "with", "match", "when", "note")
ByClock = OperatorAct | Disconnect | HalfOpen | Kill
"""What can happen without a request or a frame to happen to."""
Once = OperatorAct | Disconnect | HalfOpen | Kill | StaleStream


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule applies to; what is not named may be anything.

    `path`, `request_type` (of an info request) and `action` (its type) mean requests; `channel` and `phase` mean
    frames. A channel is meant without its acknowledgements unless `phase` is "ack"; "data" is first and later.
    `user` is found in user streams' frames also where these do not name it.
    """

    path: Literal["/info", "/exchange"] | None = None
    request_type: str | None = None
    action: str | None = None
    channel: str | None = None
    phase: Literal["ack", "first", "later", "data"] | None = None
    coin: str | None = None
    user: str | None = None
    socket: int | None = None
    ip: str | None = None

    @property
    def means_requests(self) -> bool:
        return self.path is not None or self.request_type is not None or self.action is not None

    @property
    def means_frames(self) -> bool:
        return self.channel is not None or self.phase is not None


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at_ms: Milliseconds | None = None
    every_ms: Count | None = None
    until_ms: Milliseconds | None = None
    nth: Count | None = None
    every: Count | None = None
    times: Count | None = None
    probability: Annotated[float, Meta(gt=0, le=1)] | None = None


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule. `note` is for whoever reads the log."""

    fault: Fault | OperatorAct
    match: Match = field(default_factory=Match)
    when: When = field(default_factory=When)
    note: str = ""

    @property
    def name(self) -> str:
        return act_name(self.fault) if isinstance(self.fault, OperatorAct) else _FAULT_NAMES[type(self.fault)]

    @property
    def by_clock(self) -> bool:
        if not isinstance(self.fault, ByClock) or self.match.means_requests or self.match.means_frames:
            return False
        when = self.when
        return when.every_ms is not None or (when.nth is None and when.every is None and when.probability is None)

    @property
    def limit(self) -> int | None:
        """How often it may fire; None for any number of times."""
        when = self.when
        if when.times is not None:
            return when.times
        if self.by_clock:
            return None if when.every_ms is not None else 1
        if when.every is not None or when.probability is not None:
            return None
        return 1 if when.nth is not None or isinstance(self.fault, Once) else None


class Hook(enum.Flag):
    """Where a rule listens."""

    NOWHERE = 0
    REQUEST = enum.auto()
    FRAME = enum.auto()
    SOCKET = enum.auto()
    CLOCK = enum.auto()


_FAULT_NAMES = {kind: name for name, kind in FAULTS.items()}


def hooks(rule: FaultRule) -> Hook:
    if rule.by_clock:
        return Hook.CLOCK
    if isinstance(rule.fault, RefuseSocket):
        return Hook.SOCKET
    if isinstance(rule.fault, OnRequest):
        return Hook.REQUEST
    if isinstance(rule.fault, OnFrame):
        return Hook.FRAME
    if rule.match.means_requests:
        return Hook.REQUEST
    if rule.match.means_frames:
        return Hook.FRAME
    if isinstance(rule.fault, OnText):
        return Hook.REQUEST | Hook.FRAME
    return Hook.FRAME if isinstance(rule.fault, Disconnect | HalfOpen) else Hook.REQUEST


def check_rule(rule: FaultRule) -> None:
    """Raise `BadForm` where the parts of a rule contradict each other, so that it could never fire as meant."""
    match, when, listens = rule.match, rule.when, hooks(rule)
    if match.channel is not None:
        require_known([match.channel], CHANNELS, "match.channel")
    if match.means_requests and (match.means_frames or not listens & Hook.REQUEST):
        raise BadForm(
            f"{rule.name}: path, request_type and action match requests, but this rule is about {_about(rule)}"
        )
    if match.means_frames and not listens & Hook.FRAME:
        raise BadForm(f"{rule.name}: channel and phase match frames, but this rule is about {_about(rule)}")
    if listens is Hook.SOCKET and any((match.coin, match.user, match.socket)):
        raise BadForm(f"{rule.name}: a handshake is known by its ip only")
    if listens is Hook.CLOCK and match.coin is not None:
        raise BadForm(f"{rule.name}: by the clock there is no coin to match; name a channel to wait for its frames")
    if listens is Hook.CLOCK and isinstance(rule.fault, OperatorAct | Kill) and match != Match():
        raise BadForm(f"{rule.name}: by the clock there is nothing to match; name a path or a channel to wait for one")
    if when.every_ms is not None and listens is not Hook.CLOCK:
        raise BadForm(f"{rule.name}: every_ms is for what happens by the clock; here, use every, nth or probability")
    if when.every_ms is not None and (when.nth is not None or when.every is not None):
        raise BadForm(f"{rule.name}: every_ms goes by the clock, nth and every by events; use one of them")
    if when.until_ms is not None and when.until_ms <= (when.at_ms or 0):
        raise BadForm(f"{rule.name}: until_ms must be later than at_ms")


def _about(rule: FaultRule) -> str:
    if rule.match.means_requests and rule.match.means_frames:
        return "one or the other"
    named = {Hook.REQUEST: "requests", Hook.FRAME: "frames", Hook.SOCKET: "handshakes", Hook.CLOCK: "the clock"}
    return named[hooks(rule)]


def rule_from_json(raw: object) -> FaultRule:
    """Raise `BadForm` with a text that says what is wrong and what is known."""
    given = read_object(raw, "a fault rule")
    require_known(given, RULE_KEYS, "a fault rule")
    name = given.get("fault")
    if not isinstance(name, str):
        raise BadForm("a fault rule needs `fault`, the name of what happens")
    kinds: Mapping[str, type[Fault] | type[OperatorAct]] = {**FAULTS, **ACTS}
    require_known([name], kinds, "fault")
    note = given.get("note", "")
    if not isinstance(note, str):
        raise BadForm("note must be text")
    rule = FaultRule(
        fault=read_form(given.get("with", {}), kinds[name], f"with of {name}"),
        match=_lowered(read_form(given.get("match", {}), Match, "match")),
        when=read_form(given.get("when", {}), When, "when"),
        note=note,
    )
    check_rule(rule)
    return rule


def rule_to_json(rule: FaultRule) -> dict[str, object]:
    """Only what differs from the defaults."""
    told: dict[str, object] = {"fault": rule.name}
    for key, part in (("with", rule.fault), ("match", rule.match), ("when", rule.when)):
        if said := _said(part):
            told[key] = said
    if rule.note:
        told["note"] = rule.note
    return told


def _said(part: msgspec.Struct) -> dict[str, object]:
    said: dict[str, object] = {}
    for info in msgspec.structs.fields(part):
        value = getattr(part, info.name)
        if info.required or value != info.default:
            said[info.name] = list(value) if isinstance(value, tuple) else value
    return said


def _lowered(match: Match) -> Match:
    return msgspec.structs.replace(match, user=match.user.lower()) if match.user is not None else match
