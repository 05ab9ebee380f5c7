"""Why a recorded session cannot be used. Every message says what to do."""

from __future__ import annotations


class SessionError(Exception):
    """A session cannot be used."""


class SessionNotFound(SessionError):
    """There is no such session."""


class SessionTooNew(SessionError):
    """A later version has written it."""


class SessionDamaged(SessionError):
    """A recorded session is not what was written.

    `file` is the one that is damaged, `record` the number of the first record that cannot be had (None where no
    record is meant), `seq` the last sound event before it.
    """

    def __init__(
        self, file: str, what: str, *, record: int | None = None, seq: int | None = None, advice: str = ""
    ) -> None:
        self.file, self.what, self.record, self.seq, self.advice = file, what, record, seq, advice
        super().__init__(file, what)

    def __str__(self) -> str:
        at = "" if self.record is None else f", record {self.record}"
        after = "" if self.seq is None else f"; sound up to seq {self.seq}"
        return f"{self.file}{at}: {self.what}{after}" + (f". {self.advice}" if self.advice else "")
