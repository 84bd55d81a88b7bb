"""The files that the package writes: the atomic write, and what only their owner may read."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import vapi_frames as vf
from vapi_frames import files
from vapi_frames.files import (
    atomic_write,
    expand_path,
    is_temporary,
    make_private_folder,
    make_temporary_folder,
    remove_temporary_folder,
)

TOKEN = "0123456789abcdef"
posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and locks as POSIX has them")


def write(path, content, **options):
    """Write *content* to *path*."""
    with atomic_write(path, **options) as file:
        file.write(content)


def mode_of(path):
    """Return the permissions of *path*."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the usual umask."""
    before = os.umask(0o022)
    yield 0o022
    os.umask(before)


def test_a_new_file_is_there_when_it_is_complete(tmp_path):
    """Within the block only the temporary exists, afterwards only the file."""
    path = tmp_path / "spend.csv"
    with atomic_write(path) as file:
        file.write(b"half")
        [part] = tmp_path.iterdir()
        assert is_temporary(part.name, re.compile(r"spend\.csv"))
        file.write(b" and half")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"half and half"


def test_an_existing_file_is_replaced_in_one_step(tmp_path):
    """Until the block ends its old content is read."""
    path = tmp_path / "spend.csv"
    path.write_bytes(b"before")
    with atomic_write(str(path)) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, b"before"])
def test_an_error_leaves_what_was_there(tmp_path, error, before):
    """The temporary is removed; the error is the writer's own."""
    path = tmp_path / "spend.csv"
    if before is not None:
        path.write_bytes(before)

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(error), atomic_write(path) as file:
        fail(file)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [before] * (before is not None)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_what_was_there(tmp_path, monkeypatch, call):
    """The system's own error is raised, whether it comes of writing or of renaming."""
    path = tmp_path / "spend.csv"
    path.write_bytes(b"before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], full)
    with pytest.raises(OSError, match="No space left"):
        write(path, b"after")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]


def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    """Flushed and synchronized first, renamed then."""
    path, steps = tmp_path / "spend.csv", []
    fsync, replace = os.fsync, Path.replace

    def synchronized(number):
        steps.append(("fsync", os.fstat(number).st_size))
        fsync(number)

    def replaced(self, target):
        steps.append(("replace", self.stat().st_size))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synchronized)
    monkeypatch.setattr(Path, "replace", replaced)
    write(path, b"12345")
    assert steps == [("fsync", 5), ("replace", 5)]


@posix
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    """A link under the very name of the temporary is refused, and what it points to stays."""
    path, victim = tmp_path / "spend.csv", tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = tmp_path / f".spend.csv.{TOKEN}.part"
    planted.symlink_to(victim)
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: TOKEN)
    with pytest.raises(FileExistsError):
        write(path, b"after")
    assert victim.read_bytes() == b"precious"
    assert planted.is_symlink()
    assert not path.exists()


@posix
def test_a_planted_link_to_nothing_is_not_followed(tmp_path, monkeypatch):
    """No file is made where it points."""
    (tmp_path / f".spend.csv.{TOKEN}.part").symlink_to(tmp_path / "made")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: TOKEN)
    with pytest.raises(FileExistsError):
        write(tmp_path / "spend.csv", b"after")
    assert not (tmp_path / "made").exists()


def test_a_file_under_the_name_of_the_temporary_stays(tmp_path, monkeypatch):
    """It belongs to another writer, and is neither overwritten nor removed."""
    other = tmp_path / f".spend.csv.{TOKEN}.part"
    other.write_bytes(b"another writer's")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: TOKEN)
    with pytest.raises(FileExistsError):
        write(tmp_path / "spend.csv", b"after")
    assert other.read_bytes() == b"another writer's"


