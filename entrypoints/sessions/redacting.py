"""Giving a session away without saying whose it is: `./aiq sessions export --hash-addresses`.

Ids of intents and orders are hashes over the account's name, and so are the digests of what was signed. A text without
the name would hold ids that no replay comes to. So the session is replayed under its new name and written again: what
it heard with the new ids in place of the old ones, and what it decided as the replay decided it.

    recorded ─▶ other addresses ─▶ ids that are known ─▶ replay ─▶ decided under the new name ─▶ the bundle
                                         ▲                               │
                                         └──── ids that are new ◀── what was recorded of it

Nobody tells of an order before it was decided, so one pass is enough; of orders from earlier sessions the first event
tells. Hashes of the venue's transactions become other ones too, for any explorer says who sent one. What was traded,
when and at which price stays, or nothing could be replayed: whoever holds the market's public trades can find the
account by them. `market_only` leaves no account at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from adapters.hyperliquid.action_hash import action_hash
from adapters.session_files.export import SessionCopy, Tell, export, redaction_of, replace_addresses
from adapters.session_files.reader import SessionReader
from adapters.session_files.redaction import Ids
from application.live_oms import MOST_ATTEMPTS
from application.replay import Difference, same
from application.step import Step
from domain.event_text import effects_to_plain, event_from_plain, event_to_plain, facts_to_plain
from domain.events import Recovered
from domain.fact_text import GENESIS, chained, fact_to_json
from domain.facts import CandlesSkipped, DecisionsRecorded, LedgerState
from domain.intents import Action, IntentKey, OrderIntent, cloid_of, intent_id_of
from domain.orders import Order
from entrypoints.recording import Setup, setup_of
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of
from entrypoints.strategies import stream_strategy
from ports.session_errors import SessionDamaged
from ports.session_log import Entry, Tag
from ports.strategy import Strategy

CANDLES_AGAIN = 100
"""Candles before a session's beginning that it may decide on once more, as far as this knows."""

_ENTRY = msgspec.json.Decoder(tuple[Any, ...])
_TOLD_OF_ORDERS = (Tag.EVENT, Tag.REST)

MakeStrategy = Callable[[], Strategy | None]


class ReplaysOtherwise(Exception):
    """What is recorded cannot be made again, or not under another name. `difference` is the first one."""

    def __init__(self, what: str, difference: Difference) -> None:
        self.difference = difference
        super().__init__(f"{what}: nothing was written")


