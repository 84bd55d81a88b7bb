"""The public names, and what importing them costs."""

from __future__ import annotations

import builtins
import inspect
import pickle
import subprocess
import sys

import pytest

import vapi_frames as vf
from vapi_frames import errors


def run(code):
    """Run *code* in a fresh interpreter; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_there_and_listed():
    """__all__ is sorted, every name can be had, and dir() shows it."""
    assert vf.__all__ == sorted(vf.__all__)
    for name in vf.__all__:
        assert getattr(vf, name) is not None
        assert name in dir(vf)
        assert inspect.getdoc(getattr(vf, name))
    with pytest.raises(AttributeError, match="nothing"):
        _ = vf.nothing


def test_the_error_tree():
    """Each error is also the builtin that a caller would guess."""
    tree = {
        "QueryError": ValueError, "NotInContractError": ValueError, "UnknownWordError": ValueError, "RecordsError": ValueError, "ResponseError": ValueError,
        "BucketAlignmentError": ValueError, "NonAdditiveError": ValueError, "ProvenanceError": AttributeError,
        "PartialResultError": RuntimeError, "MissingExtraError": ImportError, "ReplayMissError": LookupError,
        "SourceError": RuntimeError, "ConnectionFailedError": RuntimeError, "StatusError": RuntimeError,
        "AuthenticationError": RuntimeError, "RateLimitError": RuntimeError,
    }  # fmt: skip
    found = {n for n in errors.__all__ if issubclass(getattr(errors, n), errors.VapiFramesError)} - {"VapiFramesError"}
    assert found == set(tree)
    for name, builtin in tree.items():
        assert issubclass(getattr(errors, name), builtin)
    assert issubclass(errors.UnknownWordError, errors.QueryError)
    assert issubclass(errors.BucketAlignmentError, errors.ResponseError)
    assert issubclass(errors.RateLimitError, errors.StatusError)
    assert builtins.ValueError in errors.QueryError.__mro__


@pytest.mark.parametrize(
    "error",
    [
        errors.QueryError("x", findings=["f"]),
        errors.UnknownWordError("costs", "column", ["cost"]),
        errors.RecordsError("x", file="f", line=3, column="c"),
        errors.ResponseError("x", path="$[0]"),
        errors.BucketAlignmentError("x", path="$[0]"),
        errors.MissingExtraError("plot", "matplotlib", "plot()"),
        errors.ConnectionFailedError("x", attempts=3),
        errors.StatusError("x", status=500, request_id="r", body="b"),
        errors.RateLimitError("x", status=429, retry_after=2.5),
        errors.PartialResultError("x", frame=1, missing=[(1, 2)], rest=[3], frames={"q": 1}),
        errors.ReplayMissError("x", nearest="f", differences={"groupBy": (["type"], None)}),
    ],
)
def test_errors_survive_pickling(error):
    """What a worker raises arrives as it was."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_importing_the_package_loads_no_third_party_beyond_pandas():
    """`import vapi_frames` costs what `import pandas` costs, without the builder; `from vapi_frames import vq` no more."""
    third = "{m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names"
    code = (
        f"import sys, pandas; before = {third}; whole = set(sys.modules); import vapi_frames\n"
        f"assert not [name for name in sys.modules if name.startswith(('vapi_frames.query', 'vapi_frames.contract'))]\n"
        f"from vapi_frames import vq; vq.call().sum('cost').step('day').last('3d')\n"
        f"print(sorted({third} - before), [m for m in sys.modules if m not in whole and m.split('.')[0] in before])"
    )
    assert run(code) == "['vapi_frames'] []"


CALLED = {
    "Comparison": "demo.compare('previous').__class__ is vf.Comparison",
    "Progress": "vf.Progress.__name__ == 'Progress'",
    "Query": "vf.Query(table='call') == vf.vq.call()",
    "Report": "isinstance(vf.demo().report('1d', compare=None), vf.Report)",
    "VapiAccessor": "isinstance(frame.vapi, vf.VapiAccessor)",
    "VapiFramesError": "issubclass(vf.errors.QueryError, vf.VapiFramesError)",
    "Vq": "isinstance(vf.demo(), vf.Vq)",
    "analysis": "vf.analysis.rollup(frame, by=[]).shape == (1, 1)",
    "cache": "len(vf.cache.info(folder).columns) and vf.cache.clear(folder) == 0",
    "connect": "isinstance(vf.connect('key'), vf.Vq)",
    "demo": "isinstance(vf.demo(), vf.Vq)",
    "errors": "vf.errors.QueryError('x')",
    "frame": "isinstance(vf.frame(frame), vf.VapiAccessor)",
    "load": "frame.vapi.save(folder + '/x.parquet') or vf.load(folder + '/x.parquet').equals(frame)",
    "local": "isinstance(vf.local(vf.sample_calls(9)), vf.Vq)",
    "output": "vf.output('CSAT') == 'output.CSAT'",
    "record": "isinstance(vf.record(folder + '/r', vf.demo()), vf.Vq)",
    "replay": "isinstance(vf.replay(folder + '/r'), vf.Vq)",
    "sample_calls": "len(vf.sample_calls(9)) == 9",
    "to_excel": "vf.to_excel(folder + '/x.xlsx', frame) is None",
    "to_frame": "vf.to_frame([{'name': 'n', 'timeRange': {}, 'result': [{'countId': '1'}]}]).shape == (1, 1)",
    "vq": "isinstance(vf.vq, vf.Vq)",
    "warehouse": "isinstance(vf.warehouse(duckdb.connect(), 'calls', dialect='duckdb'), vf.Vq)",
}


@pytest.mark.extra("warehouse")
def test_every_public_name_works_once_all_modules_are_imported(tmp_path):
    """An import of a submodule puts it on the package under its name, where it must not replace a public name."""
    assert sorted(CALLED) == vf.__all__
    lines = [f"assert {code}, {name!r}" for name, code in sorted(CALLED.items(), key=lambda one: one[0] == "replay")]
    code = (
        "import duckdb, importlib, pkgutil, warnings, vapi_frames as vf\n"
        "for one in pkgutil.walk_packages(vf.__path__, 'vapi_frames.'):\n"
        "    if not one.name.endswith('__main__'):\n"
        "        importlib.import_module(one.name)\n"
        f"folder = {str(tmp_path)!r}\n"
        "demo = vf.demo().call().count().by('type').last('7d')\n"
        "frame = demo.fetch()\n"
        "vf.record(folder + '/r', vf.demo()).fetch(demo)\n"
    )
    run(code + "\n".join(lines))


@pytest.mark.extra("local")
def test_the_accessor_is_registered_by_the_import_alone():
    """A frame just read has df.vapi."""
    code = (
        "import pandas as pd, vapi_frames\n"
        "df = pd.DataFrame({'id': ['1'], 'createdAt': ['2026-10-01T00:00:00Z']})\n"
        "print(df.vapi.call().count().during('2026-10').fetch()['countId'].tolist())"
    )
    assert run(code) == "[1]"