def test_names_cannot_be_guessed(tmp_path):
    """Each write has a name of its own, of 64 random bits."""
    names = set()
    for _ in range(20):
        with atomic_write(tmp_path / "spend.csv"):
            names |= {one.name for one in tmp_path.iterdir() if one.name.endswith(".part")}
    assert len(names) == 20


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_permissions_of_an_existing_file_stay(tmp_path, umask, mode):
    """Whatever the umask, and whatever a new file would have."""
    path = tmp_path / "spend.csv"
    path.write_bytes(b"before")
    path.chmod(mode)
    write(path, b"after", mode=0o666)
    assert mode_of(path) == mode
    assert path.read_bytes() == b"after"


@posix
def test_nobody_else_can_open_the_temporary_of_a_private_file(tmp_path, umask, monkeypatch):
    """It is private from the beginning, not only once the permissions are copied."""
    path = tmp_path / "spend.csv"
    path.write_bytes(b"before")
    path.chmod(0o600)
    monkeypatch.delattr(os, "fchmod")
    with atomic_write(path):
        [part] = [one for one in tmp_path.iterdir() if one != path]
        assert mode_of(part) == 0o600


@posix
@pytest.mark.parametrize(("options", "expected"), [({}, 0o644), ({"mode": 0o600}, 0o600), ({"mode": 0o664}, 0o644)])
def test_permissions_of_a_new_file(tmp_path, umask, options, expected):
    """As `open` makes it, or fewer."""
    write(tmp_path / "spend.csv", b"", **options)
    assert mode_of(tmp_path / "spend.csv") == expected


@posix
def test_a_link_stays_a_link(tmp_path):
    """The file that it points to is replaced, in its own folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "real.csv").write_bytes(b"before")
    (folder / "real.csv").chmod(0o600)
    link = tmp_path / "latest.csv"
    link.symlink_to("data/real.csv")
    with atomic_write(link) as file:
        file.write(b"after")
        assert len(list(folder.iterdir())) == 2
    assert link.readlink() == Path("data/real.csv")
    assert (folder / "real.csv").read_bytes() == b"after"
    assert mode_of(folder / "real.csv") == 0o600
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["data", "latest.csv", "real.csv"]


@posix
def test_a_link_to_nothing_makes_what_it_points_to(tmp_path):
    """As `open` does."""
    link = tmp_path / "latest.csv"
    link.symlink_to("real.csv")
    write(link, b"after")
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"after"


@posix
def test_what_is_no_file_is_not_replaced(tmp_path):
    """A folder, a device, a pipe, a link to itself: an error, and they stay."""
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (tmp_path, Path("/dev/null"), pipe, loop):
        with pytest.raises(OSError):
            write(path, b"after")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["loop", "pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    """It is not made."""
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "no" / "spend.csv", b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a" * 250, "ü" * 120, "\N{GRINNING FACE}" * 60])
def test_long_names_have_temporaries(tmp_path, name):
    """The name of the temporary fits wherever the target's does."""
    path = tmp_path / name
    write(path, b"after")
    assert path.read_bytes() == b"after"


def repeat(path, letter, times):
    """Write *letter* to *path* again and again."""
    for _ in range(times):
        write(path, letter * 50_000)


@pytest.mark.long
def test_threads_and_processes_may_write_one_path(tmp_path):
    """A reader finds one of the contents, whole, at any time; no temporary is left."""
    path = tmp_path / "spend.csv"
    write(path, b"0" * 50_000)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=repeat, args=(path, letter, 20)) for letter in (b"a", b"b")]
    writers += [threading.Thread(target=repeat, args=(path, letter, 20)) for letter in (b"c", b"d")]
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        content = path.read_bytes()
        assert content == content[:1] * 50_000
    for one in writers:
        one.join()
    assert all(one.exitcode == 0 for one in writers[:2])
    assert list(tmp_path.iterdir()) == [path]


def test_only_temporaries_of_a_target_are_found():
    """Names of others, and those that are not temporaries, are left alone."""
    days = re.compile(r"\d\d\.csv")
    assert is_temporary(f".07.csv.{TOKEN}.part", days)
    for name in (f".spend.csv.{TOKEN}.part", f"07.csv.{TOKEN}.part", ".07.csv.part", "07.csv", f".07.csv.{TOKEN}"):
        assert not is_temporary(name, days)


