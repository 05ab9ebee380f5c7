"""What a process asked of the kernel, as strace tells it: every call with its files by name, in order."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_STRACE = ("strace", "-f", "--seccomp-bpf")
"""All threads; calls that are not asked for cost nothing."""

_LINE = re.compile(r"(\d+) +(.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FILE = re.compile(r"-?\w+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. `begun` and `ended` are places in the trace: another thread's calls may lie between them."""

    pid: int
    name: str
    arguments: str
    result: int
    told: str
    """What stands behind the result: the name of an opened file, an error's."""
    begun: int
    ended: int

    @property
    def file(self) -> str:
        """The file, socket or folder that the first argument stands for."""
        found = _FILE.match(self.arguments)
        return _plain(found[1]) if found else ""

    @property
    def opened(self) -> str:
        found = re.match(r"<([^>]*)>", self.told)
        return _plain(found[1]) if found else ""

    @property
    def texts(self) -> list[bytes]:
        """Every string among the arguments."""
        return [_bytes(text) for text, _ in _TEXT.findall(self.arguments)]

    @property
    def numbers(self) -> list[int]:
        """What stands behind the last string or file among the arguments."""
        rest = self.arguments.rsplit('"', 1)[-1].rsplit(">", 1)[-1]
        return [int(each) for each in rest.split(",") if each.strip().lstrip("-").isdigit()]


def strace(trace: Path, calls: str, *options: str, whole: int = 1_000_000) -> list[str]:
    """The words before a command that have it traced: strings whole and in hex, descriptors by name, all threads."""
    needs_strace()
    return [*_STRACE, "-y", "-xx", "-s", str(whole), "-o", str(trace), "-e", f"trace={calls}", *options, "--"]


def needs_strace() -> None:
    """Skip where processes cannot be traced."""
    if not _can_trace():
        pytest.skip("NOT TESTED: strace is missing here, or may not trace: install it (apt-get install strace)")


@cache
def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    command = [*_STRACE, "-y", "-o", "/dev/null", "-e", "trace=openat", "true"]
    tried = subprocess.run(command, capture_output=True, check=False)
    return tried.returncode == 0


def read_trace(trace: Path) -> list[Call]:
    """Every call that returned, in the order of returning."""
    return list(_calls(trace.read_text("ascii", "replace").splitlines()))


def _calls(lines: Sequence[str]) -> Iterator[Call]:
    begun: dict[int, tuple[int, str]] = {}
    for place, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        pid, text = int(match[1]), match[2]
        start = place
        if text.endswith(_UNFINISHED):
            begun[pid] = place, text.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            start, first = begun.pop(pid, (place, resumed[1] + "("))
            text = first + resumed[2]
        whole = _WHOLE.match(text)
        if whole is not None:  # else a signal, or an end
            result = -1 if whole[3] == "?" else int(whole[3])
            yield Call(pid, whole[1], whole[2], result, whole[4], start, place)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(text: str) -> str:
    return _HEX.sub(lambda found: chr(int(found[1], 16)), text)
