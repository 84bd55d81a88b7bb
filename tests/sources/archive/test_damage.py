"""Damage on the disk: a day that is not as it was written is named, is never counted, and never becomes part of a file."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import EARLIER, NOW, Calls, at, call, ids, store
from tests.support.examples import examples
from vapi_frames.cli.main import main
from vapi_frames.errors import RecordsError, RecordsWarning, ResponseError

NAMES = ("2026-10-01", "2026-10-02", "2026-10-03", "2026-10-14")
CALLS = [
    call(f"{day}-{n}", at(day, n), cost=day + n / 8, artifact={"variableValues": {"plan": f"plan {n % 3}"}})
    for day in (1, 2, 3, 14)
    for n in range(8)
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return an archive of four days, of which the API still lists the last."""
    folder = tmp_path_factory.mktemp("written")
    store(Calls(*CALLS), folder, since="2026-10-01", until="2026-10-04", now=at(5))
    store(Calls(*CALLS), folder, since="2026-10-14", until="2026-10-15", now=at(16))
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of it."""
    shutil.copytree(written, tmp_path / "calls")
    return tmp_path / "calls"


def flip(path, bit):
    """Change one bit of a file in place."""
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


def numbers(vq):
    """Return what a few queries of an archive have as results."""
    query = vq.call().during("2026-10")
    return pd.concat(
        [
            query.count().sum("cost", "duration").by("type").fetch(),
            query.count().avg("cost").by_variable("plan").fetch(),
        ]
    )


@pytest.mark.extra("local")
@examples(18)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1 << 20)), min_size=1, max_size=3), st.booleans())
def test_flipped_bits_are_named_or_change_no_number(written, tmp_path_factory, flips, has_read_before):
    """Anywhere in the files of days and of digests, one bit or three, before the first query and after it."""
    folder = tmp_path_factory.mktemp("flipped") / "calls"
    shutil.copytree(written, folder)
    vq = vf.local(folder, now=NOW)
    if has_read_before:
        numbers(vq)
    paths = [*(folder / f"{name}.parquet" for name in NAMES), folder / "_SHA256SUMS"]
    for number, bit in flips:
        flip(paths[number], bit)
    damaged = {paths[number].stem for number, _ in flips if number < 4}
    try:
        found = numbers(vq)
    except RecordsError as error:
        named = set(re.findall(r"2026-10-\d\d(?=[, :])", str(error)))
        assert named >= {one for one in damaged if (folder / f"{one}.parquet").read_bytes() != _content(written, one)}
    else:
        pd.testing.assert_frame_equal(found, numbers(vf.local(written, now=NOW)))


def _content(folder, name):
    return (folder / f"{name}.parquet").read_bytes()


@pytest.mark.extra("local")
def test_a_damaged_day_is_named_whatever_reads_it(folder):
    """A folder, a pattern or the file itself; the other days can be read without it."""
    flip(folder / "2026-10-02.parquet", 900)
    message = (
        r"the archive '.*calls' has a damaged day, 2026-10-02: .* by its digest in _SHA256SUMS\. Copy the files back"
    )
    for source in (folder, f"{folder}/2026-10-*.parquet", folder / "2026-10-02.parquet"):
        with pytest.raises(RecordsError, match=message) as caught:
            numbers(vf.local(source, now=NOW))
        assert caught.value.file == str(folder / "2026-10-02.parquet")
    assert len(numbers(vf.local([folder / "2026-10-01.parquet", folder / "2026-10-03.parquet"], now=NOW))) == 4


def test_the_digests_are_those_of_sha256sum(folder):
    """Each file once, in a format that the command of that name checks; pages have checksums for other readers."""
    lines = (folder / "_SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [f"{name}.parquet" for name in NAMES]
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    path = folder / "2026-10-02.parquet"
    pq.read_table(path, page_checksum_verification=True)
    cost = pq.read_metadata(path).row_group(0).column(9)
    flip(path, 8 * (cost.dictionary_page_offset + cost.total_compressed_size - 1))
    with pytest.raises((OSError, pa.ArrowException), match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


@pytest.mark.extra("local")
def test_digests_that_cannot_be_read_are_an_error_of_the_records(folder):
    """And no exception of the operating system."""
    (folder / "_SHA256SUMS").unlink()
    (folder / "_SHA256SUMS").mkdir()
    with pytest.raises(RecordsError, match="_SHA256SUMS' cannot be read: Is a directory") as caught:
        numbers(vf.local(folder, now=NOW))
    assert caught.value.file == str(folder / "_SHA256SUMS")


def test_other_readers_take_the_folder_for_a_table(folder):
    """As pandas, pyarrow and Spark do, they leave out the file of digests by its name."""
    assert len(pd.read_parquet(folder)) == len(CALLS)


# --- a run of the archive -------------------------------------------------------------------------------------------


@examples(9)
@given(st.integers(0, 1 << 20))
def test_a_run_fetches_a_damaged_day_again_while_the_api_lists_it(written, tmp_path_factory, bit):
    """It is set aside with a warning, and nothing of it is in the new file."""
    folder = tmp_path_factory.mktemp("again") / "calls"
    shutil.copytree(written, folder)
    path = folder / "2026-10-14.parquet"
    flip(path, bit)
    rotten = path.read_bytes()
    with pytest.warns(RecordsWarning, match=r"2026-10-14.parquet' is damaged, was set aside as"):
        store(Calls(*CALLS), folder, since="2026-10-14", until="2026-10-15", now=at(16))
    assert (folder / "2026-10-14.parquet.broken").read_bytes() == rotten
    assert pq.read_table(path).drop_columns("createdAt") == pq.read_table(written / path.name).drop_columns("createdAt")


@examples(9)
@given(st.integers(0, 1 << 20))
def test_a_run_leaves_a_damaged_day_that_the_api_lists_no_more(written, tmp_path_factory, bit):
    """All other days are stored; the error names the day, which a merge does not touch, at each run."""
    folder = tmp_path_factory.mktemp("left") / "calls"
    shutil.copytree(written, folder)
    path = folder / "2026-10-02.parquet"
    flip(path, bit)
    rotten = path.read_bytes()
    new = call("new", at(17, 1))
    for since in ("2026-10-17", "2026-10-02"):
        with pytest.raises(RecordsError, match=r"a damaged day, 2026-10-02: .*so they were left as they are"):
            store(Calls(*CALLS, new), folder, since=since, until="2026-10-18", now=at(17), recordings=True)
        assert path.read_bytes() == rotten
        assert pq.read_table(folder / "2026-10-17.parquet").column("id").to_pylist() == ["new"]


def test_a_call_that_cannot_be_read_does_not_hide_a_damaged_day(folder):
    """The error is about the call, and a warning about the day."""
    flip(folder / "2026-10-02.parquet", 900)
    calls = Calls(call("bad", at(17, 1), cost="free"))
    with pytest.warns(RecordsWarning, match="a damaged day, 2026-10-02"), pytest.raises(ResponseError, match="free"):
        store(calls, folder, since="2026-10-17", now=at(17))


def test_what_is_merged_is_what_was_checked(folder):
    """A file that is damaged while a run waits for the API is not merged; neither with all of its calls nor with some."""
    changed = call("14-1", at(14, 1), updatedAt="2026-10-16T11:50:00.000Z", cost=9.0)
    calls = Calls(*[changed if record["id"] == "14-1" else (record, created) for record, created in CALLS])
    flips = []

    def answer(request, connection):
        if not flips:
            flips.append(flip(folder / "2026-10-14.parquet", 900))
        return calls(request, connection)

    with pytest.raises(RecordsError, match="a damaged day, 2026-10-14"):
        store(answer, folder, since="2026-10-16", now=at(16))
    flip(folder / "2026-10-14.parquet", 900)
    flips.clear()
    with pytest.warns(RecordsWarning, match="is damaged, was set aside as"):
        store(answer, folder, since="2026-10-14", until="2026-10-15", now=at(16), recordings=True)
    assert ids(folder)["2026-10-14"] == sorted(f"14-{n}" for n in range(8))


@pytest.mark.extra("local")
@pytest.mark.parametrize("name", ["_SHA256SUMS", "2026-10-15.parquet"])
def test_a_run_that_ends_between_two_files_leaves_a_whole_archive(name, folder, monkeypatch):
    """Whether or not the day has its new file when the run ends, its digest is there."""
    store(Calls(call("a", at(15, 9))), folder, since="2026-10-15")
    replace = Path.replace
    seen = []

    def fail(part, path):
        seen.append(path.name)
        if path.name == name and (name != "_SHA256SUMS" or len(seen) == 3):
            raise OSError(5, "stopped")
        replace(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="stopped"):
            store(Calls(call("a", at(15, 9)), call("b", at(15, 10))), folder, since="2026-10-15")
    count = 32 + (2 if name == "_SHA256SUMS" else 1)
    assert vf.local(folder, now=NOW).call().count().during("2026-10").fetch()["countId"].tolist() == [count]
    store(Calls(call("a", at(15, 9)), call("b", at(15, 10))), folder, since="2026-10-15")
    assert len((folder / "_SHA256SUMS").read_text().splitlines()) == len(NAMES) + 1


@pytest.mark.extra("local")
def test_an_archive_without_digests_gets_them_by_a_run(tmp_path):
    """An earlier version wrote it; until a run it is read without, and then every day has one."""
    folder = tmp_path / "calls"
    shutil.copytree(EARLIER, folder)
    before = numbers(vf.local(folder, now=NOW))
    store(Calls(), folder, since="2026-10-05", until="2026-10-06", now=at(7))
    assert len((folder / "_SHA256SUMS").read_text().splitlines()) == 5
    pd.testing.assert_frame_equal(numbers(vf.local(folder, now=NOW)), before)
    flip(folder / "2026-10-01.parquet", 900)
    with pytest.raises(RecordsError, match="damaged day, 2026-10-01"):
        numbers(vf.local(folder, now=NOW))


@pytest.mark.extra("local")
def test_files_of_others_beside_digests_are_read(folder):
    """A file that no archive wrote needs no line, whatever its name."""
    vf.sample_calls(5).to_parquet(folder / "2026-09-01.parquet")
    assert vf.local(folder, now=NOW).call().count().between("2020-01-01", "2027-01-01").fetch()["countId"].tolist() == [
        37
    ]


# --- from the shell -------------------------------------------------------------------------------------------------


@pytest.fixture
def verify(capsys):
    """Run the command; return exit code, stdout and stderr."""

    def verify(*arguments):
        code = main(["archive", *map(str, arguments), "--verify"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return verify


def test_verify_reads_all_files(folder, verify):
    """Without a key; exit code 0 and a line, or 1 and every damaged day."""
    assert verify(folder) == (0, f"{folder}: 4 days, all as they were written\n", "")
    rng = random.Random(4)
    for name in NAMES[:3]:
        flip(folder / f"{name}.parquet", rng.randrange(1 << 16))
    (folder / "2026-10-14.parquet").unlink()
    code, out, err = verify(folder)
    assert (code, out) == (1, "")
    assert f"has 4 damaged days, {', '.join(NAMES)}: " in err


def test_verify_of_an_archive_without_digests(tmp_path, verify):
    """Each file is read as Parquet."""
    folder = tmp_path / "calls"
    shutil.copytree(EARLIER, folder)
    code, out, err = verify(folder)
    assert (code, err) == (0, "")
    assert out.startswith(f"{folder}: 4 days can be read; ")
    (folder / "2026-10-03.parquet").write_bytes(b"PAR1")
    code, out, err = verify(folder)
    assert (code, out) == (1, "")
    assert "a damaged day, 2026-10-03" in err


def test_verify_refuses_what_it_cannot_do(tmp_path, verify):
    """A folder without an archive, and options of a run: exit code 2."""
    code, out, err = verify(tmp_path)
    assert (code, out) == (2, "")
    assert "no archive is in" in err
    assert verify(tmp_path / "none")[0] == 2
    code, _, err = verify(tmp_path, "--since", "2026-10-01")
    assert (code, err) == (2, "vapi-frames: --verify fetches nothing: leave out --since\n")
