"""Verbs of one period on a comparison: each says that there are two, and the line to type, which runs."""

from __future__ import annotations

import re

import pytest

import vapi_frames as vf
from vapi_frames.errors import UnknownWordError, VapiFramesError

pytestmark = pytest.mark.extra("local")


@pytest.mark.parametrize("verb", ["fill_gaps", "typical_week", "change"])
@pytest.mark.parametrize("as_index", [True, False])
@pytest.mark.parametrize("group", [(), ("type",)])
def test_the_line_to_type_runs(verb, as_index, group):
    """The message of each has a query, and its line gives the frame of one period."""
    vq = vf.demo()
    query = vq.call().count().sum("cost").step("hour").between("2026-11-09", "2026-11-16")
    query = query.by(*group) if group else query
    df = query.compare("previous").fetch(as_index=as_index)
    with pytest.raises(VapiFramesError, match="takes one period, and the frame compares two") as error:
        getattr(df.vapi, verb)()
    line = re.search(r"call it on (vq\..*)$", str(error.value))
    assert line
    assert len(eval(line[1], {"vq": vq}))


@pytest.mark.parametrize("verb", ["wide", "share", "top"])
def test_a_verb_that_needs_one_of_several_measures_lists_them(verb):
    """Of each frame with several measures; the list names up to eight."""
    query = vf.demo().call().count().sum("cost").by("type").step("day").between("2026-11-09", "2026-11-16")
    df = query.compare("previous").fetch() if verb != "top" else query.fetch()
    with pytest.raises(UnknownWordError, match=r"^no column is named\. Say which measure: countId, sumCost") as error:
        getattr(df.vapi, verb)(*[2] * (verb == "top"))
    assert "None" not in str(error.value)
