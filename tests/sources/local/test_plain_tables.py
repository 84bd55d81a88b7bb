"""Tables that people have: times as numbers, no id, minutes in a column of their own name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from vapi_frames.errors import ProvenanceError, RecordsError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.extra("local")

_TIMES = [1_790_900_000_000 + hour * 3_600_000 for hour in range(5)]
_ROADS = {
    "list": lambda frame, _: frame.to_dict("records"),
    "frame": lambda frame, _: frame,
    "objects": lambda frame, _: frame.astype(object),
    "table": lambda frame, _: pa.Table.from_pandas(frame),
    "csv": lambda frame, path: frame.to_csv(path / "calls.csv", index=False) or path / "calls.csv",
    "parquet": lambda frame, path: frame.to_parquet(path / "calls.parquet") or path / "calls.parquet",
    "json": lambda frame, path: frame.to_json(path / "calls.json", orient="records") or path / "calls.json",
}


@pytest.mark.parametrize("road", _ROADS)
@pytest.mark.parametrize("name", ["createdAt", "created_at", "when"])
@pytest.mark.parametrize("scale", [1, 1000])
def test_numbers_as_times_have_the_same_note_by_every_road(road: str, name: str, scale: int, tmp_path: Path) -> None:
    """A number as the time of creation is noted, however the records arrive and whatever the column is called."""
    frame = pd.DataFrame({name: [one // scale for one in _TIMES], "cost": 0.5})
    columns = {"createdAt": "when"} if name == "when" else None
    query = vf.local(_ROADS[road](frame, tmp_path), columns=columns).call().sum("cost").during("2026-10")
    df = query.fetch()
    assert df["sumCost"].tolist() == [2.5]
    notes = [note for note in df.vapi.meta.notes if "1970" in note]
    assert notes == [
        "calls with a number as createdAt: 5; it counts seconds or milliseconds since 1970, as its size says"
    ]


@pytest.mark.parametrize("road", ["frame", "csv", "parquet", "table"])
def test_a_duration_that_is_placed_is_used_without_a_warning(road: str, tmp_path: Path) -> None:
    """A column that the caller says is the duration is used, and nothing says otherwise."""
    frame = pd.DataFrame({"createdAt": ["2026-10-02T10:00:00Z"] * 2, "duration": [60, 90]})
    calls = vf.local(_ROADS[road](frame, tmp_path), columns={"durationSeconds": "duration"}).call()
    assert calls.sum("duration").during("2026-10").fetch()["sumDuration"].tolist() == [2.5]


@pytest.mark.parametrize("road", ["frame", "csv", "table"])
def test_a_table_without_an_id_is_told_what_to_type(road: str, tmp_path: Path) -> None:
    """The message for a missing id names both ways, and both work."""
    frame = pd.DataFrame({"createdAt": ["2026-10-02T10:00:00Z"] * 2, "key": ["a", "b"], "cost": [1.0, 2.0]})
    calls: Any = _ROADS[road](frame, tmp_path)
    with pytest.raises(RecordsError, match=r'columns=\{"id": "<theirs>"\}.*\.count\("cost"\)'):
        vf.local(calls).call().count().during("2026-10").fetch()
    counted = vf.local(calls, columns={"id": "key"}).call().count().during("2026-10").fetch()
    assert counted.iloc[0, 0] == vf.local(calls).call().count("cost").during("2026-10").fetch().iloc[0, 0] == 2


@pytest.mark.parametrize("name", ["createdAt", "created_at"])
def test_the_accessor_takes_the_frames_that_local_takes(name: str) -> None:
    """A frame with any known name of the time of creation starts a query."""
    frame = pd.DataFrame({name: ["2026-10-02T10:00:00Z"] * 2, "cost": [1.0, 2.0]})
    assert frame.vapi.call().sum("cost").during("2026-10").fetch()["sumCost"].tolist() == [3.0]


def test_the_accessor_names_local_where_the_time_has_another_name() -> None:
    """The error for a frame with another name for its time of creation names local() and columns=."""
    with pytest.raises(ProvenanceError, match=r'vf\.local\(frame, columns=\{"createdAt": "<theirs>"\}\)'):
        _ = pd.DataFrame({"when": ["2026-10-02T10:00:00Z"]}).vapi
