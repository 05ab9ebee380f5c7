"""The kinds of faults, by the names of the catalogue, and how each strikes.

A kind strikes when it is armed by the swarm: a rule for the venue's switchboard, weather for the network, an act of
somebody else on the account, or trouble on the daemon's own machine. It counts once it has really happened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.operator import OperatorVerb
from entrypoints.simulation import weather
from entrypoints.simulation.life import CrashPoint

Rule = dict[str, object]
SECOND_MS = 1_000


class Target(Protocol):
    """What faults can be done to: the run."""

    chance: random.Random

    def plug_in(self, kind: str, rule: Rule) -> None:
        """Give the venue's switchboard a rule; each firing counts."""

    def arm(self, kind: str, amount_ms: int) -> None: ...

    def cut_network(self, for_ms: int) -> None: ...

    def slow_frames(self, kind: str, for_ms: int) -> None: ...

    def act(self, kind: str, name: str, arguments: Mapping[str, object]) -> None:
        """Somebody does something at the venue."""

    def act_on_position(self, kind: str, name: str) -> None:
        """Likewise, to what is held; later, where nothing is."""

    def delist(self, kind: str) -> None: ...

    def foreign_order(self, kind: str) -> None:
        """An order that looks like ours, signed with our key, from somewhere else."""

    def trade_by_hand(self, kind: str, *, closing: bool) -> None: ...

    def step_clock(self, kind: str, ms: int) -> None: ...

    def crash(self, point: CrashPoint) -> None: ...

    def stop(self, kind: str) -> None: ...

    def stall_disk(self, kind: str, for_ms: int) -> None: ...

    def reload(self, kind: str) -> None: ...

    def operator_asks(self, kind: str, verb: OperatorVerb, *, of_one: bool = False) -> None:
        """The operator asks the daemon for something, about one position or about all."""

    def kill_beside_entry(self, kind: str, verb: OperatorVerb) -> None:
        """Likewise, at the moment at which an entry is about to leave."""

    def adopt_by_hand(self, kind: str) -> None:
        """Somebody trades by hand, and gives the daemon what they hold."""

    def any_coin(self) -> str: ...

    @property
    def user(self) -> str: ...


Strike = Callable[[Target], None]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """`most_a_day`: how often it is armed in a day of a seed that has it, at most."""

    name: str
    most_a_day: int
    strike: Strike
    share: float = 0.4
    """Of the seeds that have it."""


def _rule(name: str, most: int, make: Callable[[random.Random], Rule]) -> FaultKind:
    return FaultKind(name, most, lambda target: target.plug_in(name, make(target.chance)))


def _weather(name: str, most: int, amount: Callable[[random.Random], int] = lambda _: 0) -> FaultKind:
    return FaultKind(name, most, lambda target: target.arm(name, amount(target.chance)))


def _crash(point: CrashPoint, most: int) -> FaultKind:
    return FaultKind(point.value, most, lambda target: target.crash(point))


def _operator(name: str, most: int, verb: OperatorVerb, share: float, *, of_one: bool = False) -> FaultKind:
    return FaultKind(name, most, lambda target: target.operator_asks(name, verb, of_one=of_one), share)


def _on(match: Mapping[str, object], fault: str, times: int = 1, **parameters: object) -> Rule:
    return {"fault": fault, "match": dict(match), "when": {"times": times}, "with": parameters}


ORDER: Mapping[str, object] = {"action": "order"}
EXCHANGE: Mapping[str, object] = {"path": "/exchange"}
INFO: Mapping[str, object] = {"path": "/info"}
_ACCOUNT_CHANNELS = ("userFills", "orderUpdates", "user", "userFundings")


def _account_frames(chance: random.Random, phase: str = "later") -> dict[str, object]:
    return {"channel": chance.choice(_ACCOUNT_CHANNELS), "phase": phase}


def _any_frames(chance: random.Random) -> dict[str, object]:
    return {"channel": chance.choice((*_ACCOUNT_CHANNELS, "candle", "candle", "allMids", "bbo"))}


