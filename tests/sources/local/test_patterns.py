"""Which files a folder or a glob means, without asking the system about each of thousands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.patterns import find_files


@pytest.fixture
def folder(tmp_path):
    """Return a folder with files, hidden ones, partitions, and links."""
    folder = tmp_path / "real" / "calls"
    for name in ("b.parquet", "a.jsonl", ".hidden.json", "notes.txt", "day=2/c.parquet", "d.parquet/part-0.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "e.parquet").symlink_to(folder / "b.parquet")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    return folder


def test_a_file_counts_once_by_whatever_links_it_is_reached(folder, tmp_path):
    """Its first path counts, in the order of the names."""
    names = ["a.jsonl", "b.parquet", "d.parquet/part-0.parquet", "day=2/c.parquet"]
    expected = [str(folder / name) for name in names]
    linked = tmp_path / "linked" / "calls"
    assert find_files([str(folder)]) == expected
    assert find_files([str(folder), str(linked), str(linked / "*.parquet"), str(folder / "e.parquet")]) == expected
    assert find_files([str(linked)]) == [str(linked / name) for name in names]
    found = find_files([str(linked / "e.parquet"), str(folder)])
    assert found == [str(linked / "e.parquet"), *(path for path in expected if not path.endswith("b.parquet"))]


def test_a_link_to_nothing_is_named(folder):
    """It is no file that may be left out."""
    (folder / "f.parquet").symlink_to(folder / "gone.parquet")
    with pytest.raises(RecordsError, match="f.parquet' is a link to nothing"):
        find_files([str(folder)])


def test_listing_looks_at_no_file_twice(folder, monkeypatch):
    """For each file one look, whether it is a link; its folder is resolved once, however many files it has."""
    for number in range(200):
        (folder / f"{number}.parquet").touch()
    resolved = []
    resolve = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **options: resolved.append(path) or resolve(path, **options))
    assert len(find_files([str(folder)])) == 204
    assert len(resolved) <= 4
    assert Path(folder, "e.parquet").is_symlink()
