"""What must be true of intents and orders: I-01, I-07, I-08, I-09, I-15, I-27, I-20."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from domain.facts import DecisionsRecorded, IntentRecorded, LedgerFact, OrderChanged
from domain.intents import OrderIntent
from entrypoints.simulation.oracle.ledger_image import ENTRIES, LIVE, Attempt, LedgerImage
from entrypoints.simulation.oracle.venue_truth import TrueOrder, VenueTruth
from entrypoints.simulation.oracle.verdicts import Court

MINUTE_MS = 60_000
HALT_MS = 120_000
"""One reconciliation period, and what it takes."""
_STRENGTH = {"sent": 0, "unknown": 1, "would": 2, "dead": 3, "rejected": 4, "open": 5, "canceled": 6, "filled": 7}
"""Of what a status rests on: silence, an answer, the venue's status, fills."""
NEVER_LIVED = ("dead", "rejected", "would")


class OrderChecks:
    def __init__(self, court: Court, image: LedgerImage, truth: VenueTruth, caps: Mapping[str, Decimal]) -> None:
        self._court = court
        self._image = image
        self._truth = truth
        self._caps = caps
        self._keys: dict[tuple[str, str, str, int, int], str] = {}
        self._decided: dict[tuple[str, int], int] = {}
        self.foreign_since_ms: int | None = None

    # ── before a fact counts ─────────────────────────────────────────────────────────────────

    def before(self, fact: LedgerFact) -> None:
        match fact:
            case IntentRecorded(intent):
                self._one_decision_per_key(intent)
                if intent.key.action.value in ENTRIES:
                    self._nobody_else_is_there(intent)
                    self._nothing_is_unknown(intent)
                    self._the_caps_hold(intent)
                else:
                    self._exit_is_no_larger_than_the_position(intent)
            case OrderChanged(order):
                attempt = self._image.attempts.get(order.request.cloid)
                if attempt is not None:
                    self._only_forwards(attempt, order.status.value)
                self._the_venue_agrees(order.request.cloid, order.status.value)
                if order.request.cloid not in self._image.attempts:
                    self._nothing_is_unknown(self._image.intents[order.request.intent_id])
            case _:
                pass

    def _one_decision_per_key(self, intent: OrderIntent) -> None:
        """I-01, in the ledger: an intent's key stands there once."""
        key = intent.key
        name = (key.strategy, key.symbol, key.action.value, key.open_ms, key.ordinal)
        self._court.require(name not in self._keys, "I-01", f"{key.text} was decided twice")
        self._keys[name] = intent.intent_id
        if key.action.value in ENTRIES:
            self._court.require(key.ordinal == 0, "I-01", f"{key.text}: entries exist once per candle")

    def _nobody_else_is_there(self, intent: OrderIntent) -> None:
        """I-30: an order that looks like ours and is not in the ledger ends all entries within a period."""
        since_ms = self.foreign_since_ms
        late = since_ms is not None and self._court.now_ms() - since_ms > HALT_MS
        self._court.require(
            not late, "I-30", f"{intent.key.text}, with a second daemon on the account since {since_ms}"
        )

    def _nothing_is_unknown(self, intent: OrderIntent) -> None:
        """I-09: no new exposure in a symbol while the fate of one of its orders is not known."""
        if intent.key.action.value not in ENTRIES:
            return
        unknown = [each.cloid for each in self._image.live(intent.key.symbol) if each.status == "unknown"]
        self._court.require(not unknown, "I-09", f"{intent.key.text} while nobody knows what became of {unknown}")

    def _the_caps_hold(self, intent: OrderIntent) -> None:
        """I-07: positions and every order that may live, taken as filled, stay within the configured caps."""
        symbols = {symbol for symbol, size in self._image.positions.items() if size}
        margin = Decimal(0)
        for attempt in self._image.attempts.values():
            if attempt.status in LIVE and attempt.intent.key.action.value in ENTRIES:
                symbols.add(attempt.intent.key.symbol)
                left = attempt.intent.size - attempt.filled
                margin += left * attempt.intent.limit_price / attempt.intent.leverage
        most = int(self._caps["max_open_positions"])
        if intent.key.action.value == "OPEN":
            symbols.add(intent.key.symbol)
            text = f"{intent.key.text}: it would be one of {len(symbols)} positions, {most} are allowed"
            self._court.require(len(symbols) <= most, "I-07", text)
        margin += intent.size * intent.limit_price / intent.leverage
        if self._image.cash_usd is not None:
            allowed = self._image.cash_usd * self._caps["max_total_margin_pct"] * Decimal("1.3")
            text = f"{intent.key.text}: orders under way need {margin:.2f} of margin, {allowed:.2f} are allowed"
            self._court.require(margin <= allowed, "I-07", text)

    def _exit_is_no_larger_than_the_position(self, intent: OrderIntent) -> None:
        """I-27: an exit is reduce-only, against the position, and no larger than it."""
        held = self._image.position(intent.key.symbol)
        against = (held > 0) == (intent.side.value == "sell")
        text = f"{intent.key.text}: {intent.side.value} {intent.size}, held {held}"
        self._court.require(intent.reduce_only, "I-27", f"{text}: not reduce-only")
        self._court.require(held != 0 and against and intent.size <= abs(held), "I-27", text)

    def _only_forwards(self, attempt: Attempt, status: str) -> None:
        """I-15: what is known of an order is the strongest evidence there was; nothing weaker replaces it."""
        before = attempt.status
        corrected = before in ("filled", "open") and status in ("open", "unknown") and attempt.was_filled_by_time
        forwards = _STRENGTH[status] >= _STRENGTH[before] or corrected
        self._court.require(forwards, "I-15", f"{attempt.cloid} went from {before} to {status}")

    def _the_venue_agrees(self, cloid: str, status: str) -> None:
        """I-08: who is said never to have lived has no life at the venue, who is said to live has one."""
        lives = self._truth.accepted(cloid)
        if status in NEVER_LIVED:
            self._court.require(not lives, "I-08", f"{cloid} is {status} in the ledger, the venue has {lives}")
        elif status in ("open", "filled"):
            attempt = self._image.attempts.get(cloid)
            known = bool(lives) or (attempt is not None and attempt.was_filled_by_time)
            self._court.require(known, "I-08", f"{cloid} is {status} in the ledger, the venue never took it")

    def at_rest(self) -> None:
        """I-08, once more for all of them, when weak evidence has had its time to be corrected."""
        for cloid, attempt in self._image.attempts.items():
            lives = self._truth.accepted(cloid)
            never = attempt.status in NEVER_LIVED
            text = f"in the end {cloid} is {attempt.status} in the ledger, the venue has {lives}"
            self._court.require(never is not bool(lives) or attempt.status in ("sent", "unknown"), "I-08", text)

    # ── what the venue does ──────────────────────────────────────────────────────────────────

    def at_the_venue(self, order: TrueOrder) -> None:
        """An order was taken, changed or refused."""
        if order.cloid is None or not order.was_accepted:
            return
        same = self._truth.accepted(order.cloid)
        self._court.require(len(same) <= 1, "I-01", f"{order.cloid} lives {len(same)} times at the venue")
        attempt = self._image.attempts.get(order.cloid)
        if attempt is None:
            return  # somebody else's, or I-02
        dead = attempt.status in NEVER_LIVED
        self._court.require(not dead, "I-08", f"{order.cloid} was called {attempt.status}, now the venue has {order}")
        if attempt.intent.key.action.value in ENTRIES and attempt.number > 1:
            self._one_entry_per_key(attempt)

    def _one_entry_per_key(self, attempt: Attempt) -> None:
        """I-01, at the venue: of all attempts at an entry one is taken."""
        intent = attempt.intent
        taken = [
            each.cloid
            for each in self._image.attempts.values()
            if each.intent.intent_id == intent.intent_id and self._truth.accepted(each.cloid)
        ]
        self._court.require(len(taken) <= 1, "I-01", f"{intent.key.text}: the venue took {taken}")

    # ── decisions ────────────────────────────────────────────────────────────────────────────

    def new_life(self) -> None:
        """A restart may look at a candle again; dedupe keeps it from acting on it twice (I-01)."""
        self._decided.clear()

    def every_candle_is_decided_on(self, symbols: Collection[str], from_ms: int, until_ms: int) -> None:
        """I-28, N13: in calm, each candle of each symbol that opens in this span was decided on."""
        for symbol in sorted(symbols):
            missing = [ms for ms in range(from_ms, until_ms, MINUTE_MS) if (symbol, ms) not in self._decided]
            self._court.require(not missing, "I-28", f"{symbol}: nobody decided on the candles of {missing}")

    def decided(self, record: DecisionsRecorded, now_ms: int) -> None:
        """I-20: a candle is decided on after its end by the true time, whatever our clock says, and once in a life."""
        early_ms = record.open_ms + record.interval.ms - now_ms
        self._court.require(early_ms <= 0, "I-20", f"candles of {record.open_ms} were decided on {early_ms} ms early")
        for symbol in record.symbols:
            key = (symbol, record.open_ms)
            before_ms = self._decided.setdefault(key, now_ms)
            text = f"{symbol} {record.open_ms} was decided on at {before_ms} and again at {now_ms}"
            self._court.require(before_ms == now_ms, "I-20", text)
