"""The files of an archive: one for each UTC day, replaced when the new one is whole, with what is known of the day.

What is known stands in the metadata of the file itself, so that both change in one instant: whoever is killed at any
moment leaves the old file, or the new one.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, warn
from vapi_frames.sources.records.flatten import FLAT_COLUMNS, flat_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

__all__ = ["DayFiles", "Row", "State"]

Row: TypeAlias = dict[str, Any]
"""The values of a call, by column; what is missing may be left out."""

_KEY = b"vapi-frames: archive"
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.parquet")
_PART = re.compile(r"\.\d{4}-\d\d-\d\d\.parquet\.\d+\.part")
_COLUMNS = tuple(column for column in FLAT_COLUMNS if column != "duration")


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a day.

    Attributes:
        asked: When the API was asked for it.
        open: How many of its calls were not over, so that they will change.
        wrong: Whether the API listed something that could not be read.
        kept: The columns that are kept beside those of analytics.
        organization: Whose calls they are, as far as they say so.
    """

    asked: datetime
    open: int = 0
    wrong: bool = False
    kept: frozenset[str] = frozenset()
    organization: str | None = None

    def to_json(self) -> bytes:
        """Return it as the metadata of a file has it."""
        found = {
            "asked": format_iso(self.asked), "open": self.open, "wrong": self.wrong, "kept": sorted(self.kept),
            "organization": self.organization,
        }  # fmt: skip
        return json.dumps(found).encode()

    @classmethod
    def from_json(cls, text: bytes) -> State:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(
            datetime.fromisoformat(found["asked"]).astimezone(UTC),
            int(found["open"]), bool(found["wrong"]), frozenset(found["kept"]), found["organization"],
        )  # fmt: skip


class DayFiles:
    """The files of a folder, which is made where there is none.

    Raises:
        QueryError: It is no folder.
        OSError: It cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise QueryError(f"{str(folder)!r} is a file; an archive is a folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder to oneself, and without what a run that was killed left there.

        Raises:
            RecordsError: Somebody else has it.
        """
        try:
            import fcntl
        except ImportError:  # Windows, where a file that somebody has open cannot be removed or replaced
            self._tidy()
            yield
            return
        with (self.folder / ".lock").open("ab") as file:  # the lock goes with the process, however it ends
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = f"another run is archiving into {str(self.folder)!r}; let it end"
                raise RecordsError(said, file=str(self.folder)) from None
            except OSError:  # a file system without locks
                pass
            self._tidy()
            yield

    def _tidy(self) -> None:
        for path in self.folder.iterdir():
            if _PART.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def states(self) -> dict[date, State]:
        """Return what is known of each day that there is a file of, by date.

        Raises:
            RecordsError: A file has a day's name and was not written by an archive.
        """
        found = {}
        for path in sorted(self.folder.iterdir()):
            matched = _NAME.fullmatch(path.name)
            if matched and _is_date(matched[1]) and (state := self._state(path)) is not None:
                found[date.fromisoformat(matched[1])] = state
        return found

    def _state(self, path: Path) -> State | None:
        import pyarrow as pa
        from pyarrow.parquet import read_schema

        try:
            with path.open("rb") as file:
                schema: pa.Schema = read_schema(file)
        except (pa.ArrowException, OSError) as error:
            self._set_aside(path, error)
            return None
        try:
            return State.from_json((schema.metadata or {})[_KEY])
        except (ValueError, KeyError, TypeError):
            raise RecordsError(
                f"{str(path)!r} was not written by an archive: move it, for the archive keeps its own file of that day",
                file=str(path),
            ) from None

    def rows(self, day: date) -> dict[str, Row]:
        """Return the calls that are kept of *day*, by id; none where the file was damaged, which is set aside."""
        import pyarrow as pa
        from pyarrow.parquet import read_table

        path = self._path(day)
        if not path.exists():
            return {}
        try:
            with path.open("rb") as file:
                table: pa.Table = read_table(file)
        except (pa.ArrowException, OSError) as error:
            self._set_aside(path, error)
            return {}
        return {row["id"]: {name: value for name, value in row.items() if value is not None} for row in _rows(table)}

    def write(self, day: date, rows: Iterable[Row], state: State) -> None:
        """Put *rows* in place of what is kept of *day*.

        Raises:
            OSError: They cannot be written.
        """
        from pyarrow.parquet import write_table

        path = self._path(day)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            table = _table(sorted(rows, key=lambda row: (row["createdAt"], row["id"])), state)
            with part.open("wb") as file:
                write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())  # or after a power cut the new name could be there before what it names
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.parquet"

    def _set_aside(self, path: Path, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno is not None:  # the system's word, which says nothing of the file
            raise error
        places = (path.with_name(f"{path.name}.broken{n or ''}") for n in itertools.count())
        place = next(one for one in places if not one.exists())
        path.replace(place)
        warn(
            f"{str(path)!r} is damaged, was set aside as {place.name!r}, and its day is asked again: {error}",
            RecordsWarning,
        )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()


def _table(rows: list[Row], state: State) -> pa.Table:
    """Return *rows* as a table that has each column of analytics, and of the others those that are met."""
    import pyarrow as pa

    others: Mapping[str, None] = dict.fromkeys(sorted({name for row in rows for name in row} - {*_COLUMNS}))
    names = (*_COLUMNS, *dict.fromkeys((*sorted(state.kept), *others)))
    columns = [pa.array([row.get(name) for row in rows], flat_type(name)) for name in names]
    return pa.table(dict(zip(names, columns, strict=True))).replace_schema_metadata({_KEY: state.to_json()})