KINDS: tuple[FaultKind, ...] = (
    # F: requests
    _rule("F01 reply lost", 4, lambda c: _on(ORDER, "lose_reply", sent_bytes=c.choice((0, 12)), hang=c.random() < 0.4)),
    _rule("F02 request dropped at the door", 3, lambda c: _on(ORDER, "drop_request", hang=c.random() < 0.5)),
    _rule(
        "F03 error, then executed",
        8,
        lambda c: _on(
            ORDER,
            "execute_late",
            ms=c.choice((0, 400, 900, 1_500, 2_500, 4_000, 12_000, 60_000)),
            jitter_ms=c.choice((0, 0, 1_000, 240_000)),
            status=c.choice((500, 502, 429)),
            body=c.choice(("null", "html", "text", "cut", "hang")),
        ),
    ),
    _rule("F05 rate limited", 3, lambda c: _on(c.choice((EXCHANGE, INFO)), "refuse", c.randint(1, 3), status=429)),
    _rule(
        "F07 server error before",
        3,
        lambda c: _on(
            EXCHANGE, "refuse", status=c.choice((500, 502, 503, 504)), body=c.choice(("html", "text", "null"))
        ),
    ),
    _rule(
        "F07b server error after",
        3,
        lambda c: _on(
            ORDER, "replace_answer", status=c.choice((500, 502, 503)), body=c.choice(("html", "empty", "null"))
        ),
    ),
    _rule(
        "F08 unreadable answer", 3, lambda c: _on(ORDER, "replace_answer", status=200, body=c.choice(("html", "empty")))
    ),
    _rule(
        "F08b answer cut off", 3, lambda c: _on(c.choice((ORDER, INFO)), "truncate", keep=round(c.random() * 0.9, 2))
    ),
    _rule(
        "F09 err without reason", 2, lambda _: _on(ORDER, "replace_answer", status=200, body="err", text="unheard of")
    ),
    _rule(
        "F01d answer delayed",
        4,
        lambda c: _on(ORDER, "delay_answer", ms=c.choice((900, 4_000, 11_000)), jitter_ms=3_000),
    ),
    _rule("F17 questions unanswered", 3, lambda c: _on(INFO, "refuse", c.randint(2, 25), status=502, body="html")),
    _weather(weather.NOT_SENT, 3),
    _weather(weather.REQUEST_LOST, 3),
    _weather(weather.REPLY_LOST, 3),
    _weather(weather.RESET, 3),
    _weather(weather.LATE_ARRIVAL, 3, lambda c: c.choice((1_500, 4_000, 9_000, 11_000, 40_000, 300_000))),
    _weather(weather.SLOW_WAY, 3, lambda c: c.choice((3_000, 9_500, 14_000))),
    # E: sockets and frames
    _rule(
        "E01 silent connection", 2, lambda c: {"fault": "half_open", "with": {"for_ms": c.choice((50_000, 200_000))}}
    ),
    _rule("E01p no pongs", 1, lambda c: _on({"channel": "pong"}, "no_pongs", 3)),
    _rule(
        "E02 stream dies silently",
        3,
        lambda c: _on(_any_frames(c), "stale_stream", ends=c.choice(("resubscribe", "reconnect"))),
    ),
    _rule("E03 acknowledgement lost", 2, lambda c: _on({"phase": "ack"}, "drop_frames", c.randint(1, 3))),
    _rule("E05 disconnect", 5, lambda c: {"fault": "disconnect"}),
    _rule("E05r handshake refused", 2, lambda c: {"fault": "refuse_socket", "when": {"times": c.randint(1, 4)}}),
    _rule("E07 lie on resubscribe", 2, lambda c: _on({}, "lie_on_resubscribe", data=c.choice(("nothing", "old")))),
    _rule(
        "E09 frames told twice",
        4,
        lambda c: _on(_any_frames(c), "duplicate_frames", c.randint(1, 6), copies=c.randint(1, 2)),
    ),
    _rule(
        "E10 frames out of order",
        4,
        lambda c: _on(_any_frames(c), "reorder_frames", c.randint(2, 6), window_ms=c.choice((400, 4_000))),
    ),
    _rule(
        "E10d frames delayed",
        3,
        lambda c: _on(_any_frames(c), "delay_frames", c.randint(1, 5), ms=c.choice((800, 9_000, 40_000))),
    ),
    _rule("E11 account frame dropped", 4, lambda c: _on(_account_frames(c), "drop_frames", c.randint(1, 2))),
    _rule(
        "E11m market frame dropped",
        3,
        lambda c: _on({"channel": "candle", "phase": "later"}, "drop_frames", c.randint(1, 8)),
    ),
    _rule("E13 frame cut off", 2, lambda c: _on(_any_frames(c), "truncate", keep=round(c.random() * 0.9, 2))),
    _rule(
        "E14 unheard-of word",
        2,
        lambda c: _on(_account_frames(c), "unknown_value", field=c.choice(("status", "dir", "side"))),
    ),
    _rule("E14c unheard-of channel", 1, lambda c: _on(_any_frames(c), "unknown_channel", instead=c.random() < 0.5)),
    _rule("E15 bare numbers", 2, lambda c: _on(_account_frames(c), "bare_numbers")),
    FaultKind(weather.CUT, 3, lambda t: t.cut_network(t.chance.choice((300, 4_000, 30_000, 240_000)))),
    FaultKind(weather.SLOW_FRAMES, 2, lambda t: t.slow_frames(weather.SLOW_FRAMES, t.chance.choice((2_000, 12_000)))),
    # D: time
    FaultKind(
        "D03 clock set back", 1, lambda t: t.step_clock("D03 clock set back", -t.chance.choice((700, 3_000, 8_000)))
    ),
    FaultKind("D01 clock ahead", 1, lambda t: t.step_clock("D01 clock ahead", t.chance.choice((600, 2_500, 7_000)))),
    _rule(
        "D01v venue tells a wrong time",
        1,
        lambda c: _on({"request_type": "exchangeStatus"}, "clock_skew", ms=-c.choice((1_500, 4_000, 20_000))),
    ),
    # G: the exchange, and others on the account
    FaultKind(
        "G28 chain halts",
        2,
        lambda t: t.act("G28 chain halts", "halt", {"ms": t.chance.choice((3_000, 15_000, 90_000))}),
    ),
    FaultKind("G07 post-only phase", 1, lambda t: t.act("G07 post-only phase", "post_only", {"ms": 20_000})),
    FaultKind("G10 trade by hand", 2, lambda t: t.trade_by_hand("G10 trade by hand", closing=False)),
    FaultKind("G24 closed by hand", 2, lambda t: t.trade_by_hand("G24 closed by hand", closing=True)),
    FaultKind(
        "G26 orders canceled by hand", 2, lambda t: t.act("G26 orders canceled by hand", "cancel_all", {"user": t.user})
    ),
    FaultKind(
        "G23 leverage set by hand",
        2,
        lambda t: t.act(
            "G23 leverage set by hand",
            "set_leverage",
            {
                "user": t.user,
                "coin": t.any_coin(),
                "value": t.chance.randint(1, 10),
                "is_cross": t.chance.random() < 0.7,
            },
        ),
    ),
    FaultKind(
        "G25 deposit", 1, lambda t: t.act("G25 deposit", "deposit", {"user": t.user, "usd": t.chance.randint(20, 900)})
    ),
    FaultKind(
        "G25w withdrawal",
        1,
        lambda t: t.act("G25w withdrawal", "withdraw", {"user": t.user, "usd": t.chance.randint(20, 900)}),
    ),
    FaultKind("G11 liquidation", 1, lambda t: t.act_on_position("G11 liquidation", "liquidate")),
    FaultKind("G12 deleveraging", 1, lambda t: t.act_on_position("G12 deleveraging", "deleverage")),
    FaultKind("G21 delisting", 1, lambda t: t.delist("G21 delisting"), share=0.12),
    FaultKind("C02 another daemon's order", 1, lambda t: t.foreign_order("C02 another daemon's order"), share=0.04),
    # A, L, B, K: the daemon's own machine
    _crash(CrashPoint.BEFORE_COMMIT, 2),
    _crash(CrashPoint.AFTER_COMMIT, 2),
    _crash(CrashPoint.REQUEST_LEFT, 2),
    _crash(CrashPoint.REPLY_UNREAD, 2),
    _crash(CrashPoint.RECOVERING, 2),
    _crash(CrashPoint.ANYWHERE, 2),
    FaultKind("L01 asked to stop", 2, lambda t: t.stop("L01 asked to stop")),
    FaultKind("B16 slow disk", 3, lambda t: t.stall_disk("B16 slow disk", t.chance.choice((400, 2_500, 7_000)))),
    FaultKind("K09 config changed", 2, lambda t: t.reload("K09 config changed")),
    # L07: the operator
    _operator("L07 entries paused", 2, OperatorVerb.PAUSE, 0.3),
    _operator("L07 killed softly", 1, OperatorVerb.KILL_SOFT, 0.25),
    _operator("L07 killed hard", 1, OperatorVerb.KILL_HARD, 0.25),
    _operator("L07 everything flattened", 1, OperatorVerb.FLATTEN, 0.2),
    _operator("L07 one position flattened", 2, OperatorVerb.FLATTEN, 0.3, of_one=True),
    _operator("L07 exit forced", 2, OperatorVerb.FORCE_EXIT, 0.3, of_one=True),
    _operator("L07 orders canceled", 2, OperatorVerb.CANCEL_ORDERS, 0.3),
    FaultKind("L07 position adopted", 2, lambda t: t.adopt_by_hand("L07 position adopted"), 0.3),
    FaultKind(
        "L07 killed beside an entry",
        2,
        lambda t: t.kill_beside_entry(
            "L07 killed beside an entry", t.chance.choice((OperatorVerb.KILL_SOFT, OperatorVerb.KILL_HARD))
        ),
        0.2,
    ),
)
NAMES = tuple(kind.name for kind in KINDS)
VISIBLE_LATE = "F20 orders seen late"
"""A trait of the venue, not a moment: queries for orders and fills lag the chain."""
EVERY_KIND = (*NAMES, VISIBLE_LATE)
EVERYTHING_ONCE = {kind.name: kind for kind in KINDS}
