"""Callers choose variables: however many, however long, and in any spelling."""

import contextlib
import json
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.errors import RecordsError, RecordsWarning
from vapi_frames.sources.records import flatten

pytestmark = pytest.mark.extra("local")

CREATED = "2026-10-01T00:00:00Z"
OVER = "variables that were left out"


def call(number, variables):
    """Return a call with variables."""
    return {"id": str(number), "createdAt": CREATED, "artifact": {"variableValues": variables}}


def write(form, calls, folder):
    """Return *calls* in a form that `vf.local` takes."""
    if form == "json":
        (folder / "calls.json").write_text(json.dumps(calls))
    elif form == "lines":
        (folder / "calls.jsonl").write_text("".join(json.dumps(one) + "\n" for one in calls))
    else:
        return {"list": calls, "texts": [json.dumps(one) for one in calls], "frame": pd.DataFrame(calls)}[form]
    return folder


def count(vq, key):
    """Return how many calls have each value of a variable; a missing one is ''."""
    frame = vq.call().count().by_variable(key).during("2026-10").fetch()
    return {"" if pd.isna(value) else value: number for value, number in frame["countId"].items()}, frame


@pytest.mark.parametrize("form", ["list", "texts", "frame", "json", "lines"])
def test_many_variables_of_a_call_are_bounded_and_counted(form, tmp_path):
    """A call with 20,000 of them is read up to a limit, a note counts the others, and other calls are read whole."""
    calls = [call(one, {"plan": "pro", **{f"k{one}-{key}": "x" * 50 for key in range(200)}}) for one in range(100)]
    calls.append(call("many", {"plan": "free", **{f"m{key}": "x" for key in range(20_000)}}))
    vq = vf.local(write(form, calls, tmp_path))
    if form == "frame":
        found, frame = count(vq, "plan")
    else:
        with pytest.warns(RecordsWarning, match=rf"{OVER}: 19,001 \(a call may have 1,000, of 1,048,576 characters"):
            found, frame = count(vq, "plan")
    assert found == {"pro": 100, "free": 1}
    assert f"{OVER}: 19,001" in frame.attrs["vapi"]
    assert count(vq, "k99-199")[0] == {"x" * 50: 1, "": 100}
    assert count(vq, "m998")[0] == {"x": 1, "": 100}
    with pytest.raises(RecordsError, match="no variable 'm999'"):
        count(vq, "m999")


@pytest.mark.parametrize("form", ["list", "json", "lines"])
def test_long_variables_of_a_call_are_bounded_and_counted(form, tmp_path, monkeypatch):
    """What does not fit is left out; what comes after it and fits is read."""
    monkeypatch.setattr(flatten, "VARIABLES_LENGTH", 100)
    vq = vf.local(write(form, [call(1, {"a": "x" * 50, "long": "y" * 50, "plan": "pro"})], tmp_path))
    with pytest.warns(RecordsWarning, match=f"{OVER}: 1 "):
        assert count(vq, "plan")[0] == {"pro": 1}
    assert count(vq, "a")[0] == {"x" * 50: 1}
    with pytest.raises(RecordsError, match="no variable 'long'"):
        count(vq, "long")


# --- names that differ by case only ------------------------------------------------------------------------------------

KEYS = ("plan", "Plan", "PLAN")
CALLS = st.lists(
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from("ab"), max_size=3), min_size=1, max_size=6
).filter(any)


def fill(variables):
    """Return the variables of each call, with ``None`` where it lacks one that another has."""
    keys = [key for key in KEYS if any(key in one for one in variables)]
    return [{key: one.get(key) for key in keys} for one in variables]


def flat(variables):
    """Return a table with a column for each variable."""
    rows = [{f"variableValues.{key}": text for key, text in one.items()} for one in fill(variables)]
    return pa.Table.from_pylist([{"id": str(at), "createdAt": CREATED, **row} for at, row in enumerate(rows)])


def nested(variables, *, depth=1, as_map=False):
    """Return a table with the variables in a struct, in a struct within another, or in a map."""
    filled = fill(variables)
    if as_map:
        column = pa.array([list(one.items()) for one in variables], pa.map_(pa.string(), pa.string()))
    else:
        column = pa.array(filled, pa.struct([(key, pa.string()) for key in filled[0]]))
    if depth == 2:
        column = pa.StructArray.from_arrays([column], names=["variableValues"])
    base = {"id": list(map(str, range(len(variables)))), "createdAt": [CREATED] * len(variables)}
    return pa.table({**base, "artifact" if depth == 2 else "variableValues": column})


def save(table, path):
    """Write a table to a Parquet file; return its path."""
    pq.write_table(table, path)
    return path


def write_csv(frame, path):
    """Write a frame to a CSV file; return its path."""
    frame.to_csv(path, index=False)
    return path


FORMS = {
    "list": lambda found, _: [call(at, one) for at, one in enumerate(found)],
    "texts": lambda found, _: [json.dumps(call(at, one)) for at, one in enumerate(found)],
    "json": lambda found, folder: write("json", [call(at, one) for at, one in enumerate(found)], folder),
    "frame of objects": lambda found, _: pd.DataFrame([call(at, one) for at, one in enumerate(found)]),
    "flat frame": lambda found, _: flat(found).to_pandas(),
    "flat table": lambda found, _: flat(found),
    "table of structs": lambda found, _: nested(found),
    "table of structs in structs": lambda found, _: nested(found, depth=2),
    "table of maps": lambda found, _: nested(found, as_map=True),
    "frame of structs": lambda found, _: nested(found).to_pandas(types_mapper=pd.ArrowDtype),
    "flat Parquet": lambda found, folder: save(flat(found), folder / "a.parquet"),
    "Parquet of structs": lambda found, folder: save(nested(found), folder / "a.parquet"),
    "Parquet of structs in structs": lambda found, folder: save(nested(found, depth=2), folder / "a.parquet"),
    "Parquet of maps": lambda found, folder: save(nested(found, as_map=True), folder / "a.parquet"),
    "CSV": lambda found, folder: write_csv(flat(found).to_pandas(), folder / "a.csv"),
    "CSV of JSON": lambda found, folder: write_csv(
        pd.DataFrame([call(at, {**one}) for at, one in enumerate(found)]).assign(
            artifact=[json.dumps({"variableValues": one}) for one in found]
        ),
        folder / "b.csv",
    ),
    "two files": lambda found, folder: [
        save(flat([one]).set_column(0, "id", [[str(at)]]), folder / f"{at}.parquet") for at, one in enumerate(found)
    ],
}


@pytest.mark.property
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
def test_names_that_differ_by_case_only_are_different(form, tmp_path_factory):
    """By every road, ``Plan`` and ``plan`` stay two variables, alone and together."""

    @examples(3)
    @given(CALLS)
    def check(variables):
        vq = vf.local(FORMS[form](variables, tmp_path_factory.mktemp("calls")))
        present = [key for key in KEYS if any(key in one for one in variables)]
        for keys in [[key] for key in present] + [present] * bool(present):
            expected = Counter(tuple(one.get(key, "") for key in keys) for one in variables)
            frame = vq.call().count().by_variable(*keys).during("2026-10").fetch()
            values = frame.index.to_frame().fillna("").itertuples(index=False)
            assert dict(zip(map(tuple, values), frame["countId"], strict=True)) == expected
        for key in set(KEYS) - set(present):  # not known, or in a map or JSON, where any key may be, missing in each
            with contextlib.suppress(RecordsError):
                assert count(vq, key)[0] == {"": len(variables)}

    check()
