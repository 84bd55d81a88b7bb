"""The cache's file: private, never someone else's, set aside when damaged; what a disk refuses breaks no fetch."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import textwrap
import warnings
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.cached import HOURLY, WHOLE, count_parts, hours, open_store, run_sql, segment, spans
from vapi_frames.errors import ResponseWarning
from vapi_frames.sources.cache import cache
from vapi_frames.sources.cache.database import FILE_NAME

SIDE_FILES = ("-wal", "-shm", "-journal")


@pytest.fixture
def file(store):
    """Return the file of a cache with twelve hours in it."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    return store.folder / FILE_NAME


@contextmanager
def largest_file(size):
    """Let this process write no byte beyond *size* of any file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- private ------------------------------------------------------------------------------------------------------


def test_the_file_is_private(tmp_path):
    """Only its user may read the file, its journals and the folder, whatever the umask."""
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "a" / "cache")
        store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {FILE_NAME: 0o600}

    def look(connection):
        names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()}
        assert names == {FILE_NAME: 0o600, f"{FILE_NAME}-wal": 0o600, f"{FILE_NAME}-shm": 0o600}

    store._database.write(look)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_becomes_private(file, store):
    """A copy from elsewhere may have come with other permissions."""
    file.chmod(0o666)
    assert len(store.find(HOURLY, *hours(0, 12))) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["", *SIDE_FILES])
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_a_link_is_not_followed(suffix, kind, store, tmp_path):
    """A link to someone's file in place of the cache's file, or of a journal, is neither followed nor removed."""
    folder = tmp_path / "cache"
    folder.mkdir()
    victim, planted = tmp_path / "victim", folder / f"{FILE_NAME}{suffix}"
    if kind == "link":
        victim.write_text("mine")
        victim.chmod(0o640)
    {"folder": planted.mkdir, "pipe": lambda: os.mkfifo(planted)}.get(kind, lambda: planted.symlink_to(victim))()
    store = open_store(folder)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert store.find(HOURLY, *hours(0, 12)) == []
        store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert shown
    assert all("not a regular file; delete it, or name another folder" in str(one.message) for one in shown)
    assert planted.is_symlink() == ("link" in kind)
    assert planted.exists() == (kind != "dangling link")
    assert victim.exists() == (kind == "link")
    if kind == "link":
        assert victim.read_text() == "mine"
        assert stat.S_IMODE(victim.stat().st_mode) == 0o640


def test_a_folder_may_be_a_link(store, tmp_path):
    """The folder is named by its user; two names of one folder are one cache."""
    (tmp_path / "link").symlink_to(tmp_path)
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert len(open_store(tmp_path / "link").find(HOURLY, *hours(0, 12))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", FILE_NAME]


# --- damaged, or not the cache's ----------------------------------------------------------------------------------


def damages(file):
    """Return what the file may be instead of what was written."""
    content = file.read_bytes()
    other = file.with_name("other.sqlite")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE parts (mine)")
        connection.commit()
    foreign = other.read_bytes()
    other.unlink()
    return {
        "cut": content[:-4096], "half": content[: len(content) // 2], "zeros": bytes(len(content)),
        "no header": b"x" * 100 + content[100:], "no first page": content[:100] + bytes(3996) + content[4096:],
        "text": b"start,end\n1,2\n" * 99, "foreign": foreign, "one byte": b"x",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["cut", "half", "zeros", "no header", "no first page", "text", "foreign", "one byte"])
def test_a_damaged_file_is_set_aside(kind, file, store):
    """What is no cache file is renamed, with a warning, and a new one is begun; nothing of it is lost."""
    content = damages(file)[kind]
    file.write_bytes(content)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert store.find(HOURLY, *hours(0, 12)) == []
        store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
        assert len(store.find(HOURLY, *hours(0, 12))) == 1
    [message] = {str(one.message) for one in shown}
    assert message.startswith(f"the cache file {file} is damaged (")
    assert message.endswith(f"): it is set aside as {FILE_NAME}.broken, and what it held is fetched again")
    assert (shown[0].category, shown[0].filename) == (ResponseWarning, __file__)
    assert file.with_name(f"{FILE_NAME}.broken").read_bytes() == content


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE parts",
        "ALTER TABLE parts RENAME COLUMN mac TO code",
        "CREATE TRIGGER planted BEFORE INSERT ON parts BEGIN SELECT RAISE(FAIL, 'no'); END",
    ],
)
def test_another_table_in_the_file_is_damage(statement, file, store):
    """A file that says it is the cache's, and has another table, is set aside, too."""
    run_sql(store.folder, statement)
    with pytest.warns(ResponseWarning, match="is damaged"):
        store.put(HOURLY.by("status"), segment(HOURLY.by("status"), *hours(0, 12)))
    assert len(store.find(HOURLY.by("status"), *hours(0, 12))) == 1


def test_an_empty_file_is_begun(store):
    """As a process leaves it that was killed before it wrote anything."""
    (store.folder / FILE_NAME).touch()
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert len(store.find(HOURLY, *hours(0, 12))) == 1


def test_a_file_that_goes_is_made_again(file, store):
    """The user, or another process, may delete or rename the file, or the folder, while it is open."""
    for remove in (
        file.unlink,
        lambda: file.rename(file.with_name("away")),
        lambda: [path.unlink() for path in store.folder.iterdir()],
    ):
        remove()
        assert store.find(HOURLY, *hours(0, 12)) == []
        store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
        assert len(store.find(HOURLY, *hours(0, 12))) == 1
        assert count_parts(store.folder) == 1


