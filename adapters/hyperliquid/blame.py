"""Which stream is to blame where the venue refuses, never answers, or drops the socket without a word.

The oldest question about a start that had no answer yet is the suspect (an unknown coin kills its socket); next time it
is asked last and alone, and the third time it takes the connection with it, its stream is left out. A connection that
died before it said anything accuses nobody.
"""

from __future__ import annotations

from adapters.hyperliquid.error_texts import ErrorKind
from adapters.hyperliquid.session_steps import SessionRules, Tell
from adapters.hyperliquid.stream_table import Stage, Stream, StreamTable


class Blame:
    def __init__(self, streams: StreamTable, rules: SessionRules) -> None:
        self._streams = streams
        self._rules = rules

    def dropped(self, now_ms: int, why: str) -> list[Tell]:
        """The venue has dropped a connection that had worked. Says which stream is given up, if any."""
        waiting = self._streams.unanswered.values()
        oldest = next((stream for stream in waiting if stream.stage is Stage.ASKED), None)
        if oldest is None or now_ms - oldest.sent_ms > self._rules.suspect_window_ms:
            return []
        return self._strike(
            oldest, "stream_quarantined", f"the venue dropped the connection each time it was asked for; {why}"
        )

    def ignored(self, stream: Stream) -> list[Tell]:
        """There was no answer about a stream to the last question either, on a connection that works."""
        if stream.stage is not Stage.ASKED:
            return []
        return self._strike(stream, "stream_refused", "the venue never answered its subscription")

    def meant(self, kind: ErrorKind, key: str) -> Stream | None:
        """The stream that a refusal is about, among those that wait for an answer."""
        waiting = self._streams.unanswered
        match kind:
            case ErrorKind.INVALID | ErrorKind.UNREADABLE:
                return waiting.get(key)
            case ErrorKind.TOO_MANY | ErrorKind.TOO_MANY_USERS:
                # It names no stream. Answers come in the order of the questions.
                asked = (stream for stream in waiting.values() if stream.stage is Stage.ASKED)
                return next((s for s in asked if s.subscription.of_account or kind is ErrorKind.TOO_MANY), None)
            case ErrorKind.ALREADY_ON | ErrorKind.ALREADY_OFF | ErrorKind.OTHER:
                return None

    def refused(self, stream: Stream, text: str) -> Tell:
        """The venue says no."""
        return self._give_up(stream, "stream_refused", f"the venue says: {text}")

    def _strike(self, stream: Stream, code: str, why: str) -> list[Tell]:
        stream.strikes += 1
        return [self._give_up(stream, code, why)] if stream.strikes >= self._rules.strikes_limit else []

    def _give_up(self, stream: Stream, code: str, why: str) -> Tell:
        self._streams.give_up(stream)
        return Tell(code, f"{stream.subscription.key} is left out until the next start: {why}")
