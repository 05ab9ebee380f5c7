"""The WebSocket session under any venue: it never blocks, never floods, never loses a stream without saying so.

What is wanted changes all the time. Whatever happened, in which order: once things are calm the venue sends what is
wanted, and nothing else but what was given up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.hyperliquid.heard import Acked, BboHeard, Drifted, Pong, TradesHeard, VenueError, subscription_key
from adapters.hyperliquid.session import PING, Phase, WsSession
from adapters.hyperliquid.session_steps import (
    Close,
    Deliver,
    Do,
    Reconnect,
    Resynced,
    Send,
    SessionRules,
    Stopped,
    Tell,
)
from adapters.hyperliquid.stream_table import NEVER_MS
from adapters.hyperliquid.subscriptions import (
    MessageBudget,
    StreamRoom,
    Subscription,
    account_subscriptions,
    market_subscriptions,
)
from domain.candles import Interval

ME = "0x" + 40 * "a"
COINS = ("BTC", "ETH", "SOL")
RULES = SessionRules(unanswered_limit=4, failures_told=3, unreadable_per_minute=3)
PER_MINUTE = 40
ROOM = 8
"""For all of the account and a little of the market: what is wanted fits, but what leaves must be gone first."""
MARKET = market_subscriptions(
    COINS, Interval.M1, bbo=True, candle=True, trades=True, exit_symbols=COINS, exit_interval=Interval.M5
)

streams = st.lists(st.sampled_from(MARKET), min_size=1, max_size=8, unique=True)

seldom = st.sampled_from([False] * 5 + [True])


class AnyVenue(RuleBasedStateMachine):
    """The venue answers, refuses, stays silent, drops; time passes in any steps."""

    @initialize(
        seed=st.integers(0, 1_000),
        with_account=st.booleans(),
        first=st.sets(st.sampled_from(range(len(MARKET)))),
        begun=st.booleans(),
    )
    def start(self, seed: int, with_account: bool, first: set[int], begun: bool) -> None:
        account = account_subscriptions(ME) if with_account else []
        self.known = {each.key: each for each in [*account, *MARKET]}
        market = [MARKET[place] for place in sorted(first)][: ROOM - len(account)]
        self.wanted = {each.key for each in [*account, *market]}
        self.budget = MessageBudget(PER_MINUTE)
        self.session = WsSession([*account, *market], RULES, random.Random(seed), self.budget, StreamRoom(ROOM))
        self.now_ms = 0
        self.open = False
        self.closing = False
        self.pending: list[tuple[str, Subscription]] = []  # asked on this connection; the venue has not looked yet
        self.at_venue: set[str] = set()
        self.fresh: set[str] = set()  # whose trades were not heard since they were asked for
        self.told: list[Tell] = []
        self.sent: list[int] = []
        self.running: set[str] = set()
        self.waits: list[int] = []
        if begun:
            self.connect(True)
            self.answer_all()

    def take(self, todo: list[Do]) -> None:
        for do in todo:
            match do:
                case Send(text=text):
                    assert self.open and not self.closing, "sent without a connection"
                    if text != PING:
                        self.sent.append(self.now_ms)
                        said = json.loads(text)
                        key = subscription_key(said["subscription"])
                        if said["method"] == "subscribe":
                            assert key in self.wanted and key not in self.session.given_up
                        else:
                            assert not self.known[key].of_account, "the account is never left"
                        self.pending.append((said["method"], self.known[key]))
                case Close():
                    assert self.open and not self.closing
                    self.closing = True
                case Resynced(keys=keys):
                    assert keys and set(keys) <= self.wanted & self.at_venue, "said to run, and does not"
                    assert not self.running & set(keys), "said to run twice"
                    self.running |= set(keys)
                case Stopped(keys=keys):
                    assert keys and set(keys) <= self.running, "never said to run"
                    self.running -= set(keys)
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

    # ── what is wanted ───────────────────────────────────────────────────────────────────────────

    @rule(chosen=streams)
    def want(self, chosen: Collection[Subscription]) -> None:
        taken = len(self.wanted.difference(self.session.given_up))
        fitting = [each for each in chosen if each.key not in self.wanted][: ROOM - taken]
        again = [each for each in chosen if each.key in self.wanted]
        self.wanted |= {each.key for each in fitting}
        self.take(self.session.want([*fitting, *again], self.now_ms))

    @rule(chosen=streams)
    def drop(self, chosen: Collection[Subscription]) -> None:
        keys = [each.key for each in chosen]
        self.wanted -= set(keys)
        self.take(self.session.drop(keys, self.now_ms))
        assert not self.running & set(keys), "what is dropped has stopped"

    @rule(chosen=streams)
    def renew(self, chosen: Collection[Subscription]) -> None:
        self.take(self.session.renew([each.key for each in chosen], self.now_ms))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: not self.open)
    @rule(works=st.booleans())
    def connect(self, works: bool) -> None:
        self.now_ms = max(self.now_ms, self.session.next_due_ms)
        if not works:
            self.take(self.session.lost(self.now_ms, "refused"))
            return
        self.open, self.closing = True, False
        self.take(self.session.opened(self.now_ms))

    @precondition(lambda self: self.open)
    @rule(really=seldom)
    def lose(self, really: bool) -> None:
        if really or self.closing:
            self.disconnect()

    def disconnect(self) -> None:
        self.open = self.closing = False
        self.pending, self.at_venue = [], set()
        self.take(self.session.lost(self.now_ms, "closed with 1006"))
        assert self.session.phase is Phase.WAITING
        assert not self.running, "nothing runs without a connection"

    @precondition(lambda self: self.open)
    @rule(really=seldom)
    def give_up(self, really: bool) -> None:
        if really:
            self.take(self.session.give_up_connection("somebody wants so"))
            assert self.closing

    @precondition(lambda self: self.open and self.pending)
    @rule(
        place=st.integers(0, 2),
        how=st.sampled_from(["honest"] * 8 + ["silent", "ignored", "invalid", "users"]),
    )
    def answer(self, place: int, how: str) -> None:
        """The venue takes up a question: each stream's in their order, those of several streams in any."""
        method, stream = self.pending[min(place, len(self.pending) - 1)]
        place = next(n for n, (_, each) in enumerate(self.pending) if each is stream)
        method, stream = self.pending.pop(place)
        quoted = json.dumps(stream.request)
        starts, is_there = method == "subscribe", stream.key in self.at_venue
        if how == "ignored":
            return
        if starts and not is_there and how in ("invalid", "users"):
            text = "Cannot track more than 15 total users." if how == "users" else f"Invalid subscription {quoted}"
            self.hear(VenueError(text))
            return
        if starts:
            self.at_venue.add(stream.key)
            self.fresh |= {stream.coin} if stream.kind == "trades" and not is_there else set()
        else:
            self.at_venue.discard(stream.key)
        if how != "silent":
            already = f"Already {method}d: {quoted}"
            self.hear(VenueError(already) if starts is is_there else Acked(method, stream.key, stream.request))

    @precondition(lambda self: self.open and self.pending)
    @rule()
    def answer_all(self) -> None:
        while self.pending and not self.closing:
            self.answer(0, "honest")

    @precondition(lambda self: self.open)
    @rule(coin=st.sampled_from((*COINS, "XYZ")), kind=st.sampled_from(["bbo", "pong", "drift", "garbage"]))
    def say(self, coin: str, kind: str) -> None:
        match kind:
            case "bbo":
                self.hear(BboHeard(coin, self.now_ms, 1.0, 2.0))
            case "pong":
                self.hear(Pong())
            case "drift":
                assert not any(isinstance(do, Close) for do in self.hear(Drifted("surprise", "unknown channel")))
            case _:
                self.hear(Drifted("", "not JSON"))

    @precondition(lambda self: self.open)
    @rule(coin=st.sampled_from(COINS))
    def say_trades(self, coin: str) -> None:
        """A stream that runs sends trades; the first frame repeats what happened before."""
        if f"trades:coin={coin}" in self.running:
            for delivered in self.hear(TradesHeard(coin, ())):
                assert isinstance(delivered, Deliver)
                assert delivered.is_backlog == (coin in self.fresh), "the first trades, and only these"
                self.fresh.discard(coin)

    @rule(passed_ms=st.sampled_from([1, 100, 5_000, 20_000, 60_000]))
    def wait(self, passed_ms: int) -> None:
        """Time passes the way a shell lets it pass: from one due moment to the next."""
        until_ms = self.now_ms + passed_ms
        ticks = 0
        while self.open and not self.closing and self.session.next_due_ms <= until_ms:
            self.now_ms = max(self.now_ms, self.session.next_due_ms)
            self.take(self.session.tick(self.now_ms))
            ticks += 1
            assert ticks < 1_000, "it is due again and again without time passing"
        self.now_ms = until_ms

    # ── what always holds ────────────────────────────────────────────────────────────────────────

    @invariant()
    def questions_stay_within_the_budget(self) -> None:
        assert len([at for at in self.sent if at > self.now_ms - 60_000]) <= PER_MINUTE

    @invariant()
    def the_venue_never_has_more_streams_than_there_is_room(self) -> None:
        asked = {stream.key for method, stream in self.pending if method == "subscribe"}
        assert len((self.at_venue | asked).difference(self.session.given_up)) <= ROOM

    @invariant()
    def what_runs_is_wanted_and_at_the_venue(self) -> None:
        assert self.running <= self.wanted & self.at_venue

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
        """An honest venue at last: what is wanted and was not refused is there, whatever happened before."""
        if not hasattr(self, "session"):
            return
        self.want(MARKET)  # as much as there is room for
        for _ in range(200):
            if self.closing:
                self.disconnect()
            if not self.open:
                self.connect(True)
            self.answer_all()
            if not self.closing:
                self.hear(Pong())
                if self.is_calm:
                    break
                self.wait(1_000)
        assert self.is_calm
        expected = self.wanted.difference(self.session.given_up)
        assert self.at_venue.difference(self.session.given_up) == expected
        assert self.running == expected
        for _ in range(2):
            self.wait(20_000)
            self.hear(Pong())
        assert self.session.failures == 0, "it has proven itself"

    @property
    def is_calm(self) -> bool:
        """Live, and after everything that is still due nothing more was asked."""
        if self.closing or self.pending or self.session.phase is not Phase.LIVE:
            return False
        return (
            self.session.next_due_ms > self.now_ms and self.at_venue.difference(self.session.given_up) == self.running
        )


AnyVenue.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestAnyVenue = AnyVenue.TestCase
