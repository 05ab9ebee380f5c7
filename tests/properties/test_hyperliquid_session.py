"""The WebSocket session under any venue: it never blocks, never floods, never loses a stream without saying so."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.hyperliquid.heard import Acked, BboHeard, Drifted, Pong, TradesHeard, VenueError, subscription_key
from adapters.hyperliquid.session import NEVER_MS, PING, Phase, WsSession
from adapters.hyperliquid.session_steps import Close, Deliver, Do, Reconnect, Resynced, Send, SessionRules, Tell
from adapters.hyperliquid.subscriptions import MessageBudget, Subscription, account_subscriptions, market_subscriptions
from domain.candles import Interval

ME = "0x" + 40 * "a"
COINS = ("BTC", "ETH", "SOL")
RULES = SessionRules(unanswered_limit=4, failures_told=3, unreadable_per_minute=3)
PER_MINUTE = 40


class AnyVenue(RuleBasedStateMachine):
    """The venue answers, refuses, stays silent, drops; time passes in any steps."""

    @initialize(seed=st.integers(0, 1_000), with_account=st.booleans())
    def start(self, seed: int, with_account: bool) -> None:
        account = account_subscriptions(ME) if with_account else []
        market = market_subscriptions(COINS, Interval.M1, bbo=True, candle=True, trades=True)
        self.wanted = {each.key: each for each in [*account, *market]}
        self.budget = MessageBudget(PER_MINUTE)
        self.session = WsSession(list(self.wanted.values()), RULES, random.Random(seed), self.budget)
        self.now_ms = 0
        self.open = False
        self.closing = False
        self.pending: list[Subscription] = []  # asked on this connection, not answered by the venue
        self.answered: set[str] = set()
        self.backlogged: set[str] = set()
        self.told: list[Tell] = []
        self.sent: list[int] = []
        self.resynced: set[str] = set()
        self.waits: list[int] = []

    def take(self, todo: list[Do]) -> None:
        for do in todo:
            match do:
                case Send(text=text):
                    assert self.open and not self.closing, "sent without a connection"
                    if text != PING:
                        self.sent.append(self.now_ms)
                        key = subscription_key(json.loads(text)["subscription"])
                        assert key in self.wanted and key not in self.session.given_up
                        if self.wanted[key] not in self.pending:
                            self.pending.append(self.wanted[key])
                case Close():
                    assert self.open and not self.closing
                    self.closing = True
                case Resynced(keys=keys):
                    assert keys and set(keys) <= self.answered, "resynced before its answer"
                    assert not self.resynced & set(keys), "resynced once a connection"
                    self.resynced |= set(keys)
                case Tell():
                    self.told.append(do)
                case Reconnect(at_ms=at_ms):
                    self.waits.append(at_ms - self.now_ms)
                case Deliver():
                    pass

    def hear(self, frame: Any) -> list[Do]:
        todo = self.session.heard(frame, self.now_ms)
        self.take(todo)
        return todo

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: not self.open)
    @rule(works=st.booleans())
    def connect(self, works: bool) -> None:
        self.now_ms = max(self.now_ms, self.session.next_due_ms)
        if not works:
            self.take(self.session.lost(self.now_ms, "refused"))
            return
        self.open, self.closing = True, False
        self.pending, self.answered, self.backlogged, self.resynced = [], set(), set(), set()
        self.take(self.session.opened(self.now_ms))

    @precondition(lambda self: self.open)
    @rule()
    def drop(self) -> None:
        self.open = self.closing = False
        self.take(self.session.lost(self.now_ms, "closed with 1006"))
        assert self.session.phase is Phase.WAITING

    @precondition(lambda self: self.open and self.pending)
    @rule(data=st.data(), how=st.sampled_from(["ack", "ack", "ack", "already", "invalid", "users"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        stream = data.draw(st.sampled_from(self.pending[:3]))
        self.pending.remove(stream)
        quoted = json.dumps(stream.request)
        if how in ("ack", "already"):
            self.answered.add(stream.key)
            said = Acked("subscribe", stream.key, stream.request)
            self.hear(said if how == "ack" else VenueError(f"Already subscribed: {quoted}"))
        elif how == "invalid":
            self.hear(VenueError(f"Invalid subscription {quoted}"))
        else:
            self.hear(VenueError("Cannot track more than 15 total users."))

    @precondition(lambda self: self.open)
    @rule(coin=st.sampled_from((*COINS, "XYZ")), kind=st.sampled_from(["bbo", "trades", "pong", "drift", "garbage"]))
    def say(self, coin: str, kind: str) -> None:
        match kind:
            case "bbo":
                self.hear(BboHeard(coin, self.now_ms, 1.0, 2.0))
            case "trades":
                todo = self.hear(TradesHeard(coin, ()))
                if todo and coin in COINS:
                    assert isinstance(todo[0], Deliver)
                    assert todo[0].is_backlog == (coin not in self.backlogged), "the first trades, and only these"
                    self.backlogged.add(coin)
            case "pong":
                self.hear(Pong())
            case "drift":
                assert not any(isinstance(do, Close) for do in self.hear(Drifted("surprise", "unknown channel")))
            case _:
                self.hear(Drifted("", "not JSON"))

    @rule(passed_ms=st.sampled_from([1, 100, 5_000, 20_000, 60_000]))
    def wait(self, passed_ms: int) -> None:
        """Time passes the way a shell lets it pass: from one due moment to the next."""
        until_ms = self.now_ms + passed_ms
        ticks = 0
        while self.open and not self.closing and self.session.next_due_ms <= until_ms:
            self.now_ms = max(self.now_ms, self.session.next_due_ms)
            self.take(self.session.tick(self.now_ms))
            ticks += 1
            assert ticks < 500, "it is due again and again without time passing"
        self.now_ms = until_ms

    # ── what always holds ────────────────────────────────────────────────────────────────────────

    @invariant()
    def questions_stay_within_the_budget(self) -> None:
        assert len([at for at in self.sent if at > self.now_ms - 60_000]) <= PER_MINUTE + len(self.wanted)

    @invariant()
    def a_connection_is_never_left_without_a_due_moment(self) -> None:
        if self.open and not self.closing:
            assert self.session.next_due_ms <= self.now_ms + RULES.dead_after_ms
        elif self.closing:
            assert self.session.next_due_ms == NEVER_MS

    @invariant()
    def what_is_given_up_was_told_once(self) -> None:
        codes = ("stream_refused", "stream_quarantined")
        told = [each.text.split(" ", 1)[0] for each in self.told if each.code in codes]
        assert sorted(told) == sorted(self.session.given_up)

    @invariant()
    def waits_lie_between_one_and_thirty_seconds(self) -> None:
        assert all(RULES.backoff_first_ms <= wait <= RULES.backoff_max_ms for wait in self.waits)

    def teardown(self) -> None:
        """An honest venue at last: everything that was not refused comes back, whatever happened before."""
        if not hasattr(self, "session"):
            return
        if self.open:
            self.drop()
        self.now_ms += 120_000
        self.connect(True)
        for _ in range(200):
            if not self.pending:
                break
            stream = self.pending.pop(0)
            self.answered.add(stream.key)
            self.hear(Acked("subscribe", stream.key, stream.request))
        assert self.session.phase is Phase.LIVE
        assert self.answered == set(self.wanted) - set(self.session.given_up)
        assert self.resynced == self.answered
        self.say("BTC", "pong")
        self.wait(20_000)
        self.say("BTC", "pong")
        self.wait(20_000)
        assert self.session.failures == 0, "it has proven itself"


AnyVenue.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestAnyVenue = AnyVenue.TestCase
