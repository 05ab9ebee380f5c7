"""Which recorded session somebody means."""

from __future__ import annotations

from pathlib import Path

from adapters.session_files.prune import session_folders
from config.suggestions import did_you_mean
from ports.session_errors import SessionNotFound

LATEST = "latest"
SESSION_HELP = "SESSION is an id, `latest`, or the path of a session's folder or of a bundle that `export` made."


def choose_session(text: str, sessions_dir: Path) -> Path:
    """The folder or bundle that `text` names: `latest`, an id among the recorded sessions, or else a path.

    Raises `SessionNotFound`.
    """
    recorded = session_folders(sessions_dir)
    if text == LATEST:
        if not recorded:
            raise SessionNotFound(
                f"{sessions_dir}: no session is recorded here. AI_QUANT_SESSIONS_DIR names the folder."
            )
        return recorded[-1]
    for folder in recorded:
        if folder.name == text:
            return folder
    path = Path(text).expanduser()
    if path.exists():
        return path
    near = did_you_mean(text, (folder.name for folder in recorded)) or "."
    raise SessionNotFound(
        f"{text}: neither a session in {sessions_dir} nor a path{near} `./aiq sessions list` shows the recorded ones."
    )
