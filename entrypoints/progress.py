"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

_LINE_EVERY = 0.1


class Progress(Protocol):
    def __call__(self, done: int) -> None: ...


class _Lines:
    """One line per tenth of the work, for logs and pipes."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, max(total, 1)
        self._next = _LINE_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, done: int) -> None:
        share = done / self._total
        if share >= self._next:
            print(f"{self._label}: {share:.0%}", file=sys.stderr, flush=True)
            self._next = (int(share / _LINE_EVERY) + 1) * _LINE_EVERY


@contextmanager
def progress(label: str, total: int, *, quiet: bool = False) -> Iterator[Progress]:
    """Show how far a work of `total` units has come; call what is yielded with the units done so far."""
    if quiet:
        yield lambda done: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn(label), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        with _Lines(label, total) as lines:
            yield lines
