"""An unknown name of df.vapi: each says what to type, and a notebook shows the user's line alone."""

from __future__ import annotations

import copy
import inspect
import pickle

import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.display import UnknownAttributeError
from vapi_frames.interface.unknown_names import _SYNONYMS
from vapi_frames.query.builder import VERBS

pytestmark = pytest.mark.extra("local")

PUBLIC = {name for name in dir(vf.VapiAccessor) if not name.startswith("_")}


@pytest.fixture(scope="module")
def df():
    """Return a small frame."""
    return vf.demo().call().count().by("type").step("day").last("7d").fetch()


def read_message(thing, name):
    """Return what an unknown attribute says."""
    with pytest.raises(AttributeError) as error:
        getattr(thing, name)
    return str(error.value)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_slip_leads_to_the_name(df, name):
    """Each public name without its last letter, or in capitals, leads to a name, with () if it is called."""
    call = "" if isinstance(inspect.getattr_static(vf.VapiAccessor, name), property) else "()"
    for typed in {name[:-1], name.upper(), f"{name}s"} - PUBLIC:
        if typed in _SYNONYMS or typed in VERBS or hasattr(pd.DataFrame, typed):
            continue
        for accessor in (df.vapi, vf.frame(df)):
            assert read_message(accessor, typed).endswith(f"; did you mean df.vapi.{name}{call}?")


def test_words_of_queries_and_of_pandas(df):
    """A verb of a query stands before fetch; what the frame has is the frame's; habits of pandas lead to the verb."""
    for name in sorted(VERBS - PUBLIC if isinstance(VERBS, set) else set(VERBS) - PUBLIC):
        assert f"vq.call().{name}(...)" in read_message(df.vapi, name)
    for name in ("loc", "merge", "to_csv", "iloc"):
        assert read_message(df.vapi, name).endswith(f"; the frame has it: df.{name}")
    for name, verb in _SYNONYMS.items():
        assert f"did you mean df.vapi.{verb}" in read_message(df.vapi, name)
    assert read_message(df.vapi, "zzz") == "df.vapi has no 'zzz'"


def test_what_is_private_stays_plain(df):
    """Probes of other libraries find nothing, and copies work."""
    assert not hasattr(df.vapi, "_ipython_canary_method_should_not_exist_")
    assert not hasattr(vf.VapiAccessor.__new__(vf.VapiAccessor), "_frame")
    assert copy.copy(df.vapi).describe() == df.vapi.describe()
    assert isinstance(pickle.loads(pickle.dumps(UnknownAttributeError("x"))), AttributeError)


def test_a_notebook_shows_the_line_and_the_message(df):
    """For a query, a comparison, a vq and df.vapi: no frame of the package."""
    pytest.importorskip("IPython")
    query = vf.demo().call().count().last("7d")
    for thing in (query, query.compare("previous"), vf.demo(), df.vapi):
        with pytest.raises(AttributeError) as error:
            thing.rolup()
        told = "".join(error.value._render_traceback_())
        assert "thing.rolup()" in told
        assert told.endswith(str(error.value))
        assert "interface/" not in told.replace("tests/interface/", "")
        assert "vapi_frames/query/" not in told
