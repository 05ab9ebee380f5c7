"""Schema versions: whose file this is, whether it is ours to write, and bringing it up to date.

Alembic runs the migrations; `user_version` in the file's header, stamped in the same
transaction, says how far they have come, so that a file that is up to date costs no import
of Alembic (0.3 to 0.5 s).
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from adapters.sqlite.file_kinds import FileKind
from adapters.sqlite.private_files import make_private_file, sync_to_disk
from ports.ledger import StorageError


def stored_version(connection: sa.Connection, path: Path, kind: FileKind) -> int:
    """Schema version of a file of this kind, 0 for an empty one. Raises `StorageError` for any other."""
    version = _pragma(connection, "user_version")
    application_id = _pragma(connection, "application_id")
    tables = int(connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one())
    if application_id == 0 and tables == 0:
        return 0
    if application_id != kind.application_id:
        raise StorageError(
            f"{path}: this is another program's database, or another kind of file of ours, and no {kind.name}. "
            "Nothing was changed. Name another path."
        )
    if version > kind.version:
        raise StorageError(
            f"{path}: this {kind.name} has schema {version}, made by a newer version of this program; this one knows "
            f"schemas up to {kind.version}. Nothing was changed. Update the program, or name another path."
        )
    return version


def bring_up_to_date(connection: sa.Connection, path: Path, kind: FileKind) -> None:
    """Run the migrations a file lacks, all in one transaction: it ends up at our version or as it was."""
    version = stored_version(connection, path, kind)
    connection.rollback()  # reading began a transaction
    if version == kind.version:
        return
    if version > 0 and kind.backup_before_migration:
        _back_up(connection, path, version)
    with connection.begin():
        _upgrade(connection, kind)
        connection.exec_driver_sql(f"PRAGMA application_id = {kind.application_id}")
        connection.exec_driver_sql(f"PRAGMA user_version = {kind.version}")


def backup_path(path: Path, version: int) -> Path:
    """Where a file of that schema version is copied before it is migrated."""
    return path.with_name(f"{path.name}.schema-{version}.bak")


def _upgrade(connection: sa.Connection, kind: FileKind) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _literal(kind.migrations.parent))
    config.set_main_option("version_locations", _literal(kind.migrations))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, f"{kind.version:04d}")


def _literal(path: Path) -> str:
    return str(path).replace("%", "%%")  # the config's own interpolation


def _back_up(connection: sa.Connection, path: Path, version: int) -> None:
    """Copy the file as it is. An earlier attempt's copy is made anew: its migration never happened."""
    target = backup_path(path, version)
    try:
        target.unlink(missing_ok=True)
        make_private_file(target)
        connection.connection.cursor().execute("VACUUM INTO ?", (str(target),))
        sync_to_disk(target)
    except OSError as e:
        raise StorageError(
            f"{path}: cannot be copied to {target} before its schema is changed ({e.strerror}). Nothing was changed. "
            "Make room for the copy and let this user write in the folder."
        ) from e


def _pragma(connection: sa.Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
