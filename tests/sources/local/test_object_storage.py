"""Call records in object storage: a bucket gives what a folder with the same files gives, at each change of them."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import shutil
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.object_storage import ACCESS, SECRET, running_s3
from vapi_frames.errors import MissingExtraError, RecordsError, VapiFramesError

pytestmark = [pytest.mark.extra("cloud"), pytest.mark.xdist_group("s3")]


@pytest.fixture(scope="module")
def server():
    """Start a server of S3."""
    with running_s3() as environment:
        yield environment


@pytest.fixture(scope="module")
def client(server):
    """Return a client of the server, which shares nothing with the package."""
    return boto3.client(
        "s3", endpoint_url=server["AWS_ENDPOINT_URL"], aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )  # fmt: skip


@pytest.fixture
def bucket(server, client, monkeypatch):
    """Return the name of an empty bucket, to which the environment leads."""
    monkeypatch.setenv("HOME", tempfile.gettempdir())  # where no credentials are
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return make_bucket(client)


def make_bucket(client):
    name = f"calls-{next(tempfile._get_candidate_names()).replace('_', '-')}x"
    client.create_bucket(Bucket=name)
    return name


def write(ending, ids):
    """Return the bytes of a file of calls with these *ids*, in the form of its *ending*."""
    calls = [{"id": id_, "createdAt": "2026-10-01T12:00:00Z", "cost": int(id_) + 0.5} for id_ in ids]
    if ending == ".csv":
        return pd.DataFrame(calls, columns=["id", "createdAt", "cost"]).to_csv(index=False).encode()
    if ending == ".parquet":
        target = io.BytesIO()
        pd.DataFrame(calls, columns=["id", "createdAt", "cost"]).astype({"cost": float, "id": str}).to_parquet(target)
        return target.getvalue()
    text = "\n".join(json.dumps(call) for call in calls).encode()
    return gzip.compress(text) if ending.endswith(".gz") else text


def fetch(vq):
    """Return count and cost of the calls, or the kind of the error."""
    try:
        frame = vq.call().count().sum("cost").during("2026-10").fetch()
    except VapiFramesError as error:
        return type(error)
    return frame.to_numpy().tolist()


ENDINGS = (".json", ".jsonl.gz", ".csv", ".parquet")
FOLDERS = ("", "sub/", "day=2026-10-01/", "table.parquet/", ".hidden/", "day=1/hour=2/")
KEYS = st.builds("".join, st.tuples(st.sampled_from(FOLDERS), st.sampled_from(("a", "b", ".c", "[x]", "ü ☎", "a%20b+c")), st.sampled_from((*ENDINGS, ".txt"))))  # fmt: skip
FILES = st.dictionaries(KEYS, st.lists(st.integers(1, 99).map(str), max_size=3), max_size=5)
PATTERNS = ("", "/", "/*.json", "/*", "/**", "/**/*.csv", "/day=*", "/a.json", "/[ab].*", "/[x].json", "/?.parquet", "/sub", "/table.parquet")  # fmt: skip


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning", "ignore::vapi_frames.errors.QueryWarning")
@examples(5)
@given(states=st.lists(FILES, min_size=1, max_size=2), pattern=st.sampled_from(PATTERNS))
def test_a_bucket_gives_what_a_folder_gives(server, client, states, pattern):
    """For any files, folders and patterns, and after each change."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name, value in server.items():
            patch.setenv(name, value)
        bucket, opened, before = make_bucket(client), {}, {}
        for files in states:
            for key in before.keys() - files.keys():
                client.delete_object(Bucket=bucket, Key=f"calls/{key}")
            for key, ids in files.items():
                body = write(next((one for one in ENDINGS if key.endswith(one)), ".json"), ids)
                if before.get(key) != ids:
                    client.put_object(Bucket=bucket, Key=f"calls/{key}", Body=body)
                    path = Path(folder, "calls", key)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(body)
            for key in before.keys() - files.keys():
                Path(folder, "calls", key).unlink()
            for path in sorted(Path(folder).rglob("*"), reverse=True):  # object storage has no empty folders
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
            before = files
            found = {}
            for place in (f"s3://{bucket}", folder):
                try:
                    opened.setdefault(place, vf.local(f"{place}/calls{pattern}"))
                except RecordsError as error:
                    found[place] = type(error)
                    continue
                found[place] = fetch(opened[place])
            assert len({str(one) for one in found.values()}) == 1, found
        for vq in opened.values():
            vq.close()


