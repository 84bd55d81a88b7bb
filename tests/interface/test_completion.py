"""IPython completes the words of a query inside quotes, and nothing where the type is unknown."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import vapi_frames as vf
from vapi_frames.contract.ended_reasons import REASON_LEVELS
from vapi_frames.contract.record_words import LATENCIES, RECORD_COLUMNS, RECORD_GROUPS
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS, STEPS, SUBSCRIPTION_COLUMNS
from vapi_frames.interface import completion

pytestmark = pytest.mark.extra("local")

COLUMNS = (*CALL_COLUMNS, *RECORD_COLUMNS)
NUMBERS = [name for name in COLUMNS if name != "id"]
SUMS = [name for name in NUMBERS if name not in LATENCIES]
GROUPS = (*GROUP_COLUMNS, *RECORD_GROUPS)


@pytest.fixture(scope="module")
def shell():
    """Return an IPython with a query and a result as variables."""
    settings = Config()
    settings.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=settings)
    vq = vf.demo()
    query = vq.call().sum("cost").by("type")
    shell.user_ns |= {"vf": vf, "vq": vq, "query": query, "peaks": vq.subscription()}
    shell.user_ns |= {"df": query.avg("duration").during("2026-10").fetch(), "other": {"sum": 1}}
    completion.register()
    completion.register()
    yield shell
    InteractiveShell.clear_instance()


def offered(shell, code):
    """Return the completions at the end of *code*, as a notebook requests them."""
    with provisionalcompleter():
        return [one.text for one in shell.Completer.completions(code, len(code))]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('vq.call().sum("', SUMS),
        ("vq.call().mean('", NUMBERS),
        ('vq.call().count("', COLUMNS),
        ('vq.call().sum("cost", "', SUMS),
        ('df = vq.call().by("type").sum("dur', ["duration"]),
        ('vq.call().sum("costBreakdown.t', [name for name in CALL_COLUMNS if name.startswith("costBreakdown.t")]),
        ('(\n    vq.call()\n    .where(endedReason=["a (b)", None])\n    .max("cost")\n    .by("', GROUPS),
        ('x = 1\nvf.vq.subscription().max("', SUBSCRIPTION_COLUMNS),
        ('query.step("', STEPS),
        ('query.by("type").count("i', ["id"]),
        ('vq.fetch(peaks.sum("m', ["minutesUsed"]),
        ('df.vapi.rollup("we', ["week"]),
        ('df.vapi.rollup("all", by=[]).vapi.outcome("', REASON_LEVELS),
        ('df.vapi.plot("', ["sumCost", "avgDuration"]),
        ('df.vapi.explain("', ["sumCost", "avgDuration"]),
        ('df.vapi.top(by="', ["sumCost", "avgDuration"]),
        ('df.vapi.top(3, other=False, by="sum', ["sumCost"]),
        ('df.vapi.ratio("', ["sumCost", "avgDuration"]),
        ('df.vapi.ratio("sumCost", "avg', ["avgDuration"]),
        ('vq.call().where("', GROUPS),
        ('vq.call().where({"endedR', ["endedReason"]),
        ('df.vapi.typical_week("', ["weekday", "hour", "open"]),
        ('vq.call().by("type").drill(["id", "cos', ["cost"]),
        ('df.vapi.drill(vq, ["phoneN', ["phoneNumberId"]),
        ('vq.call().median("dur', ["duration"]),
        ('vq.subscription().quantile("', ["minutesUsed"]),
        ('vq.call().nunique("', GROUPS),
    ],
)
def test_words_in_quotes_are_offered(shell, code, expected):
    """They are those that mean something there, in the order of the contract, and nothing else."""
    assert offered(shell, code) == list(expected)


VERBS = [name for name in dir(vf.VapiAccessor) if not name.startswith("_")]
MAKERS = [name for name in dir(vf.Query) if not name.startswith("_")]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("df.vapi.", VERBS),
        ("x = df.vapi.suc", ["success_rate"]),
        ('df.vapi.rollup("week", by=[]).vapi.fill', ["fill_gaps"]),
        ('vq.call().count().during("2026-10").fetch().vapi.', VERBS),
        ("query.", MAKERS),
        ("vq.subscription().", MAKERS),
        ('(\n    vq.call()\n    .by("type")\n    .si', ["since"]),
    ],
)
def test_verbs_are_offered_after_a_dot(shell, monkeypatch, code, expected):
    """They come without the reader of sources, which takes seconds for pandas."""
    monkeypatch.setattr(shell.Completer, "_jedi_matches", None)
    assert offered(shell, code) == expected


def test_every_verb_that_returns_a_query_is_completed_as_one(shell):
    """A chain of verbs is a query, whichever verb comes last."""
    made = {name: getattr(getattr(vf.Query, name), "__annotations__", {}) for name in MAKERS}
    returned = {name for name, types in made.items() if types.get("return") in ("Self", "Query[C]")}
    completed = {name for name in MAKERS if completion.complete(f"vq.call().{name}().", shell.user_ns)[0]}
    assert completed == returned


@pytest.mark.parametrize(
    "code",
    [
        'open("', 'other.sum("', 'df.sum("', 'df.vapi.query.sum("', 'unknown.vapi.plot("', 'vq.call().sum("cost").named("',
        'vq.call().sum("cost", alias="', 'print("vq.call()")\nopen("', '"', "vq.call().sum(", "vq.", "df.", "other.", "unknown.vapi.", "other.vapi.", "query.fetch().", "query.body().",
        "1.", "a.b.vapi.",
    ],
)  # fmt: skip
def test_nothing_is_offered_where_nothing_is_known(shell, code):
    """IPython then behaves as without the package."""
    assert completion.complete(code, shell.user_ns)[0] in ((), [])


def test_it_is_registered_once(shell):
    """Imported again in the same shell, the package adds nothing."""
    [_] = [
        one for one in shell.Completer.custom_matchers if getattr(one, "matcher_identifier", "") == completion.__name__
    ]


def test_without_ipython_nothing_happens(monkeypatch):
    """In a plain Python there is nothing to register with."""
    monkeypatch.setitem(__import__("sys").modules, "IPython", None)
    completion.register()
