"""The files of an archive: one per UTC day, with the state of the day in the metadata of the file.

So both are replaced together: a run that is killed leaves the old file, or the new one. Each file has a digest, which
is checked before anything is read from it.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import IO, TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, warn
from vapi_frames.files import atomic_write, expand_path, is_temporary, make_private_folder
from vapi_frames.sources.archive.fields import FIXED_COLUMNS, MAPS, QUERY_COLUMNS, VARIABLES, column_type
from vapi_frames.sources.records.days import ARCHIVE_OPTIONS, DAY_STATE, is_archived_day
from vapi_frames.sources.records.digests import (
    DIGESTS_FILE,
    compute_digest,
    describe_change,
    find_damaged,
    format_digests,
    read_digests,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from vapi_frames.sources.archive.fields import Row

__all__ = ["RECORDS", "DayFiles", "State", "list_days"]

RECORDS = "records"
"""What a day keeps since archives have ids, numbers and short texts that no query uses, and maps of variables."""

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.parquet")
_WRITTEN = re.compile(rf"{_NAME.pattern}|{DIGESTS_FILE}")
_PREFIX = f"{VARIABLES}."  # of the columns in which an earlier version kept variables
_MOST_VARIABLES = 1_000  # their keys are in the metadata of a file, if they have no more characters than
_MOST_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a day.

    Attributes:
        fetched: When it was fetched.
        open: How many of its calls were not over, so that they will change.
        has_failed: Whether the API listed a call that could not be read.
        kept: The options that were kept, and `RECORDS`.
        organization: The organization of the calls, if they name it.
        variables: The keys of their variables; ``None`` where there are too many.
        swept: Until when changes of all complete days were known then; that is usually when it was fetched.
    """

    fetched: datetime
    open: int = 0
    has_failed: bool = False
    kept: frozenset[str] = frozenset()
    organization: str | None = None
    variables: tuple[str, ...] | None = ()
    swept: datetime | None = None

    def to_json(self) -> bytes:
        """Return the metadata of a file."""
        values = {
            "fetched": format_iso(self.fetched), "open": self.open, "has_failed": self.has_failed,
            "kept": sorted(self.kept), "organization": self.organization, "variables": self.variables,
            "swept": format_iso(self.swept or self.fetched),
        }  # fmt: skip
        return json.dumps(values).encode()

    @classmethod
    def from_json(cls, text: bytes) -> State:
        """Read what `to_json` wrote, of this version or an earlier one."""
        values = json.loads(text)
        kept = values.get("kept")
        if kept is None:  # an earlier version kept variables, and names the columns beside those of queries
            extras = frozenset(values["extras"])
            kept = ["variables", *(name for name, columns in ARCHIVE_OPTIONS.items() if not extras.isdisjoint(columns))]
        fetched, swept = (
            datetime.fromisoformat(values.get(name) or values["fetched"]) for name in ("fetched", "swept")
        )
        return cls(
            fetched.astimezone(UTC), int(values["open"]), bool(values["has_failed"]), frozenset(kept),
            values["organization"], swept=swept.astimezone(UTC),
        )  # fmt: skip