def put(client, bucket, **files):
    """Put files with call *ids* under their keys, with __ for a dot."""
    for key, ids in files.items():
        name = key.replace("__", ".")
        client.put_object(Bucket=bucket, Key=f"calls/{name}", Body=write(f".{name.partition('.')[2]}", ids))


def count(vq):
    return int(vq.call().count().during("2026-10").fetch()["countId"].item())


def requests_of(monkeypatch):
    """Return a list to which the names of objects go that are copied."""
    import s3fs

    copied, get = [], s3fs.S3FileSystem._get_file

    async def note(self, path, *arguments, **options):
        copied.append(path)
        return await get(self, path, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_get_file", note)
    return copied


def test_only_what_changed_is_copied(client, bucket, monkeypatch):
    """Nothing before the first query, each object once, a changed one again, also one of the same size."""
    copied = requests_of(monkeypatch)
    put(client, bucket, a__json="1", b__csv="2")
    client.put_object(Bucket=bucket, Key="calls/notes.txt", Body=b"no calls")
    client.put_object(Bucket=bucket, Key="calls/sub/c.json", Body=write(".json", "3"))
    vq = vf.local(f"s3://{bucket}/calls/")
    assert repr(vq) == f"<vq of calls in s3://{bucket}/calls/>"
    assert copied == []
    assert [count(vq), count(vq)] == [2, 2]
    assert sorted(copied) == [f"{bucket}/calls/a.json", f"{bucket}/calls/b.csv"]
    copied.clear()
    put(client, bucket, a__json="7")
    assert fetch(vq) == [[2.0, 10.0]]
    assert copied == [f"{bucket}/calls/a.json"]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda _: count(vq), range(8))] == [2] * 8


@pytest.mark.long
def test_several_places_are_one(client, bucket, tmp_path):
    """Addresses and paths may be mixed."""
    put(client, bucket, a__json="1", b__parquet="23")
    (tmp_path / "c.json").write_bytes(write(".json", "4"))
    places = [f"s3://{bucket}/calls/a.json", str(tmp_path / "c.json"), f"s3://{bucket}/calls/*.parquet"]
    assert count(vf.local(places)) == 4
    assert len(vf.local(places).drill(vf.vq.call().count().during("2026-10"))) == 4


@pytest.mark.long
def test_an_archive_in_a_bucket_is_checked(client, bucket, tmp_path):
    """A day that does not match its digest is refused, as in a folder."""
    import hashlib

    from vapi_frames.sources.records.digests import DIGESTS_FILE

    day = write(".parquet", "12")
    for content in (day, write(".parquet", "34")):
        line = f"{hashlib.sha256(day).hexdigest()}  2026-10-01.parquet\n".encode()
        client.put_object(Bucket=bucket, Key=f"calls/{DIGESTS_FILE}", Body=line)
        client.put_object(Bucket=bucket, Key="calls/2026-10-01.parquet", Body=content)
        for pattern in ("calls", "calls/*.parquet", "calls/2026-10-01.parquet"):
            vq = vf.local(f"s3://{bucket}/{pattern}")
            if content == day:
                assert count(vq) == 2
                continue
            with pytest.raises(RecordsError, match="2026-10-01.parquet"):
                count(vq)


