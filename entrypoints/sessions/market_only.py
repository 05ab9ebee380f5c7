"""A recorded market without the account that was traded in it: `./aiq sessions export --market-only`.

Amounts that a decision used cannot be other ones and the decision still the same. So nothing of the account stays:
neither what it did nor what was decided for it, nor any setting but those that the strategy reads. What is left is
what anybody heard who listened to the same streams, in the recorded order, and it is what `./aiq sessions import`
makes of a recording: `./aiq replay` trades it on paper, from 10,000 USD on.

Events of frames have numbers, which are others where frames are missing. Two desks hear the session side by side, one
all of it, as then, and one the market alone: what comes of the one is what comes of the other, but for the account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec

from adapters.hyperliquid.frame_desk import FrameDesk, NobodyListens
from adapters.hyperliquid.heard import BboHeard, BookHeard, CandleHeard, ContextHeard, MidsHeard, TradesHeard
from adapters.logged_alerts import LoggedAlerts
from adapters.session_files.export import Tell, export
from adapters.session_files.manifest import Manifest
from adapters.session_files.reader import SessionReader
from adapters.session_files.redaction import has_hex, without_addresses
from adapters.session_files.writer import SessionLimits, SessionWriter
from application.recorder import Recorder, entry_to_plain
from application.replay import OF_A_FEED, Births
from application.what_if import OF_THE_MARKET
from domain.config_events import OverridesText
from domain.event_text import event_from_plain
from domain.events import AccountSnapshot, EntriesHeld, Event, HistoryLoaded, Recovered
from domain.fact_text import GENESIS
from domain.facts import LedgerState
from domain.instruments import Universe
from domain.value_text import ValueTextError
from entrypoints.recording import Setup, setup_of, setup_to_plain
from entrypoints.sessions.importing import ACCOUNT, INSTANCE_TAG
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import frames_of
from ports.session_errors import SessionDamaged
from ports.session_log import Entry, SessionLog, Tag

CASH_USD = Decimal(10_000)

SETTINGS = ("AI_QUANT_STRATEGY", "AI_QUANT_STRATEGY_MODE", "AI_QUANT_STRATEGY_DEADLINE_MS")
RISK_SETTINGS = "AI_QUANT_RISK_"

FLUSH_ENTRIES = 20_000

_MARKET = (*(kind for kind in OF_THE_MARKET if kind is not EntriesHeld), HistoryLoaded, OverridesText)
"""No `EntriesHeld`: what holds entries is mostly the account's own trouble, and its reasons name the agent."""

_FRAMES = (Tag.FRAME, Tag.HELD)

_HEARD_BY_ANYBODY = (BboHeard, BookHeard, CandleHeard, ContextHeard, MidsHeard, TradesHeard)


def export_market(session: Path, out_file: Path, *, tell: Tell = lambda done: None) -> None:
    """Write a bundle of the market that a session recorded. Raises `SessionError`.

    The overrides text stays, word for word but for addresses: it says how the strategy trades. Risk limits of the
    environment stay too. Where exits look at candles of their own, those were streamed of what was held, and so tell
    its symbols and times.
    """

    def rewrite(reader: SessionReader, folder: Path, tell: Tell) -> SessionReader:
        opened = OpenedSession(session, quiet=True)
        setup, manifest = _setup_without_account(setup_of(opened.manifest)), opened.manifest
        target = folder / f"{manifest.session}-market"
        limits = SessionLimits(segment_ms=1 << 62, cap_bytes=1 << 62, waiting_bytes=1 << 40)
        written = _manifest_without_account(target.name, manifest, setup)
        writer = SessionWriter(target, written, LoggedAlerts(), entry_to_plain, limits, lambda: manifest.began_ms)
        market = _Market(setup_of(manifest), setup, _WithoutAddresses(writer))
        for entry in opened.entries():
            market.take(entry)
            if writer.waiting >= FLUSH_ENTRIES:
                writer.flush()
                tell(opened.reader.bytes_read)
        market.end()
        writer.close("market only")
        if writer.manifest.stopped is not None:
            raise OSError(writer.manifest.stopped)
        tell(opened.reader.bytes_read)
        return SessionReader(target)

    export(session, out_file, rewrite=rewrite, tell=tell)


def _setup_without_account(was: Setup) -> Setup:
    return Setup(
        ledger="",
        engine=replace(was.engine, account=ACCOUNT, accepts_foreign_orders=False),
        universe=was.universe,
        assets=None,
        vault=None,
        user=None,
        ahead_limit_ms=was.ahead_limit_ms,
        strategy=was.strategy,
        overrides=_anywhere(was.overrides),
    )


def _manifest_without_account(name: str, was: Manifest, setup: Setup) -> Manifest:
    manifest = Manifest(
        session=name,
        origin="import",
        began_ms=was.began_ms,
        versions=was.versions,
        settings=_settings(was.settings, setup),
        setup=setup_to_plain(setup),
    )
    return msgspec.json.decode(without_addresses(msgspec.json.encode(manifest)), type=Manifest)


