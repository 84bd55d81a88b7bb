"""Files of call records: their forms, their names, and what happens when they change."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.local_calls import NOW, TEXT, calls, october
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local import source as local_source

pytestmark = pytest.mark.extra("local")


def test_json_is_read_whatever_the_name_of_its_file(tmp_path):
    """The first character decides where the name says nothing."""
    (tmp_path / "calls.txt").write_text(TEXT, encoding="utf-16")
    assert october(vf.local(tmp_path / "calls.txt")).count().fetch()["countId"].tolist() == [1]


def test_files_that_are_no_parquet_are_named(tmp_path):
    """A broken file, and a file of another kind."""
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecordsError, match="cannot be read"):
        october(vf.local(tmp_path / "torn.parquet")).count().fetch()
    (tmp_path / "calls.xlsx").write_text("PK")
    with pytest.raises(RecordsError, match="is a spreadsheet: save it as CSV, or pass the DataFrame") as caught:
        vf.local(tmp_path / "calls.xlsx")
    assert caught.value.file.endswith("calls.xlsx")


def test_changed_files_are_read_again(tmp_path):
    """A daily export may grow while a notebook is open."""
    calls().to_parquet(tmp_path / "1.parquet")
    vq = vf.local(str(tmp_path / "*.parquet"), now=NOW)
    assert october(vq).count().fetch()["countId"].tolist() == [3]
    later = ["4", "5", "6"]
    calls(id=later, createdAt=pd.to_datetime(["2026-10-03T00:00Z"] * 3)).to_parquet(tmp_path / "2.parquet")
    assert october(vq).count().fetch()["countId"].tolist() == [6]
    calls(id=later, createdAt=pd.to_datetime(["2026-10-03T00:00Z", None, None])).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(RecordsError, match="2 of 6 calls"):
        october(vq).count().fetch()


def test_files_with_odd_names_and_columns_are_read_as_named(tmp_path):
    """Quotes in a path, hive-like folders and columns that differ by case add no column."""
    folder = tmp_path / "type=webCall" / "it's"
    folder.mkdir(parents=True)
    calls(**{"COST'\"": [9.0] * 3}).to_parquet(folder / 'a";--.parquet')
    vq = vf.local([folder / 'a";--.parquet'], now=NOW)
    assert october(vq).sum("cost").fetch()["sumCost"].tolist() == [0.75]
    with pytest.raises(RecordsError, match="no column 'type'"):
        october(vq).count().by("type").fetch()


def test_times_without_a_zone_are_utc_wherever_the_machine_is(tmp_path):
    """The engine's default is the zone of the machine."""
    script = """
import sys, pandas as pd, pyarrow as pa, vapi_frames as vf
calls = pd.DataFrame({"id": ["1"], "createdAt": pd.to_datetime(["2026-10-01 00:00"]), "cost": [1.0]})
[path] = sys.argv[1:]
calls.to_parquet(path)
text = calls.assign(createdAt=["2026-10-01 00:00"])
for source in (path, text, pa.Table.from_pandas(calls), calls):
    frame = vf.local(source).call().sum("cost").step("hour").between("2026-09-01", "2026-11-01").fetch()
    print([str(date) for date in frame.index])
"""
    command = [sys.executable, "-c", script, str(tmp_path / "calls.parquet")]
    done = subprocess.run(
        command, env={**os.environ, "TZ": "Australia/Lord_Howe"}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['2026-10-01 00:00:00+00:00']\n" * 4, done.stderr


def test_files_of_different_forms_add_up(tmp_path):
    """A column may be flat in one file, and in a struct or under its other name in another."""
    forms = [
        {"costBreakdown.transcriber": [20.0] * 3},
        {"costBreakdown": [{"stt": 1.0}] * 3},
        {"costBreakdown.stt": [0.5] * 3},
    ]
    for number, form in enumerate(forms):
        calls(id=[f"{number}-{i}" for i in range(3)], **form).to_parquet(tmp_path / f"{number}.parquet")
    result = october(vf.local(tmp_path)).sum("costBreakdown.transcriber").fetch()
    assert result.iloc[0, 0] == 64.5


def test_a_files_name_is_no_pattern_once_it_is_found(tmp_path):
    """Brackets in a name are no pattern."""
    calls().to_parquet(tmp_path / "a[1].parquet")
    calls(cost=[100.0] * 3).to_parquet(tmp_path / "a1.parquet")
    assert october(vf.local(tmp_path / "a[1].parquet")).sum("cost").fetch().iloc[0, 0] == 0.75


def test_nested_and_flat_files_are_one_set_of_calls(tmp_path):
    """pd.DataFrame(list) and pd.json_normalize(list) of the same export may be in one folder."""
    nested = [
        {"id": str(i), "createdAt": "2026-10-01T00:00:00Z", "cost": 0.1, "costBreakdown": {"llm": 0.25},
         "artifact": {"variableValues": {"plan": "pro"}}}
        for i in range(4)
    ]  # fmt: skip
    pd.DataFrame(nested[:2]).to_parquet(tmp_path / "1.parquet")
    pd.json_normalize(nested[2:]).to_parquet(tmp_path / "2.parquet")
    result = october(vf.local(tmp_path)).sum("costBreakdown.llm").count().by_variable("plan").fetch()
    assert result.index.tolist() == ["pro"]
    assert result.iloc[0].tolist() == [1.0, 4.0]


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    """As by a run of an archive; without a change of the files the error stays."""
    path = tmp_path / "calls.parquet"
    vf.sample_calls(2).to_parquet(path)
    run, attempts = local_source.run_query, []

    def fail_once(*arguments, **options):
        attempts.append(1)
        if len(attempts) == 1:
            vf.sample_calls(3).to_parquet(path)
            raise RecordsError("half of the old file, half of the new one")
        return run(*arguments, **options)

    monkeypatch.setattr(local_source, "run_query", fail_once)
    query = vf.local(path).call().count().between("2020-01-01", "2027-01-01")
    assert query.fetch()["countId"].tolist() == [3]
    assert len(attempts) == 2

    def fail(*arguments, **options):
        attempts.append(1)
        raise RecordsError("always")

    monkeypatch.setattr(local_source, "run_query", fail)
    with pytest.raises(RecordsError, match="always"):
        query.fetch()
    assert len(attempts) == 3
