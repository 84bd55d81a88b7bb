"""What a notebook shows of queries, results and errors."""

import pickle

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import vapi_frames as vf
from tests.support.shapes import QUIET
from vapi_frames.errors import QueryError
from vapi_frames.query.parse import parse_query

pytestmark = [pytest.mark.extra("local"), *QUIET]
LONG = vf.vq.call().sum("cost").avg("duration").by("assistantId").step("day").during("2026-10").tz("America/New_York")


def test_a_long_query_has_a_line_for_each_verb_and_can_be_pasted():
    text = repr(LONG)
    assert text.splitlines()[:3] == ["(", "    vq.call()", '    .sum("cost")']
    assert text.endswith('\n    .tz("America/New_York")\n)')
    assert max(map(len, text.splitlines())) <= 80
    assert parse_query(text) == eval(text, {"vq": vf.vq}) == LONG
    both = LONG.compare("previous")
    assert eval(repr(both), {"vq": vf.vq}) == both
    assert str(LONG).count("\n") == 0
    assert repr(vf.vq.call().count()) == "vq.call().count()"


def test_html_says_what_the_repr_says_and_escapes_it():
    hostile = vf.vq.call().count().where(assistantId="<script>alert(1)</script>").during("2026-10")
    [frame] = vf.demo().fetch(hostile).values()
    for shown in (hostile, LONG, LONG.compare("7d"), LONG.explain(), vf.demo(), frame.vapi, frame.vapi.meta):
        html = shown._repr_html_()
        assert "<script" not in html
        assert "color" not in html  # readable on a light and on a dark background
    assert "&lt;script&gt;" in hostile._repr_html_()
    assert "<th" in frame.vapi._repr_html_()


def test_a_description_is_one_line_that_is_shown_in_several():
    frame = vf.demo().call().sum("cost").avg("duration").by("type").step("day").last("7d").fetch()
    text = frame.vapi.describe()
    assert "\n" not in text
    assert repr(text).count("\n") >= 2
    assert repr(text).replace("\n", " ") == str(text)
    assert pickle.loads(pickle.dumps(text)) == text
    assert text._repr_html_().startswith("<p>The sum of cost")


def test_what_a_result_knows_is_a_table():
    lines = repr(vf.demo().call().sum("cost").during("2026-10").fetch().vapi.meta).splitlines()
    assert lines[0].split() == ["source", "calls"]
    assert len(lines) > 5


@pytest.fixture
def shell():
    made = InteractiveShell.instance()
    yield made
    InteractiveShell.clear_instance()


def test_an_error_shows_the_line_of_the_user_and_the_message(shell):
    """Frames of this package and of IPython do not help the user."""
    code = 'import vapi_frames as vf\ndef ask():\n    return vf.vq.call().sum("costs")\nask()'
    with capture_output() as captured:
        found = shell.run_cell(code)
    assert isinstance(found.error_in_exec, QueryError)
    out = captured.stdout + captured.stderr
    assert "Cell In[" in out
    assert "----> 4 ask()" in out
    assert '----> 3 return vf.vq.call().sum("costs")' in out
    assert "did you mean 'cost'" in out
    assert "vapi_frames/" not in out
    assert "interactiveshell.py" not in out


def test_without_ipython_errors_are_as_python_shows_them():
    with pytest.raises(QueryError) as raised:
        vf.vq.call().sum("costs")
    assert len(raised.traceback) > 1
