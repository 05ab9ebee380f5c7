"""The venue's core driven on a clock of its own: users trade, faults strike, and everything can be had again."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
from coincurve import PrivateKey

from adapters.sim.venue.chain.signing import keccak
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.outputs import Frame, HttpAnswer, HttpCut, Output
from adapters.sim.venue.settings import Limits, VenueSettings
from adapters.sim.venue.venue import EXCHANGE, INFO, Venue
from tests.venue_books import assert_books_balance
from tests.venue_fuzz import signed

START_MS = 1_767_578_400_000
IP = "127.0.0.1"
MINUTES = 12
COINS = ("BTC", "ETH", "SOL")
RULES: tuple[dict[str, object], ...] = (
    {"fault": "lose_reply", "match": {"action": "order"}, "when": {"every": 7}},
    {"fault": "refuse", "with": {"status": 502, "body": "html"}, "when": {"probability": 0.05}},
    {"fault": "execute_late", "match": {"action": "order"}, "with": {"ms": 3000}, "when": {"probability": 0.03}},
    {"fault": "delay_answer", "with": {"ms": 500, "jitter_ms": 900}, "when": {"probability": 0.1}},
    {"fault": "duplicate_frames", "match": {"channel": "userFills"}, "when": {"probability": 0.3}},
    {"fault": "drop_frames", "match": {"channel": "orderUpdates"}, "when": {"probability": 0.1}},
    {"fault": "halt", "with": {"ms": 4000}, "when": {"at_ms": 200_000}},
    {"fault": "post_only", "with": {"ms": 20_000}, "when": {"at_ms": 204_000}},
    {"fault": "delist", "with": {"coin": "SOL"}, "when": {"at_ms": 600_000}},
)


class Trader:
    """Somebody who sends orders all the time, and remembers what came back."""

    def __init__(self, number: int) -> None:
        self.key = PrivateKey(bytes([number]) * 32)
        self.address = "0x" + keccak(self.key.public_key.format(compressed=False)[1:])[-20:].hex()
        self.nonce = START_MS


class Rehearsal:
    def __init__(self, seed: int, rules: tuple[dict[str, object], ...]) -> None:
        settings = VenueSettings(limits=Limits(enforced=False))
        self.venue = Venue(GeneratedPath(seed, len(COINS)), settings, START_MS, seed)
        self.chance = random.Random(seed)
        self.traders = [Trader(number) for number in (1, 2, 3)]
        for trader in self.traders:
            self.venue.fund_account(trader.address, Decimal(5_000))
        self.ids = [self.venue.switchboard.add_json(rule) for rule in rules]
        self.output: list[Output] = []
        self.asked = 0
        self.venue.open_socket(1, IP)
        for kind in ("orderUpdates", "userFills", "userEvents"):
            self._say({"type": kind, "user": self.traders[0].address})
        for coin in COINS:
            self._say({"type": "trades", "coin": coin})

    def run(self) -> None:
        end_ms = START_MS + MINUTES * 60_000
        while self.venue.now_ms < end_ms:
            self.venue.advance(self.venue.now_ms + self.chance.randrange(50, 2_500))
            trader = self.chance.choice(self.traders)
            self._send(trader, self._action(trader))
            self.output += self.venue.take_output()
            assert_books_balance(self.venue.exchange)
        self.venue.advance(end_ms + 20_000)
        self.output += self.venue.take_output()

    def _say(self, subscription: dict[str, str]) -> None:
        text = msgspec.json.encode({"method": "subscribe", "subscription": subscription}).decode()
        self.venue.receive(1, text)

    def _send(self, trader: Trader, action: dict[str, Any]) -> None:
        trader.nonce = max(trader.nonce + 1, self.venue.now_ms)
        self.asked += 1
        body = msgspec.json.encode(signed(action, trader.nonce, trader.key))
        self.venue.request(self.asked, IP, "POST", EXCHANGE, "application/json", body)

    def _action(self, trader: Trader) -> dict[str, Any]:
        coin = self.chance.choice(COINS)
        mid = self.venue.market.mid(coin) or Decimal(100)
        instrument = self.venue.exchange.by_coin[coin]
        if self.chance.random() < 0.1:
            return {"type": "scheduleCancel"}
        is_buy = self.chance.random() < 0.5
        away = Decimal(repr(1 + self.chance.uniform(-0.003, 0.003)))
        order = {
            "a": self.venue.exchange.asset_of(coin),
            "b": is_buy,
            "p": format(mid * away, ".5g") if mid < 10_000 else str(int(mid * away)),
            "s": format(instrument.round_size(Decimal(300) / mid).normalize(), "f"),
            "r": self.chance.random() < 0.2,
            "t": {"limit": {"tif": self.chance.choice(("Gtc", "Ioc", "Alo"))}},
        }
        return {"type": "order", "orders": [order], "grouping": "na"}


def test_a_rehearsal_with_faults_can_be_had_again(seed: int) -> None:
    first, second = Rehearsal(seed, RULES), Rehearsal(seed, RULES)
    first.run()
    second.run()
    assert first.output == second.output
    assert list(first.venue.log.export()) == list(second.venue.log.export())
    fired = [first.venue.switchboard.fired(rule) for rule in first.ids]
    assert all(fired), f"a fault never struck: {fired}"


def test_the_log_tells_what_the_accounts_hold(seed: int) -> None:
    """The oracle: positions and closed PnL from its fills alone are those of the exchange."""
    rehearsal = Rehearsal(seed, RULES)
    rehearsal.run()
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    cash: dict[str, Decimal] = defaultdict(Decimal)
    for row in rehearsal.venue.log.rows():
        user = str(row.get("user"))
        if row["kind"] == "fill":
            size = Decimal(str(row["size"])) * (1 if row["side"] == "buy" else -1)
            assert held[user, str(row["coin"])] == Decimal(str(row["start_position"]))
            held[user, str(row["coin"])] += size
            cash[user] += Decimal(str(row["closed_pnl"])) - Decimal(str(row["fee"]))
        elif row["kind"] == "funding":
            cash[user] += Decimal(str(row["usdc"]))
    fills = sum(row["kind"] == "fill" for row in rehearsal.venue.log.rows())
    assert fills > 40
    for trader in rehearsal.traders:
        account = rehearsal.venue.exchange.accounts[trader.address]
        for coin in COINS:
            assert account.size(coin) == held[trader.address, coin]
        assert abs(account.cash - 5_000 - cash[trader.address]) < Decimal("1e-9")


def test_without_faults_every_request_has_one_answer_and_every_fill_is_streamed_once() -> None:
    rehearsal = Rehearsal(5, ())
    rehearsal.run()
    answers = [each.request_id for each in rehearsal.output if isinstance(each, HttpAnswer)]
    assert sorted(answers) == list(range(1, rehearsal.asked + 1))
    assert not any(isinstance(each, HttpCut) for each in rehearsal.output)
    frames = [msgspec.json.decode(each.text) for each in rehearsal.output if isinstance(each, Frame)]
    streamed = [
        (fill["oid"], fill["tid"])
        for frame in frames
        if frame["channel"] == "userFills" and "isSnapshot" not in frame["data"]
        for fill in frame["data"]["fills"]
    ]
    account = rehearsal.venue.exchange.accounts[rehearsal.traders[0].address]
    assert streamed == [(fill.oid, fill.tid) for fill in account.fills]
    tape = [trade["tid"] for frame in frames if frame["channel"] == "trades" for trade in frame["data"]]
    assert {tid for _, tid in streamed} <= set(tape)
    assert len(streamed) > 20


def test_a_fault_by_user_strikes_only_that_user() -> None:
    rehearsal = Rehearsal(3, ())
    victim = rehearsal.traders[1].address
    rule = {"fault": "refuse", "match": {"path": EXCHANGE, "user": victim}, "with": {"status": 503}}
    rehearsal.ids.append(rehearsal.venue.switchboard.add_json(rule))
    rehearsal.run()
    refused = {each.request_id for each in rehearsal.output if isinstance(each, HttpAnswer) and each.status == 503}
    assert refused
    assert not rehearsal.venue.exchange.accounts[victim].history, "nothing of theirs got through"
    assert all(rehearsal.venue.exchange.accounts[each.address].history for each in rehearsal.traders[::2])


def test_queries_lag_the_chain_by_as_much_as_was_asked_for() -> None:
    settings = VenueSettings(limits=Limits(enforced=False), read_lag_ms=1_500)
    venue = Venue(GeneratedPath(3, 1), settings, START_MS, 3)
    trader = Trader(9)
    venue.fund_account(trader.address, Decimal(5_000))
    mid = venue.market.mid("BTC")
    assert mid is not None
    order = {"a": 0, "b": True, "p": str(int(mid * 9 / 10)), "s": "0.01", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    body = signed({"type": "order", "orders": [order], "grouping": "na"}, START_MS, trader.key)
    venue.request(1, IP, "POST", EXCHANGE, "application/json", msgspec.json.encode(body))
    venue.advance(START_MS + 100)
    (placed,) = (each for each in venue.take_output() if isinstance(each, HttpAnswer))
    oid = msgspec.json.decode(placed.body)["response"]["data"]["statuses"][0]["resting"]["oid"]
    query = msgspec.json.encode({"type": "orderStatus", "user": trader.address, "oid": oid})

    def status(number: int) -> str:
        venue.request(number, IP, "POST", INFO, "application/json", query)
        (answer,) = (each for each in venue.take_output() if isinstance(each, HttpAnswer))
        return str(msgspec.json.decode(answer.body)["status"])

    assert status(2) == "unknownOid", "the answer is quicker than the queries"
    venue.advance(START_MS + 2_000)
    assert status(3) == "order"