def export_redacted(
    session: Path,
    out_file: Path,
    *,
    make_strategy: MakeStrategy = lambda: None,
    tell: Tell = lambda done: None,
) -> None:
    """Write a bundle with other addresses, whose replay finds no difference.

    Raises `ReplaysOtherwise` where the session's own replay finds one, `SessionError` where it cannot be read or the
    bundle cannot be written. `make_strategy` stands in for a strategy that has no name; asked once for each replay.
    """

    def rewrite(reader: SessionReader, folder: Path, tell: Tell) -> SessionReader:
        if reader.manifest.origin == "import":
            return replace_addresses(reader, folder, tell)  # nothing was decided, and there is no account
        _check(session, make_strategy(), lambda done: tell(done // 2))
        before = reader.bytes
        return _Redacting(reader, folder, make_strategy(), lambda done: tell(before // 2 + (done + 1) // 2)).run()

    export(session, out_file, rewrite=rewrite, tell=tell)


def _check(session: Path, strategy: Strategy | None, tell: Tell) -> None:
    opened = OpenedSession(session, quiet=True)

    def entries() -> Iterator[Entry]:
        for entry in opened.entries():
            yield entry
            if entry[0] == Tag.EVENT:
                tell(opened.reader.bytes_read)

    replay = replay_of(opened.manifest, strategy)
    replay.stops_at_difference = True
    difference = replay.run(entries()).difference
    if difference is not None:
        raise ReplaysOtherwise(
            f"session {opened.manifest.session} does not replay as it was recorded, so no bundle of it would. Use the "
            "version that recorded it, or export it as it is",
            difference,
        )


class _Redacting:
    """One session on its way into `folder`."""

    def __init__(self, reader: SessionReader, folder: Path, strategy: Strategy | None, tell: Tell) -> None:
        self._reader, self._tell = reader, tell
        self._redact, self._manifest = redaction_of(reader)
        self._ids = Ids(self._redact)
        self._copy = SessionCopy(folder, self._manifest)
        self._strategy = strategy or stream_strategy(setup_of(self._manifest).strategy)
        self._replay = replay_of(self._manifest, self._strategy)
        self._replay.on_step = self._heard
        self._step: Step | None = None
        self._head = b""
        self._end: str | None = None

    def run(self) -> SessionReader:
        self._learn_beginning()
        result = self._replay.run(self._entries())
        if result.difference is not None:
            raise self._differs(result.difference)
        ended = self._manifest.ended
        if ended is not None and self._end is not None:
            ended = replace(ended, digest=self._end)
        return self._copy.finish(replace(self._manifest, ended=ended))

    def _learn_beginning(self) -> None:
        """Before anything else: frames of earlier orders may come before the event that tells of them."""
        for record in self._reader.records():
            for entry in record.entries:
                if entry[0] == Tag.EVENT:
                    if entry[3] == "recovered":
                        self._learn_recovered(entry[4])
                    return

    def _learn_recovered(self, value: Any) -> None:
        """Of decisions that the state still tells, the ids follow from their keys; of older ones only the id is known.

        `intent_ids` are asked whether a decision was taken before, so those that this session may ask for are looked
        up by their keys. Nobody asks for the rest: they get a stand-in, for whose an id is can be tried out. So does
        the digest of the ledger that was found, which nobody gets to see.
        """
        redact, ids = self._redact, self._ids
        recovered = _recovered(value)
        before, after = recovered.state, _recovered(_ENTRY.decode(redact(msgspec.json.encode((value,))))[0]).state
        account = setup_of(self._reader.manifest).engine.account
        setup, began_ms = setup_of(self._manifest), self._manifest.began_ms
        beginning = _Beginning(before, account, self._strategy.name, setup, began_ms, ids, set(before.intent_ids))
        for intent, renamed in zip(_intents(before), _intents(after), strict=True):
            beginning.learn_key(intent.key, renamed.key)
        for (_, order), (renamed, _) in zip(_orders(before), _orders(after), strict=True):
            beginning.learn_order(order, renamed)
        beginning.learn_keys_that_may_come_again()
        for intent_id in beginning.unknown:
            ids.note(intent_id, redact.bare(intent_id))
        if recovered.digest != GENESIS.hex():
            ids.note(recovered.digest, redact.bare(recovered.digest))

    def _entries(self) -> Iterator[Entry]:
        """What the replay hears next, written down when it has heard it."""
        for record in self._reader.records():
            texts: list[bytes] = []
            for entry in record.entries:
                redacted, text = self._anew(entry)
                texts.append(text)
                yield redacted
            self._copy.add(record, texts)
            self._tell(self._reader.bytes_read)

    def _anew(self, entry: Entry) -> tuple[Entry, bytes]:
        """An entry as it is now, and its text."""
        tag = entry[0]
        if tag == Tag.STEP:
            return self._written(self._decided(entry))
        if tag == Tag.END:
            return self._written(self._ended(entry))
        before = msgspec.json.encode(entry)
        text = self._redact(before)
        text = self._ids.of_inputs(text) if tag in _TOLD_OF_ORDERS else self._ids.of_frame(text)
        if tag == Tag.EVENT and entry[3] == "recovered":
            return self._written(self._recovered(_ENTRY.decode(text)))
        return (entry if text == before else _ENTRY.decode(text)), text

    @staticmethod
    def _written(entry: Entry) -> tuple[Entry, bytes]:
        text = msgspec.json.encode(entry)
        return _ENTRY.decode(text), text

    def _recovered(self, entry: Entry) -> Entry:
        """Ids stand in their order again, as they are written."""
        _, seq, at_ms, kind, value = entry
        event = _recovered(value)
        self._head = bytes.fromhex(event.digest)
        return (Tag.EVENT, seq, at_ms, kind, event_to_plain(event))

    def _heard(self, step: Step) -> None:
        self._step = step
        for fact in step.facts:
            if not isinstance(fact, (DecisionsRecorded, CandlesSkipped)):
                self._head = chained(self._head, fact_to_json(fact))

    def _decided(self, entry: Entry) -> Entry:
        """What the replay decided, in place of what was recorded; ids that are new are learned of the two."""
        step = self._step
        _, seq, facts, effects = _ENTRY.decode(self._ids.of_outputs(self._redact(msgspec.json.encode(entry))))
        if step is None or step.seq != seq:
            raise SessionDamaged("the session", f"it says what came of event {seq}, which was not taken before it")
        ours = facts_to_plain(step.facts), effects_to_plain(step.effects)
        for what, recorded, replayed in (("facts", facts, ours[0]), ("effects", effects, ours[1])):
            if not _learned(self._ids, recorded, replayed):
                raise self._differs(Difference(seq, step.at_ms, what, recorded, replayed, ()))
        return (Tag.STEP, seq, *ours)

    def _differs(self, difference: Difference) -> ReplaysOtherwise:
        return ReplaysOtherwise(
            f"session {self._manifest.session} replays as it was recorded, but otherwise under another name. That is a "
            "mistake of this program: export it with --market-only, or as it is",
            difference,
        )

    def _ended(self, entry: Entry) -> Entry:
        _, reason, seq, digest = entry
        if digest is not None:
            digest = self._end = self._head.hex()
        return (Tag.END, reason, seq, digest)


def _learned(ids: Ids, recorded: Any, replayed: Any) -> bool:
    """Whether two plain values differ in ids alone, which are noted."""
    if isinstance(recorded, str) and isinstance(replayed, str):
        return ids.learn(recorded, replayed)
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        return recorded.keys() == replayed.keys() and all(
            _learned(ids, value, replayed[name]) for name, value in recorded.items()
        )
    if isinstance(recorded, (list, tuple)) and isinstance(replayed, (list, tuple)):
        return len(recorded) == len(replayed) and all(
            _learned(ids, *pair) for pair in zip(recorded, replayed, strict=True)
        )
    return same(recorded, replayed)


# ── what was decided in earlier sessions ─────────────────────────────────────────────────────────


def _recovered(value: Any) -> Recovered:
    event = event_from_plain("recovered", value)
    assert isinstance(event, Recovered)
    return event


def _orders(state: LedgerState) -> tuple[tuple[OrderIntent, Order], ...]:
    return (*state.live_orders, *state.ended_orders)


def _intents(state: LedgerState) -> tuple[OrderIntent, ...]:
    return (*(intent for intent, _ in _orders(state)), *state.opening_intents, *state.recent_intents)


@dataclass(slots=True)
class _Beginning:
    """`account`: the name before. `setup`, as everything else, is under the new one."""

    before: LedgerState
    account: str
    strategy: str
    setup: Setup
    began_ms: int
    ids: Ids
    unknown: set[str]
    """Ids of decisions that are still to be found."""
    opens_ms: set[int] = field(default_factory=set)
    """Candles that were decided on."""

    def learn_key(self, before: IntentKey, after: IntentKey) -> None:
        was, now = intent_id_of(before), intent_id_of(after)
        self.ids.note(was, now)
        self.unknown.discard(was)
        self.opens_ms.add(before.open_ms)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            tag = self.before.instance_tag
            self.ids.note(cloid_of(was, attempt, tag), cloid_of(now, attempt, tag))

    def learn_order(self, before: Order, intent: OrderIntent) -> None:
        """The id of an order, and the digest of what was signed for it."""
        request = before.request
        self.ids.note(request.cloid, cloid_of(intent.intent_id, before.attempt, self.before.instance_tag))
        payload = request.payload
        if payload is None:
            return
        action = msgspec.json.decode(self.ids.of_outputs(payload.action.encode()))
        digest = action_hash(action, payload.nonce, self.setup.vault, payload.expires_ms)
        self.ids.note(payload.digest, digest.hex())

    def learn_keys_that_may_come_again(self) -> None:
        """Decisions that the state does not tell, on candles on which this session may decide."""
        for open_ms in sorted(self._candles(), reverse=True):
            for instrument in self.setup.universe:
                if not self.unknown:
                    return
                self._look_up(instrument.symbol, open_ms)

    def _look_up(self, symbol: str, open_ms: int) -> None:
        engine = self.setup.engine
        for action in Action:
            for ordinal in count():
                key = IntentKey(self.account, self.strategy, symbol, action, engine.interval, open_ms, ordinal)
                if intent_id_of(key) not in self.before.intent_ids:
                    break
                self.learn_key(key, replace(key, account=engine.account))

    def _candles(self) -> set[int]:
        """Where the session began, where the one before it ended, and whatever the state tells of."""
        length = self.setup.engine.exit_interval or self.setup.engine.interval
        state, found = self.before, set(self.opens_ms)
        for moment_ms in (self.began_ms, state.newest_fill_ms, state.unheard_since_ms):
            open_ms = length.open_of(moment_ms)
            found.update(range(open_ms - CANDLES_AGAIN * length.ms, open_ms + 2 * length.ms, length.ms))
        return found
