"""Keeping all sessions of a folder under a cap: oldest first, never one that is being written or read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.session_files.manifest import MANIFEST_NAME, Manifest, segment_number
from adapters.session_files.session_lock import LOCK_NAME, is_running, lock_to_remove


@dataclass(frozen=True, slots=True)
class Removed:
    """A session that went. `bytes`: what its files took."""

    id: str
    bytes: int


def session_folders(sessions_dir: Path) -> list[Path]:
    """Every folder that is a session, oldest first; a folder without a session's files is none of ours."""
    if not sessions_dir.is_dir():
        return []
    folders = [each for each in sessions_dir.iterdir() if not each.is_symlink() and each.is_dir() and own_files(each)]
    return sorted(folders, key=lambda folder: (_started_ns(folder), folder.name))


def own_files(folder: Path) -> list[Path]:
    """The files that make a session; the lock and the manifest last. Empty where there is none, or none to be seen."""
    try:
        files = [each for each in folder.iterdir() if _is_ours(each.name)]
    except OSError:
        return []
    files.sort(key=lambda path: (path.name in (LOCK_NAME, MANIFEST_NAME), path.name))
    return files if any(each.name != LOCK_NAME for each in files) else []


def bytes_of(folder: Path) -> int:
    total = 0
    for path in own_files(folder):
        with suppress(FileNotFoundError):  # its writer has just replaced or pruned it
            total += path.stat().st_size
    return total


def prune(sessions_dir: Path, cap_bytes: int, *, dry_run: bool = False) -> tuple[list[Removed], int]:
    """Remove oldest sessions until the rest takes `cap_bytes` at most; returns what went, and the bytes that are left.

    What cannot be removed stays, and the next one goes. With `dry_run` nothing is touched.
    """
    sizes = {folder: bytes_of(folder) for folder in session_folders(sessions_dir)}
    left = sum(sizes.values())
    removed = []
    for folder, size in sizes.items():
        if left <= cap_bytes:
            break
        if is_running(folder) if dry_run else not _remove(folder):
            continue
        left -= size
        removed.append(Removed(folder.name, size))
    return removed, left


def without_first_segments(manifest: Manifest, over_bytes: int) -> tuple[Manifest, list[str]]:
    """The manifest without so many first segments that `over_bytes` become free, or all; and their files' names.

    For a session's own writer: nobody else may change a manifest of a session that is being written.
    """
    names = []
    for segment in manifest.segments:
        if over_bytes <= 0:
            break
        over_bytes -= segment.bytes
        names.append(segment.name)
        manifest = replace(
            manifest,
            segments=manifest.segments[1:],
            pruned=manifest.pruned + 1,
            pruned_last=segment.last,
            pruned_chain=segment.chain,
        )
    return manifest, names


def _remove(folder: Path) -> bool:
    """Only our own files: somebody may have put a note beside them."""
    lock = lock_to_remove(folder)
    if lock is None:
        return False
    try:
        for path in own_files(folder):
            path.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError:
        pass  # two may do this at once; what counts is what is left
    finally:
        lock.release()
    return not own_files(folder)


def _is_ours(name: str) -> bool:
    return name in (MANIFEST_NAME, LOCK_NAME, f".{MANIFEST_NAME}.new") or segment_number(name) is not None


def _started_ns(folder: Path) -> int:
    """When it began, by this machine's clock: a session's own times may be those of a simulated market.

    The lock is written once, at the start; a session that was copied has only its manifest.
    """
    for name in (LOCK_NAME, MANIFEST_NAME, ""):
        try:
            return (folder / name).stat().st_mtime_ns
        except OSError:
            continue
    return 0