def test_paths_are_expanded_and_absolute(tmp_path, monkeypatch):
    """The home folder is the shell's; an unknown user's is left as it is; links stay links."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert expand_path("~/calls.json") == tmp_path / "home" / "calls.json"
    assert expand_path(Path("~/calls.json")) == tmp_path / "home" / "calls.json"
    assert expand_path("calls/../a.json") == tmp_path / "a.json"
    assert expand_path("~no-such-user/a.json") == tmp_path / "~no-such-user" / "a.json"
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    assert expand_path("link.json").name == "link.json"


@pytest.fixture
def _open_umask():
    """Let every permission of a new file through."""
    before = os.umask(0)
    yield
    os.umask(before)


def permissions(folder):
    """Return path → permissions of *folder* and all in it."""
    return {str(path.relative_to(folder.parent)): path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}


@posix
@pytest.mark.usefixtures("_open_umask")
def test_a_private_folder_is_for_its_owner_only(tmp_path):
    """With the missing ones above it; one that is there keeps its permissions."""
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    assert permissions(tmp_path / "a") == {"a": 0o700, "a/b": 0o700}
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_private_folder(tmp_path / "file")


LEAVE_A_FOLDER = """
import os
from vapi_frames.files import make_private_file, make_temporary_folder
folder = make_temporary_folder()
make_private_file(f"{folder}/0.parquet")
print(folder, flush=True)
os.kill(os.getpid(), 9) if {is_killed} else input()
"""


@pytest.mark.long
@posix
def test_temporary_folders_of_dead_processes_are_deleted(tmp_path, monkeypatch):
    """Those of living ones stay, and so does what has another name, or is a link."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = []
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for is_killed in (True, False):
        process = subprocess.Popen(
            [sys.executable, "-c", LEAVE_A_FOLDER.replace("{is_killed}", str(is_killed))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        folders.append(Path(process.stdout.readline().strip()))
        if is_killed:
            process.communicate()
    (tmp_path / "vapi-frames-other").mkdir()
    (tmp_path / "vapi-frames-calls-abcdefgh").symlink_to(tmp_path / "vapi-frames-other")
    for folder in (*folders, tmp_path / "vapi-frames-other"):
        assert folder.is_dir()
        os.utime(folder, (0, 0))
    mine = make_temporary_folder()
    assert Path(mine).stat().st_mode & 0o777 == 0o700
    assert [folder.exists() for folder in folders] == [False, True]
    assert (tmp_path / "vapi-frames-calls-abcdefgh").exists()
    remove_temporary_folder(os.getpid() + 1, mine)
    assert Path(mine).exists()
    remove_temporary_folder(os.getpid(), mine)
    assert not Path(mine).exists()
    process.communicate("\n")


@pytest.mark.long
@pytest.mark.extra("local")
@posix
@pytest.mark.usefixtures("_open_umask")
def test_what_is_written_is_private_whatever_the_umask(tmp_path, monkeypatch):
    """Recordings, a cache, and what JSON and CSV are converted to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, text in (
        ("c.json", '[{"id": "1", "createdAt": "2026-10-01T00:00Z"}]'),
        ("c.csv", "id,createdAt\n1,2026-10-01"),
    ):
        (tmp_path / name).write_text(text)
        vq = vf.local(tmp_path / name, now="2026-10-02T00:00Z")
        assert vq.call().count().during("2026-10").fetch()["countId"].item() == 1
        [made] = tmp_path.glob("vapi-frames-*")
        assert {mode for path, mode in permissions(made).items() if "/" in path} == {0o600}
        assert made.stat().st_mode & 0o777 == 0o700
        vf.record(tmp_path / "tapes" / "one", vq).call().count().during("2026-10").fetch()
        del vq
        gc.collect()
    found = permissions(tmp_path / "tapes")
    assert {mode for path, mode in found.items() if path.endswith(".json")} == {0o600}
    assert {mode for path, mode in found.items() if not path.endswith(".json")} == {0o700}
