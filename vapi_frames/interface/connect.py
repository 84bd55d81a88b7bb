"""Where a query starts: `vq`, and the functions that return one for other sources."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from vapi_frames.calendar import ranges
from vapi_frames.contract.vocabulary import BASE_URL, check_units
from vapi_frames.errors import QueryError, format_value
from vapi_frames.files import expand_path, make_private_folder
from vapi_frames.interface.vq import Vq

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from vapi_frames.sources import Source, Wire
    from vapi_frames.sources.cache.store import Store
    from vapi_frames.sources.http.connection import Connection

__all__ = ["Vq", "connect", "demo", "local", "record", "replay", "vq", "warehouse"]


def connect(
    token: str | None = None,
    *,
    base_url: str = BASE_URL,
    timeout: float | tuple[float, float] = (5.0, 60.0),
    cache: str | PathLike[str] | None = None,
    settle: str = "1h",
    cache_limit: int = 2**30,
    workers: int = 4,
    units: Mapping[str, str] | None = None,
) -> Vq:
    """Return a `Vq` of the Vapi API.

    Args:
        token: The organization's private key; by default ``VAPI_API_KEY``, else ``VAPI_TOKEN``, read at each request.
        base_url: Where ``POST /analytics`` is served: https://, or http:// on this machine, which no proxy sees.
        timeout: Seconds to wait for a connection, and between two pieces of a reply; or one number for both. A reply
            as a whole may take ten times as long.
        cache: A folder for the results of buckets that are over, so that they are fetched once; see
            `vapi_frames.cache`. By default nothing is stored.
        settle: How long after its end a bucket may still change, and is fetched again: ``"1h"``, ``"3d"``.
        cache_limit: How many bytes the cache may have; what was not used for longest is deleted first.
        workers: How many requests run concurrently, if a query needs several.
        units: In which unit a column comes, where it is not the documented one: ``{"duration": "s"}``.

    Raises:
        QueryError: An argument is wrong, or *base_url* would send the key in the clear.

    Examples:
        >>> import vapi_frames as vf
        >>> vq = vf.connect(base_url="http://127.0.0.1:8484")  # vapi-frames serve, on this machine
        >>> vq.call().count().during("2026-10")
        vq.call().count().between("2026-10-01", "2026-11-01")
    """
    from vapi_frames.redact import Secret
    from vapi_frames.sources.http.connection import Connection

    units = check_units(units)
    token = Secret(token) if isinstance(token, str) else token  # should an argument be wrong, tracebacks hide it
    connection = Connection(token, base_url=base_url, timeout=timeout)
    source = _make_api_source(connection, workers=workers, open_store=_store(connection, cache, settle, cache_limit))
    return Vq(lambda: source, units=units)


def _make_api_source(wire: Wire, **options: Any) -> Source:
    from vapi_frames.sources.api.client import ApiClient
    from vapi_frames.sources.api.source import ApiSource

    return ApiSource(ApiClient(wire), **options)


def _store(connection: Connection, folder: object, settle: str, limit: int) -> Callable[[], Store] | None:
    """Return a function that opens the cache under the key as it is then; it may change between two fetches."""
    lasting = ranges.parse_duration(settle, "settle")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit <= 0:
        raise QueryError(f"cache_limit must be a whole number of bytes, such as 2**30, not {format_value(limit)}")
    if folder is None:
        return None
    if not isinstance(folder, str | PathLike) or not str(folder):
        raise QueryError(f"cache must be a folder, not {format_value(folder)}")
    from vapi_frames.sources.cache.store import Store

    place = expand_path(folder)
    return lambda: Store(
        place, host=connection.host, secret=connection.derive_secret("cache"), settle=lasting, limit=limit
    )


def _api() -> Source:
    from vapi_frames.sources.http.connection import Connection

    return _make_api_source(Connection())


vq = Vq(_api)
"""A `Vq` of the API, with the key of ``VAPI_API_KEY`` (or ``VAPI_TOKEN``), read when it fetches."""


def local(
    calls: pd.DataFrame | pa.Table | Sequence[dict[str, Any]] | str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    duplicates: Literal["keep", "first", "raise"] = "keep",
    on_error: Literal["raise", "skip"] = "raise",
    columns: Mapping[str, str | Sequence[str]] | None = None,
    now: datetime | str | None = None,
) -> Vq:
    """Return a `Vq` of call records on this machine, queried with an embedded DuckDB.

    Args:
        calls: A DataFrame of pandas or polars, an Arrow table, a list of call JSON or of JSON texts, or files of
            Parquet, JSON, CSV or TSV: a path, a folder, a glob, or several. Those in object storage have addresses
            with ``s3://``, ``gs://`` or ``az://``; the credentials are those of the environment. Call JSON is what
            ``GET /call`` returns, pages of it, or the reports that are sent when a call is over, also among other
            messages. Columns are the API's in camelCase or snake_case, nested, or flat with dots or underscores
            (``costBreakdown.llm``, ``cost_breakdown_llm``); a column that a query does not use may be missing.
        duplicates: What becomes of a record with the id of an earlier one: it is counted, too (``"keep"``), left out
            (``"first"``), or an error (``"raise"``).
        on_error: What becomes of call JSON that cannot be read: an error (``"raise"``), or left out and counted in
            ``df.vapi.meta.notes`` (``"skip"``).
        columns: Column of the API → column of the records, where they call it otherwise:
            ``{"createdAt": "when"}``; or a tuple of their column and the keys into a nested value.
            ``"variableValues.<key>"`` names a variable.
        now: Its clock, for relative ranges; the wall clock by default.

    Raises:
        RecordsError: *calls* is none of these, no file matches, or a call in a list cannot be read.
        MissingExtraError: DuckDB is not installed, or the file system that an address needs.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "cost": 0.25}]
        >>> vf.local(calls).call().sum("cost").during("2026-10").fetch()
           sumCost
        0     0.25
    """
    from vapi_frames.sources.local.source import LocalSource

    clock = None if now is None else ranges.parse_now(now)
    source = LocalSource(calls, duplicates=duplicates, on_error=on_error, columns=columns, now=clock)
    return Vq(lambda: source)


def warehouse(
    connection: Any,
    table: str | Sequence[str],
    *,
    dialect: str | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    now: datetime | str | None = None,
) -> Vq:
    """Return a `Vq` of a table of call records in a warehouse; only aggregated rows are transferred.

    Args:
        connection: An engine, a connection or a URL of SQLAlchemy (``"postgresql+psycopg://user@host/database"``), a
            Spark session, or any connection of Python's database API (PEP 249), such as those of ADBC. What you
            opened stays open, and its transaction as it was; the connections to a URL end with ``close()`` or
            ``with``.
        table: The table's name, with dots between its parts (``"sales.calls"``), or the parts as a tuple where they
            hold dots themselves. It is always quoted: write it as the engine stores it.
        dialect: The dialect of SQL: ``"spark"``, ``"databricks"``, ``"postgres"``, ``"clickhouse"``, ``"duckdb"``,
            ``"bigquery"``, ``"snowflake"`` or ``"trino"``. By default what the connection shows.
        columns: Column of the API → column of the table, where the table calls it otherwise; or a tuple of the
            table's column and the keys into a nested value. ``"variableValues.<key>"`` names a variable.
        now: Its clock, for relative ranges; the wall clock by default.

    Raises:
        QueryError: An argument is wrong, or the connection does not show its dialect.
        UnknownWordError: There is no such dialect, or the API has no such column.
        MissingExtraError: sqlglot is not installed, or SQLAlchemy, which a URL needs.

    Examples:
        >>> import duckdb, vapi_frames as vf
        >>> connection = duckdb.connect()
        >>> _ = connection.execute("CREATE TABLE calls (id TEXT, created TIMESTAMP, usd DOUBLE)")
        >>> _ = connection.execute("INSERT INTO calls VALUES ('1', '2026-10-01 12:00:00', 0.25)")
        >>> names = {"createdAt": "created", "cost": "usd"}
        >>> vq = vf.warehouse(connection, "calls", columns=names)
        >>> vq.call().sum("cost").during("2026-10").fetch()
           sumCost
        0     0.25
    """
    from vapi_frames.redact import Secret
    from vapi_frames.sources.warehouse.source import WarehouseSource

    # Should an argument be wrong, tracebacks hide a URL, which may have a password.
    connection = Secret(connection) if isinstance(connection, str) else connection
    clock = None if now is None else ranges.parse_now(now)
    source = WarehouseSource(connection, table, dialect=dialect, columns=columns, now=clock)
    return Vq(lambda: source)


def demo() -> Vq:
    """Return a `Vq` of a realistic sample organization, without key or network. Its clock is the end of its data.

    The records are those of `vapi_frames.sample_calls`, the same on every machine: ``vf.sample_calls()`` returns them.

    Raises:
        MissingExtraError: DuckDB is not installed.

    Examples:
        >>> import vapi_frames as vf
        >>> vf.demo().call().sum("cost").count().during("2026-10").fetch().round(2)
           sumCost  countId
        0  2142.22    13495
    """
    from vapi_frames.sources.local.sample import ASSISTANTS, keep_sample
    from vapi_frames.sources.local.source import LocalSource

    source = LocalSource(keep_sample(), now=datetime(2026, 11, 16, tzinfo=UTC))
    return Vq(lambda: source, names=ASSISTANTS)


def record(folder: str | PathLike[str], source: Vq | None = None, *, now: datetime | str | None = None) -> Vq:
    """Return a `Vq` that fetches from *source*, and writes each query with its reply to a JSON file, for `replay`.

    A file contains ids of assistants and values of variables, too. Headers are not recorded; the key, bearer tokens and
    JSON Web Tokens are replaced by ``***``. Read a file before you share it.

    Args:
        folder: The folder of the files, one for each query; a query that is fetched again replaces its file.
        source: The vq to record; the API by default. Its cache is not used. A source other than the API gets queries
            as the API does: without filters, grouped by the filtered words as well.
        now: Its clock, which is fixed, so that all relative ranges end at one instant; by default the present clock of
            *source*. With the same clock, the same queries replace the same files.

    Raises:
        QueryError: An argument is wrong.
        OSError: There can be no such folder.

    Examples:
        >>> import tempfile, vapi_frames as vf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = vf.record(folder, vf.demo()).call().sum("cost").last("30d").fetch()
        ...     vf.replay(folder).call().sum("cost").last("30d").fetch().equals(frame)
        True
    """
    from vapi_frames.sources.api.client import ApiClient
    from vapi_frames.sources.api.source import ApiSource
    from vapi_frames.sources.recordings.replay import RecordingWire
    from vapi_frames.sources.recordings.served import InProcessWire

    place = _folder(folder, "record")
    if not isinstance(source, Vq | None):  # not repeated: it may be the key
        kind = type(source).__name__
        raise QueryError(f"record() takes a vq, e.g. vf.record(folder, vf.connect(...)), not {kind}")
    vq = connect() if source is None else source
    recorded, units = vq.source, vq.units
    clock = vq.now() if now is None else ranges.parse_now(now)
    if place.exists() and not place.is_dir():
        raise QueryError(f"{place} is a file; record takes the folder that recordings go to")
    make_private_folder(place)
    if isinstance(recorded, ApiSource):
        recorder = RecordingWire(recorded.client.wire, place, clock, units=units)
        api_source = recorded.with_client(ApiClient(recorder, kind=recorded.kind, now=clock))
    else:
        recorder = RecordingWire(InProcessWire(recorded, clock), place, clock, units=units)
        # A source in this process has no rate limit: a query is one file, however long its range.
        api_source = ApiSource(
            ApiClient(recorder, kind=recorded.kind, now=clock), workers=1, divide=lambda piece: [piece]
        )
    return Vq(lambda: api_source, units=units, on_close=vq.close if source is None else None)


def replay(folder: str | PathLike[str]) -> Vq:
    """Return a `Vq` of what `record` wrote to *folder*, without a network.

    Its clock is that of the newest recording, so that a relative range is the range that was recorded. The name of a
    query does not matter, nor into how many requests a long range was divided. The folder is read once.

    Raises:
        ReplayMissError: There is no recording, or a file that is none. At a fetch: a query was not recorded; the
            error names the nearest recording, and what differs.

    Examples:
        >>> import tempfile, vapi_frames as vf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = vf.record(folder, vf.demo()).call().count().during("2026-10").fetch()
        ...     vf.replay(folder).call().count().during("2026-09").fetch()
        Traceback (most recent call last):
        ...
        vapi_frames.errors.ReplayMissError: no recording in ... answers vq.call().count().between(...); the nearest, \
countId-2026-10-01-....json, answers vq.call().count().between(...). \
timeRange.start: requested '2026-09-01T00:00:00Z', recorded '2026-10-01T00:00:00Z'; \
timeRange.end: requested '2026-10-01T00:00:00Z', recorded '2026-11-01T00:00:00Z'. Fetch it with vf.record(...) first
    """
    from vapi_frames.sources.api.client import ApiClient
    from vapi_frames.sources.api.source import ApiSource
    from vapi_frames.sources.recordings.replay import ReplayWire

    player = ReplayWire(_folder(folder, "replay"))
    source = ApiSource(ApiClient(player, kind="replay", now=player.now), divide=player.divide)
    return Vq(lambda: source, units=player.units)


def _folder(folder: object, verb: str) -> Path:
    path = os.fspath(folder) if isinstance(folder, str | PathLike) else None
    if not isinstance(path, str) or not path:
        found = "an empty text" if path == "" else type(folder).__name__
        raise QueryError(f'{verb} takes a folder, e.g. vf.{verb}("recordings"), not {found}')
    return expand_path(path)
