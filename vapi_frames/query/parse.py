"""Read queries from text: code as in a query's repr, or the body of a request.

Code is parsed and never run. It must be a chain of the verbs of `Builder`, with literals as arguments.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vapi_frames.calendar.ranges import describe_missing_end
from vapi_frames.contract.vocabulary import TABLES
from vapi_frames.errors import QueryError, format_value, require
from vapi_frames.query.attributes import VERB_SYNONYMS, hint_in_text, is_frame_value
from vapi_frames.query.builder import VERBS
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vapi_frames.contract.vocabulary import Table

__all__ = ["FrameVerb", "parse_chains", "parse_queries", "parse_query"]


_MAX_LENGTH = 100_000  # characters; far more than any query has
_STARTS = "a query starts with vq.call() or vq.subscription()"
_START = re.compile(r"\s*(vq|call|subscription)\b")
_ACCESSOR = "vapi"
_LITERALS = "arguments are text in quotes, numbers, True, False, None, and lists, tuples and dicts of these"
_NODE_NAMES = {
    ast.Name: "a name", ast.Attribute: "an attribute", ast.Call: "a call", ast.JoinedStr: "an f-string",
    ast.Lambda: "a lambda", ast.NamedExpr: "an assignment", ast.Starred: "a starred argument", ast.Set: "a set",
    ast.ListComp: "a comprehension", ast.SetComp: "a comprehension", ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension", ast.Subscript: "a subscript", ast.IfExp: "a condition",
    ast.BinOp: "an operation", ast.BoolOp: "an operation", ast.UnaryOp: "an operation", ast.Compare: "a comparison",
    ast.Tuple: "a tuple", ast.List: "a list", ast.Dict: "a dict", ast.Await: "an await",
    ast.Yield: "a yield", ast.YieldFrom: "a yield",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrameVerb:
    """One verb of ``df.vapi``, with its arguments.

    Attributes:
        name: The verb, e.g. ``"rollup"``.
        arguments: Its arguments by position.
        options: Its arguments by name.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        parts = [repr(one) for one in self.arguments] + [f"{name}={value!r}" for name, value in self.options]
        return f".{_ACCESSOR}.{self.name}({', '.join(parts)})"

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return what the verb makes of *frame*."""
        result: pd.DataFrame = getattr(frame.vapi, self.name)(*self.arguments, **dict(self.options))
        return result


def parse_query(text: str) -> Query[Any]:
    """Read a query from *text*, code as in a query's repr; nothing is evaluated.

    Args:
        text: ``vq.call()`` or ``vq.subscription()`` and the verbs after it, on one line or several. A ``.fetch()`` at
            the end is ignored.

    Returns:
        The query, without a source: ``parse_query(repr(query)) == query``.

    Raises:
        QueryError: It is anything else; the message has the position.
        UnknownWordError: There is no such verb, or a verb does not know a word.

    Examples:
        >>> parse_query('vq.call().sum("cost").by("type").last("30d").fetch()')
        vq.call().sum("cost").by("type").last("30d")
        >>> parse_query("vq.call().sum(cost)")
        Traceback (most recent call last):
        ...
        vapi_frames.errors.QueryError: found the name cost at column 15; put text in quotes: "cost"
    """
    query, verbs = _read(text, {})
    assert not verbs  # noqa: S101 - no verb is allowed
    return query


def parse_chains(
    text: str, signatures: Mapping[str, inspect.Signature]
) -> list[tuple[Query[Any], tuple[FrameVerb, ...]]]:
    """Read the queries of *text* as `parse_queries` does; code may end in verbs of ``.vapi``.

    Args:
        text: Code, or the JSON body of a request.
        signatures: Verb → its signature, without the frame.

    Raises:
        QueryError: It is anything else; the message has the position.
        UnknownWordError: There is no such verb, or a verb does not know a word.
    """
    if _is_body(text):
        return [(query, ()) for query in parse_queries(text)]
    return [_read(text, signatures)]


def _is_body(text: str) -> bool:
    return isinstance(text, str) and text.lstrip().startswith(("{", "["))


def _read(text: str, signatures: Mapping[str, inspect.Signature]) -> tuple[Query[Any], tuple[FrameVerb, ...]]:
    if not isinstance(text, str):
        raise QueryError(f"a query must be text, not {format_value(text)}")
    if not text.strip():
        raise QueryError('the query is empty; write e.g. vq.call().sum("cost").by("type").last("30d")')
    if len(text) > _MAX_LENGTH:
        raise QueryError(f"the query has {len(text):,} characters; at most {_MAX_LENGTH:,} are allowed")
    try:
        return _Code(re.split(r"\r\n|\r|\n", text)).chain(signatures)
    except (RecursionError, MemoryError):  # Python's parser raises these for deeply nested text
        raise QueryError("the query is nested too deeply") from None


def parse_queries(text: str) -> list[Query[Any]]:
    """Read the queries of *text*: code as in `parse_query`, or the JSON body of a request with one or several.

    Args:
        text: Code, ``{"queries": [...]}``, one of its queries, or the list of them.

    Raises:
        QueryError: It is neither, the contract forbids it, or two queries share a name.

    Examples:
        >>> parse_queries('{"table": "call", "name": "n", "operations": [{"operation": "count", "column": "id"}]}')
        [vq.call().count().named("n")]
    """
    if not _is_body(text):
        return [parse_query(text)]
    from vapi_frames.contract.models import parse_request, read_json

    body = read_json(text)
    if isinstance(body, list):
        body = {"queries": body}
    elif isinstance(body, dict) and "queries" not in body and "table" in body:
        body = {"queries": [body]}
    names = [one.name for one in parse_request(body).queries]
    if not names:
        raise QueryError("the body has no query")
    for name in names:
        if names.count(name) > 1:
            raise QueryError(
                f"two queries of the body are named {name!r}; each needs its own, because results are matched by name"
            )
    return [Query.from_body(body, name=name) for name in names]


@dataclass(frozen=True, slots=True)
class _Code:
    """The lines of the text of one query."""

    lines: list[str]

    def chain(self, signatures: Mapping[str, inspect.Signature]) -> tuple[Query[Any], tuple[FrameVerb, ...]]:
        """Return the query, and the verbs of its frame."""
        node, calls = self._tree(), []
        while signatures and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            before = node.func.value
            if not (isinstance(before, ast.Attribute) and before.attr == _ACCESSOR):
                break
            calls.append(node)
            node = before.value
        query = self._query(node)  # first, so that messages follow the order of the text
        return query, tuple(self._frame_verb(call, signatures) for call in calls[::-1])

    def _frame_verb(self, call: ast.Call, signatures: Mapping[str, inspect.Signature]) -> FrameVerb:
        """Return the verb of *call*, which follows ``.vapi``."""
        verb, place = self._verb(call)
        require(verb, tuple(signatures), "verb of .vapi", where=place, hint=_capitalize(hint_in_text(verb)))
        values, named = self._arguments(call, signatures[verb])
        return FrameVerb(verb, tuple(values), tuple(named.items()))

    def _query(self, tree: ast.expr) -> Query[Any]:
        """Return the query that *tree* is."""
        node, calls = self._chain(tree)
        if isinstance(node, ast.Name) and node.id == "vq" and calls:
            table, start = calls[0], self._verb(calls[0])
            calls = calls[1:]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):  # a bare call(), without the vq
            table, start = node, (node.func.id, self._at(node))
        else:
            raise QueryError(f"found {_describe(node)} at {self._at(node)}; {_STARTS}")
        word, place = start
        if word in VERBS:
            raise QueryError(f"found .{word} at {place} before the table: {_STARTS}, as in vq.call().{word}(...)")
        require(word, TABLES, "table", synonyms={f"{name}s": name for name in TABLES}, where=place)
        if table.args or table.keywords:
            raise QueryError(f"{word}() at {place} takes no arguments")
        query: Query[Any] = Query(table=cast("Table", word))
        for call in calls:
            query = self._apply(query, call, is_last=call is calls[-1])
        return query

    def _tree(self) -> ast.expr:
        """Return the text as a tree; it is parsed in parentheses, so that it may have several lines."""
        text = "\n".join(self.lines)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an invalid escape is an error here
                tree = ast.parse(f"({text}\n)", mode="eval").body
        except SyntaxError as error:
            line, column = error.lineno or 1, error.offset or 1
            if not _START.match(text):
                raise QueryError(f"this is not a query: {_STARTS}") from None
            if line > len(self.lines) or (line, column) == (1, 1):  # at the parentheses added here
                raise QueryError("the query ends before its brackets are closed") from None
            raise QueryError(f"cannot read the query at {self._place(line, column - 1)}: {error.msg}") from None
        except ValueError as error:  # half of a surrogate pair, a NUL
            raise QueryError(f"the query contains characters that cannot be read: {error}") from None
        # The text has closed the parenthesis that was added, so its own brackets are unbalanced.
        if (tree.col_offset == 0 and tree.lineno == 1) or (tree.end_lineno or 0) > len(self.lines):
            raise QueryError("the query has a closing bracket without an opening one")
        return tree

    def _chain(self, node: ast.expr) -> tuple[ast.expr, list[ast.Call]]:
        """Return the start of a chain of calls, and the calls in the order of the text."""
        calls: list[ast.Call] = []
        while True:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                calls.append(node)
                node = node.func.value
            elif isinstance(node, ast.Attribute):
                place = self._end(node, node.attr)
                if node.attr == _ACCESSOR:
                    raise QueryError(
                        f"found .{_ACCESSOR} at {place}: the verbs of a frame come last, each as in "
                        f'.{_ACCESSOR}.rollup("week"), and a query alone has none'
                    )
                hint = hint_in_text(node.attr) if is_frame_value(node.attr) else f"call it: .{node.attr}()"
                raise QueryError(f"found .{node.attr} without parentheses at {place}; {hint}")
            else:
                return node, calls[::-1]

    def _apply(self, query: Query[Any], call: ast.Call, *, is_last: bool) -> Query[Any]:
        """Return *query* with the verb of *call*."""
        verb, place = self._verb(call)
        if verb == "fetch" and is_last and not call.args and not call.keywords:
            return query
        if verb not in VERBS and not verb.startswith("_") and callable(getattr(Query, verb, None)):
            raise QueryError(f"found .{verb} at {place}, which uses a query and does not build one: leave it out")
        require(verb, VERBS, "verb", synonyms=VERB_SYNONYMS, where=place, hint=_capitalize(hint_in_text(verb)))
        method = getattr(query, verb)
        values, named = self._arguments(call, inspect.signature(method))
        result: Query[Any] = method(*values, **named)
        return result

    def _arguments(self, call: ast.Call, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of *call*, which *signature* accepts."""
        verb, place = self._verb(call)
        values = [self._value(node) for node in call.args]
        named: dict[str, Any] = {}
        for one in call.keywords:
            if one.arg is None:
                raise QueryError(f"found ** at {self._at(one.value)}; {_LITERALS}")
            if one.arg in named:
                raise QueryError(f"{one.arg}= is repeated in .{verb}() at {place}")
            named[one.arg] = self._value(one.value)
        try:
            bound = signature.bind(*values, **named).arguments
        except TypeError as error:
            raise QueryError(f".{verb}() at {place}: {error}") from None
        if verb == "between" and "end" not in bound:
            hint = describe_missing_end(bound.get("start"))
            raise QueryError(f".{verb}() at {place}: missing a required argument: 'end'; {hint}")
        return values, named

    def _value(self, node: ast.expr) -> Any:
        """Return the literal that *node* is."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
            return node.value
        if isinstance(node, ast.List):
            return [self._value(one) for one in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(self._value(one) for one in node.elts)
        if isinstance(node, ast.Dict):
            return self._dict(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number
        right = f'put text in quotes: "{node.id}"' if isinstance(node, ast.Name) else _LITERALS
        raise QueryError(f"found {_describe(node)} at {self._at(node)}; {right}")

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise QueryError(f"found ** at {self._at(value)}; {_LITERALS}")
            word = self._value(key)
            if isinstance(word, list | tuple | dict):
                raise QueryError(f"found a {type(word).__name__} as a key at {self._at(key)}; keys are text")
            if word in found:
                raise QueryError(f"the key {format_value(word)} is repeated at {self._at(key)}")
            found[word] = self._value(value)
        return found

    def _verb(self, call: ast.Call) -> tuple[str, str]:
        """Return the verb of *call*, and its position."""
        assert isinstance(call.func, ast.Attribute)  # noqa: S101 - _chain returns only these
        return call.func.attr, self._end(call.func, call.func.attr)

    def _at(self, node: ast.expr) -> str:
        """Return the position at which *node* starts."""
        return self._place(node.lineno, self._characters(node.lineno, node.col_offset))

    def _end(self, node: ast.expr, word: str) -> str:
        """Return the position of *word*, with which *node* ends."""
        line = node.end_lineno or node.lineno
        return self._place(line, self._characters(line, node.end_col_offset or 0) - len(word))

    def _characters(self, line: int, size: int) -> int:
        """Return the number of characters in the first *size* bytes of a *line*, the added parenthesis included."""
        text = f"{'(' if line == 1 else ''}{self.lines[line - 1]}"
        return len(text.encode()[:size].decode(errors="ignore"))

    def _place(self, line: int, before: int) -> str:
        """Return the position as text, counted from 1; the parenthesis added to the first line does not count."""
        column = max(before + (line > 1), 1)
        return f"column {column}" if len(self.lines) == 1 else f"line {line}, column {column}"


def _capitalize(hint: str) -> str:
    """Return *hint* as a sentence; nothing stays nothing."""
    return f"{hint[0].upper()}{hint[1:]}." if hint else ""


def _describe(node: ast.expr) -> str:
    """Return what *node* is, for a message."""
    if isinstance(node, ast.Name):
        return f"the name {format_value(node.id)[1:-1]}"
    if isinstance(node, ast.Constant):
        return format_value(node.value)
    return _NODE_NAMES.get(type(node), "something else")
