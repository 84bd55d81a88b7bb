"""What a reader of help() finds: what each public thing gives, what it raises, and an example that runs."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

import pytest

import vapi_frames as vf
from vapi_frames import errors

pytestmark = pytest.mark.extra("test")

VERBS = (vf.Query, vf.Vq, vf.VapiAccessor, vf.Comparison)
UNNAMED = {"DataFrame", "Series", "Table", "float", "int"}  # results that say nothing of what is in them


def members(kind):
    """Yield (name, function) of the public methods and properties of *kind*, those of its bases among them."""
    for name, value in inspect.getmembers(kind):
        found = value.fget if isinstance(value, property) else value
        if not name.startswith("_") and inspect.isfunction(inspect.unwrap(getattr(found, "__func__", found))):
            yield f"{kind.__name__}.{name}", getattr(found, "__func__", found)


def surface():
    """Return name → function, of all that is public."""
    found = {name: getattr(vf, name) for name in vf.__all__ if inspect.isfunction(getattr(vf, name))}
    found |= {f"analysis.{name}": getattr(vf.analysis, name) for name in vf.analysis.__all__}
    found |= {f"cache.{name}": getattr(vf.cache, name) for name in ("info", "clear")}
    return found | dict(one for kind in VERBS for one in members(kind))


SURFACE = surface()
PLAIN = {"Query.measures", "Query.levels", "Query.is_dated", "Query.zone", "Vq.source"}  # their one line says it


def sections(text):
    """Return section → its text."""
    parts = re.split(r"^(Args|Returns|Raises|Examples|Attributes):$", inspect.cleandoc(text), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def named(text):
    """Return the words that a section lists."""
    return re.findall(r"^ {4}(\w+): ", text, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*SURFACE} - PLAIN))
def test_each_public_thing_has_an_example(name):
    """An editor or help() shows at least one example, which the doctests run, and what it gives."""
    example = sections(SURFACE[name].__doc__).get("Examples", "")
    assert re.search(r"^ +>>> .+\n(?: +(?:>>>|\.\.\.).*\n)* +(?!>>>|\.\.\.)\S", example + "\n", re.MULTILINE), name


@pytest.mark.parametrize("kind", [vf.Query, vf.Vq, vf.VapiAccessor, vf.Comparison, vf.Progress, vf.VapiFramesError])
def test_each_public_class_has_an_example(kind):
    """So does what a class says of itself."""
    assert ">>> " in sections(kind.__doc__)["Examples"]


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_arguments_and_results_are_said(name):
    """Arguments that are listed are the ones there are; what a frame or number is, is said, in a line or a section."""
    function = SURFACE[name]
    found = sections(function.__doc__)
    parameters = [one for one in inspect.signature(function).parameters if one not in ("self", "cls")]
    if "Args" in found:
        assert named(found["Args"]) == parameters
    returned = str(inspect.signature(function).return_annotation).rsplit(".", 1)[-1]
    if returned.split("[")[0] in UNNAMED:
        first = " ".join(found[""].split())
        assert "Returns" in found or re.search(r"\b(return|Return|Read|For each|Ask for)\b", first), name


def raised(function):
    """Return the errors of ours that the text of *function* raises itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None)
    words = {ast.unparse(call.func if isinstance(call, ast.Call) else call) for call in calls}
    return words & set(errors.__all__)


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_errors_are_said(name):
    """What a function raises in its own lines stands among what it raises, and every listed word is an error."""
    said = set(named(sections(SURFACE[name].__doc__).get("Raises", "")))
    ancestors = {one for word in said & set(errors.__all__) for one in (word, *_below(word))}
    assert raised(SURFACE[name]) <= ancestors, name
    assert said <= {*errors.__all__, "OSError", "TypeError"}


def _below(word):
    """Return the errors that are a kind of *word*."""
    kind = getattr(errors, word)
    return [one for one in errors.__all__ if issubclass(getattr(errors, one), kind)]


@pytest.mark.parametrize("name", sorted({*vf.analysis.__all__} & {*dir(vf.VapiAccessor)}))
def test_a_verb_says_the_same_on_both_its_faces(name):
    """df.vapi.rollup and analysis.rollup list the same errors, and take the same arguments in the same order."""
    face, function = SURFACE[f"VapiAccessor.{name}"], SURFACE[f"analysis.{name}"]
    assert named(sections(face.__doc__).get("Raises", "")) == named(sections(function.__doc__).get("Raises", ""))
    theirs = [one for one in inspect.signature(function).parameters if one not in ("frame", "now")]
    assert [one for one in inspect.signature(face).parameters if one != "self"] == theirs