def _settings(was: Mapping[str, str], setup: Setup) -> dict[str, str]:
    """The interval is named, for its default follows from the network."""
    kept = {name: text for name, text in was.items() if name in SETTINGS or name.startswith(RISK_SETTINGS)}
    return {"AI_QUANT_MODE": "paper", "AI_QUANT_INTERVAL": setup.engine.interval.value, **kept}


def _anywhere(look: OverridesText) -> OverridesText:
    """The same text without the folder it lay in."""
    return replace(look, path=Path(look.path).name, inode=0)


class _WithoutAddresses:
    """A `SessionLog` of what says no address: trades name both sides."""

    def __init__(self, log: SessionLog) -> None:
        self._log = log

    def put(self, entry: Entry) -> None:
        if entry[0] in _FRAMES and has_hex(raw := entry[4].encode()):
            entry = (*entry[:4], without_addresses(raw).decode())
        elif entry[0] == Tag.EVENT and isinstance(event := entry[3], OverridesText) and event.content is not None:
            content = without_addresses(event.content.encode(errors="surrogatepass"))
            entry = (*entry[:3], replace(event, content=content.decode(errors="surrogatepass")))
        self._log.put(entry)

    def flush(self) -> None:
        self._log.flush()

    def close(self, reason: str) -> None:
        self._log.close(reason)


class _Numbered(Births):
    """Events by their numbers, and those that have just come."""

    def __init__(self) -> None:
        super().__init__()
        self.fresh: list[Event] = []

    def born(self, events: Sequence[Event]) -> None:
        super().born(events)
        self.fresh += events


class _Noted(Recorder):
    """A recorder that says what has just come."""

    def __init__(self, log: SessionLog) -> None:
        super().__init__(log)
        self.fresh: list[Event] = []

    def born(self, events: Sequence[Event]) -> None:
        super().born(events)
        self.fresh += events


class _Market:
    """Takes a session's entries and records the market in them."""

    def __init__(self, before: Setup, after: Setup, log: SessionLog) -> None:
        self._births = _Numbered()
        self._all = frames_of(before, self._births)
        self._recorder = _Noted(log)
        engine = after.engine
        self._desk = FrameDesk(
            Universe(after.universe),
            engine.interval,
            engine.exit_interval,
            after.ahead_limit_ms,
            None,
            self._recorder,
            NobodyListens(),
        )
        self._now: dict[int, Event] = {}
        """What stands for an event of the first desk, by identity, until it is taken."""
        self._frame_is_kept = False
        self._seq = 0
        self._has_begun = False

    def take(self, entry: Entry) -> None:
        """What belongs to the market is recorded; everything else is heard and forgotten."""
        tag = entry[0]
        if tag in OF_A_FEED:
            self._redo(entry)
        elif tag == Tag.TAKEN:
            _, _, at_ms, number = entry
            event = self._stand_in(number)
            if event is not None:
                self._event(at_ms, event)
        elif tag == Tag.DROPPED:
            event = self._stand_in(entry[1])
            if event is not None:
                self._recorder.dropped(event)
        elif tag == Tag.EVENT:
            self._hear(entry)

    def end(self) -> None:
        self._desk.end()
        self._recorder.ended("market only", self._seq, GENESIS.hex())

    def _redo(self, entry: Entry) -> None:
        try:
            self._all.redo(entry)
            if entry[0] in _FRAMES:
                self._frame_is_kept = isinstance(self._all.heard, _HEARD_BY_ANYBODY)
            if entry[0] == Tag.FEED or self._frame_is_kept:
                self._desk.redo(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise SessionDamaged("the session", str(error), seq=self._seq) from error
        self._pair()

    def _pair(self) -> None:
        """What has come of an entry at the one desk and at the other."""
        was = [event for event in self._births.fresh if isinstance(event, _MARKET)]
        now = self._recorder.fresh
        assert [type(each) for each in was] == [type(each) for each in now], "the account does not sway the market"
        for before, after in zip(was, now, strict=True):
            self._now[id(before)] = after
        self._births.fresh.clear()
        self._recorder.fresh.clear()

    def _stand_in(self, number: int) -> Event | None:
        """None for an event of the account's."""
        try:
            was = self._births.take(number)
        except ValueError as error:
            raise SessionDamaged("the session", str(error), seq=self._seq) from error
        return self._now.pop(id(was), None)

    def _hear(self, entry: Entry) -> None:
        _, seq, at_ms, kind, value = entry
        try:
            event = event_from_plain(kind, value)
        except ValueTextError as error:
            raise SessionDamaged("the session", f"event {seq} cannot be read: {error}", seq=seq) from error
        if isinstance(event, Recovered):
            self._begin(at_ms)
        elif isinstance(event, OverridesText):
            self._event(at_ms, _anywhere(event))
        elif isinstance(event, _MARKET):
            self._event(at_ms, event)

    def _begin(self, at_ms: int) -> None:
        """An account that nobody has traded yet, as an imported session has it."""
        self._event(at_ms, Recovered(LedgerState(INSTANCE_TAG), GENESIS.hex()))
        self._event(at_ms, AccountSnapshot(CASH_USD, (), at_ms, resting=(), fills_since_ms=0))

    def _event(self, at_ms: int, event: Event) -> None:
        self._seq += 1
        self._recorder.taken(self._seq, at_ms, event)