def test_copies_are_private_and_are_deleted(client, bucket, monkeypatch, tmp_path):
    """Only their owner reads them; they go with close(), and with the vq."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put(client, bucket, a__json="1")
    vq = vf.local(f"s3://{bucket}/calls/")
    assert count(vq) == 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    assert [*tmp_path.rglob("a.json")]
    vq.close()
    assert not [*tmp_path.rglob("a.json")]
    vq = vf.local(f"s3://{bucket}/calls/")
    assert count(vq) == 1
    for path in tmp_path.iterdir():  # as a cleaner of temporary files does
        shutil.rmtree(path)
    assert count(vq) == 1


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("s3://{0}/nothing/", "no Parquet, JSON, CSV or TSV file is at 's3://{0}/nothing/'"),
        ("s3://{0}/calls/b.json", "no Parquet, JSON, CSV or TSV file is at 's3://{0}/calls/b.json'"),
        ("s3://{0}/calls/*.csv", "no object matches 's3://{0}/calls/\\*.csv'"),
        ("s3://no-such-bucket-here/calls/", "'s3://no-such-bucket-here/calls/' cannot be read: .*bucket does not exist"),
        ("s3://no-such-bucket-here/*", "bucket does not exist"),
        ("s3://", "an address is a bucket and a key"),
        ("s3://{0}/../calls", "without parts that are empty, '.' or '..'"),
        ("s3://{0}//calls", "without parts that are empty"),
        ("s3://{0}/calls/book.xlsx", "is a spreadsheet"),
        ("s3:/{0}/calls", "has one slash: pass the address as text, 's3://{0}/calls'"),
        ("s3://key:wJalrXUtnFEMI-not-to-be-shown@{0}/calls", "has credentials: leave them out"),
        ("https://user:wJalrXUtnFEMI-not-to-be-shown@example.com/calls.json", "an address with https://; s3://, gs:// and az:// can be read"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(client, bucket, address, match):
    """Before the first query, with the address and the reason, and without credentials."""
    put(client, bucket, a__json="1")
    with pytest.raises(RecordsError, match=match.replace("{0}", bucket)) as caught:
        vf.local(address.replace("{0}", bucket))
    assert not shows_secret(caught.value)


def shows_secret(error):
    return any(secret in text for text in traceback.format_exception(error) for secret in (ACCESS, SECRET))


@pytest.mark.long
def test_errors_and_warnings_name_objects(client, bucket):
    """And not the copies, which a reader does not know."""
    client.put_object(Bucket=bucket, Key="calls/a.json", Body=b'{"id": "1"}\n{"id": ')
    client.put_object(Bucket=bucket, Key="calls/b.parquet", Body=b"no Parquet")
    client.put_object(Bucket=bucket, Key="calls/c.csv", Body=b"")
    for name in ("a.json", "b.parquet", "c.csv"):
        address = f"s3://{bucket}/calls/{name}"
        with pytest.raises(RecordsError, match=address) as caught:
            count(vf.local(address))
        assert tempfile.gettempdir() not in str(caught.value)
        assert caught.value.file == address
    body = write(".json", "1") + b'\n{"id": '
    client.put_object(Bucket=bucket, Key="calls/a.json", Body=body)
    with pytest.warns(vf.errors.RecordsWarning, match=f"s3://{bucket}/calls/a.json', line 2"):
        assert count(vf.local(f"s3://{bucket}/calls/a.json", on_error="skip")) == 1


def test_an_object_that_goes_is_told(client, bucket):
    """The next query says what is not there any more."""
    put(client, bucket, a__json="1")
    vq = vf.local(f"s3://{bucket}/calls/")
    assert count(vq) == 1
    client.delete_object(Bucket=bucket, Key="calls/a.json")
    with pytest.raises(RecordsError, match=f"no Parquet, JSON, CSV or TSV file is at 's3://{bucket}/calls/'"):
        count(vq)


def test_credentials_that_are_missing_or_refused_are_told(bucket, monkeypatch):
    """The error says so, and shows none."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RecordsError, match=f"'s3://{bucket}/calls/' cannot be read: .*(credentials|Forbidden|denied)"):
        vf.local(f"s3://{bucket}/calls/")


def test_a_server_that_shows_a_secret_does_not(bucket, monkeypatch):
    """A secret of the environment is redacted, and the error that has it is not kept as the cause."""
    import s3fs

    def fail(*_, **__):
        raise PermissionError(f"Forbidden for {ACCESS} with {SECRET}")

    monkeypatch.setattr(s3fs.S3FileSystem, "ls", fail)
    with pytest.raises(RecordsError, match=r"cannot be read: Forbidden for \*\*\* with \*\*\*") as caught:
        vf.local(f"s3://{bucket}/calls/")
    assert not shows_secret(caught.value)


@pytest.mark.parametrize(("address", "package"), [("s3://b/c", "s3fs"), ("gs://b/c", "gcsfs"), ("az://b/c", "adlfs")])
def test_a_missing_package_is_named(address, package, monkeypatch):
    """With the line that installs it."""
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"reading from {address[:2]}:// needs {package}: .*\[cloud\]"):
        vf.local(address)


def test_no_extension_is_needed(client, bucket):
    """DuckDB reads copies on this machine."""
    import duckdb

    put(client, bucket, a__parquet="12")
    assert count(vf.local(f"s3://{bucket}/calls/")) == 2
    loaded = (
        duckdb.connect().sql("SELECT extension_name FROM duckdb_extensions() WHERE install_path LIKE '/%'").fetchall()
    )
    assert "httpfs" not in str(loaded)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_child_of_a_fork_reads_too(client, bucket):
    """It has connections of its own, and leaves the copies of its parent."""
    put(client, bucket, a__json="1")
    vq = vf.local(f"s3://{bucket}/calls/")
    assert count(vq) == 1
    put(client, bucket, b__json="2")
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(count(vq)))
    child.start()
    child.join(60)
    assert child.exitcode == 2
    assert count(vq) == 2