# --- what the disk refuses ----------------------------------------------------------------------------------------


def test_a_full_disk_breaks_no_fetch(store):
    """What cannot be written whole is not stored, does no harm, and is said once; later it is stored again."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
    with largest_file(100), warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        store.put(HOURLY, segment(HOURLY, *hours(9, 12)))
        store.put(HOURLY, segment(HOURLY, *hours(20, 24)))
        assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 5)]
    (one,) = shown
    refused = f"results cannot be written to the cache in {store.folder}, and will be fetched again: "
    assert str(one.message).startswith(refused)
    assert (one.category, one.filename) == (ResponseWarning, __file__)
    store.put(HOURLY, segment(HOURLY, *hours(9, 12)))
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 5), (9, 12)]


def test_a_full_disk_begins_no_file(store):
    """Without a byte to write nothing is stored, and the next time begins anew."""
    with largest_file(100), pytest.warns(ResponseWarning, match="cannot be written"):
        store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
    store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
    assert len(store.find(HOURLY, *hours(0, 5))) == 1


def test_a_disk_without_shared_memory_gets_a_rollback_journal(store):
    """Where SQLite cannot have a write-ahead log, it has its older journal, and the cache works."""
    with largest_file(32_000):  # the shared memory of a write-ahead log has 32,768 bytes
        for _ in range(2):
            store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
            assert len(store.find(HOURLY, *hours(0, 5))) == 1
    assert run_sql(store.folder, "PRAGMA journal_mode") == [("delete",)]


def test_a_system_without_shared_memory_gets_a_rollback_journal(store, monkeypatch):
    """The same where SQLite itself knows that it cannot."""
    opened = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name, **options: opened(f"{name}&vfs=unix-dotfile", **options))
    store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
    assert len(store.find(HOURLY, *hours(0, 5))) == 1
    assert [path.name for path in store.folder.iterdir() if path.is_file()] == [FILE_NAME]


def test_a_folder_that_cannot_be_used_is_said_once(tmp_path):
    """A folder that is none raises nothing: nothing is found, and nothing is stored."""
    (tmp_path / "file").write_text("mine")
    store = open_store(tmp_path / "file")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        for _ in range(2):
            assert store.find(HOURLY, *hours(0, 5)) == []
            store.put(HOURLY, segment(HOURLY, *hours(0, 5)))
            store.put(WHOLE, segment(WHOLE, *hours(0, 5)))
            store.delete(HOURLY)
    assert sorted(str(one.message).split(str(tmp_path))[0] for one in shown) == [
        "results cannot be written to the cache in ", "results in the cache in ", "the cache in ",
    ]  # fmt: skip
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_cannot_be_read_is_no_reason_to_set_the_file_aside(file, store, monkeypatch):
    """Where opening fails, for rights or for want of handles, the file stays, and is used again later."""

    def refuse(*_, **__):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        with pytest.warns(ResponseWarning, match="cannot be read, and its results are fetched again") as shown:
            assert [store.find(HOURLY, *hours(0, 12)) for _ in range(2)] == [[], []]
    assert len(shown) == 1
    assert not file.with_name(f"{FILE_NAME}.broken").exists()
    assert len(store.find(HOURLY, *hours(0, 12))) == 1


READ_ONLY = """
    import os, sys, warnings
    from tests.support.cached import *
    if os.getuid() == 0:
        os.setuid(65534)
    warnings.simplefilter("error")
    folder = sys.argv[1]
    store = open_store(folder)
    assert spans(store.find(HOURLY, *hours(0, 12))) == [(0, 12)]
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        store.put(HOURLY, segment(HOURLY, *hours(20, 22)))
    assert "results cannot be written" in str(shown[0].message), shown
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 12)]
    assert open_store(f"{folder}/none").find(HOURLY, *hours(0, 12)) == []
"""


@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_a_folder_that_is_read_only_is_read(mode, file, store):
    """What is in a folder that this user may not write is found, without a warning; nothing is written."""
    for path in (store.folder, *store.folder.parents):
        if path.owner() == Path.home().owner() and path != Path(path.root) and os.getuid() == 0:
            path.chmod(path.stat().st_mode | 0o055)
    file.chmod(0o444)
    store.folder.chmod(mode if os.getuid() == 0 else 0o555)
    try:
        found = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(READ_ONLY), os.fspath(store.folder)],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    finally:
        store.folder.chmod(0o700)
    assert found.returncode == 0, found.stderr
    assert [path.name for path in store.folder.iterdir()] == [FILE_NAME]


def test_an_altered_part_that_cannot_be_deleted_is_not_used_all_the_same(file, store, monkeypatch):
    """What was found altered, on a disk that takes nothing, is not given out."""
    store.put(HOURLY, segment(HOURLY, *hours(20, 22)))
    run_sql(store.folder, "UPDATE parts SET mac = zeroblob(32) WHERE begins = ?", hours(0, 12)[0])
    monkeypatch.setattr(store._database, "write", lambda *_, **__: (_ for _ in ()).throw(OSError("read-only")))
    with pytest.warns(ResponseWarning) as shown:
        assert spans(store.find(HOURLY, *hours(0, 30))) == [(20, 22)]
    assert ["cannot be deleted" in str(one.message) for one in shown] == [True, False]
    assert cache.info(store.folder)["parts"].tolist() == [2]