class DayFiles:
    """The files of a folder, which is created if there is none.

    Attributes:
        folder: The folder.
        damaged: Day → what is wrong with its file, for the days with a file that is not as it was written.

    Raises:
        QueryError: The folder is a file.
        OSError: It cannot be created.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = expand_path(folder)
        self.damaged: dict[date, str] = {}
        if self.folder.exists() and not self.folder.is_dir():
            raise QueryError(f"{str(folder)!r} is a file; an archive is a folder")
        make_private_folder(self.folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, and delete the temporary files of runs that were killed.

        Raises:
            RecordsError: Another run uses it.
        """
        try:
            import fcntl
        except ImportError:  # Windows, where a file that is open cannot be deleted or replaced
            self._delete_temporaries()
            yield
            return
        with (self.folder / ".lock").open("ab") as file:  # the lock ends with the process
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another run is archiving into {str(self.folder)!r}: wait until it ends"
                raise RecordsError(message, file=str(self.folder)) from None
            except OSError:  # a file system without locks
                pass
            self._delete_temporaries()
            yield

    def _delete_temporaries(self) -> None:
        for path in self.folder.iterdir():
            if is_temporary(path.name, _WRITTEN):
                path.unlink(missing_ok=True)

    def read_states(self) -> dict[date, State]:
        """Return the state of each day that has a file; those that are `damaged` are left out.

        Raises:
            RecordsError: A file has a day's name and was not written by an archive.
        """
        paths = list_days(self.folder)
        damaged = find_damaged(paths.values())
        self.damaged |= {day: damaged[path] for day, path in paths.items() if path in damaged}
        states = {day: self._state(day, path) for day, path in paths.items() if path not in damaged}
        return {day: state for day, state in states.items() if state is not None}

    def _state(self, day: date, path: Path) -> State | None:
        import pyarrow as pa
        from pyarrow.parquet import read_schema

        try:
            with path.open("rb") as file:
                schema: pa.Schema = read_schema(file)
        except (pa.ArrowException, OSError) as error:
            self._note_damage(day, error)
            return None
        try:
            return State.from_json((schema.metadata or {})[DAY_STATE])
        except (ValueError, KeyError, TypeError):
            raise RecordsError(
                f"{str(path)!r} was not written by an archive: move it, because the archive writes a file of that name",
                file=str(path),
            ) from None

    def read_rows(self, day: date) -> dict[str, Row]:
        """Return the calls of *day* by id; none if its file is damaged, and the day is then among the `damaged`."""
        import pyarrow as pa
        from pyarrow.parquet import read_table

        path = self._path(day)
        if not path.exists():
            return {}
        content = path.read_bytes()  # the rows that are read are of the bytes that were checked
        expected = (read_digests(self.folder) or {}).get(path.name)
        if expected and hashlib.sha256(content).hexdigest() not in expected:
            self.damaged[day] = describe_change(path)
            return {}
        try:
            table: pa.Table = read_table(pa.BufferReader(content))
        except (pa.ArrowException, OSError) as error:
            self._note_damage(day, error)
            return {}
        return {row["id"]: row for row in _rows(table)}

    def write(self, day: date, rows: Iterable[Row], state: State) -> None:
        """Replace the file of *day*.

        Raises:
            OSError: It cannot be written.
        """
        from pyarrow.parquet import write_table

        path = self._path(day)
        rows = sorted(rows, key=lambda row: (row["createdAt"], row["id"]))
        keys = sorted({key for row in rows for key in row.get(VARIABLES, ())})
        is_short = len(keys) <= _MOST_VARIABLES and sum(map(len, keys)) <= _MOST_CHARACTERS
        table = _table(rows, replace(state, variables=tuple(keys) if is_short else None))
        with atomic_write(path, mode=0o600) as file:
            hashed = _HashedFile(file)
            write_table(table, hashed, compression="zstd", write_page_checksum=True)
            digests = self._read_digests()
            digest = hashed.digest.hexdigest()
            # Both, until the new file has the name: whichever is there, it is as it was written.
            self._write_digests({**digests, path.name: (*digests.get(path.name, ()), digest)})
        self._write_digests({**digests, path.name: (digest,)})

    def set_aside(self, day: date) -> None:
        """Give the file of a damaged *day* another name, and warn of it."""
        path = self._path(day)
        places = (path.with_name(f"{path.name}.broken{n or ''}") for n in itertools.count())
        place = next(one for one in places if not one.exists())
        path.replace(place)
        warn(
            f"{str(path)!r} is damaged, was set aside as {place.name!r}, and its day is fetched again: "
            f"{self.damaged.pop(day)}",
            RecordsWarning,
        )

    def _read_digests(self) -> Mapping[str, tuple[str, ...]]:
        """Return name of a file → its digests; of an archive without digests those that its files have now."""
        digests = read_digests(self.folder)
        if digests is None:
            paths = [path for path in list_days(self.folder).values() if is_archived_day(str(path))]
            digests = {path.name: (compute_digest(path),) for path in paths}
        return digests

    def _write_digests(self, digests: Mapping[str, tuple[str, ...]]) -> None:
        with atomic_write(self.folder / DIGESTS_FILE, mode=0o600) as file:
            file.write(format_digests(digests))

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.parquet"

    def _note_damage(self, day: date, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno is not None:  # the system refuses, which says nothing of the file
            raise error
        self.damaged[day] = str(error)


class _HashedFile(io.RawIOBase):
    """A file that computes the digest of what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def list_days(folder: Path) -> dict[date, Path]:
    """Return day → path of the files of *folder* with the name of a day, in order."""
    found = {}
    for path in sorted(folder.iterdir()):
        matched = _NAME.fullmatch(path.name)
        if matched and _is_date(matched[1]):
            found[date.fromisoformat(matched[1])] = path
    return found


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=1_000):
        for values in batch.to_pylist():
            row = {name: value for name, value in values.items() if value is not None}
            row |= {name: dict(row[name]) for name in MAPS if name in row}
            # An earlier version wrote a column for each variable.
            old = {name: row.pop(name) for name in values if name in row and name.startswith(_PREFIX)}
            if old:
                row[VARIABLES] = {name.removeprefix(_PREFIX): text for name, text in old.items()}
            yield row


def _table(rows: list[Row], state: State) -> pa.Table:
    """Return *rows* as a table with the fixed columns, those of the options, and of the others those that occur."""
    import pyarrow as pa

    kept = [name for option in ARCHIVE_OPTIONS if option in state.kept for name in ARCHIVE_OPTIONS[option]]
    fixed = FIXED_COLUMNS if RECORDS in state.kept else QUERY_COLUMNS
    names = dict.fromkeys((*fixed, *kept, *sorted({name for row in rows for name in row})))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        type_ = column_type(name, values)
        if name in MAPS:
            values = [None if value is None else list(value.items()) for value in values]
        elif pa.types.is_floating(type_):
            values = [None if value is None else float(value) for value in values]
        columns[name] = pa.array(values, type_)
    return pa.table(columns).replace_schema_metadata({DAY_STATE: state.to_json()})
