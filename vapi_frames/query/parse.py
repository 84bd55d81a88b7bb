"""Questions that were written as text: the code that a query's repr is, or the body of a request.

Code is read and never run: a chain of the verbs named here, whose arguments are literals. Everything else is refused.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vapi_frames.contract.vocabulary import TABLES
from vapi_frames.errors import QueryError, format_value, require
from vapi_frames.query.query import VERB_SYNONYMS, Query

if TYPE_CHECKING:
    from vapi_frames.contract.vocabulary import Table

__all__ = ["VERBS", "parse_queries", "parse_query"]

VERBS = (
    "sum", "avg", "mean", "count", "min", "max", "history", "agg", "with_counts", "by", "by_variable", "where", "step",
    "between", "during", "since", "last", "tz", "named",
)  # fmt: skip
"""The verbs that build a question; no other attribute of a query is ever touched."""

_LONGEST = 100_000  # characters; the parser of Python gives up on deep text, and a question of this length is none
_STARTS = "a question begins with vq.call() or vq.subscription()"
_VALUES = "arguments are text in quotes, numbers, True, False, None, and lists, tuples and dicts of these"
_ASKING = ("body", "compare", "curl", "dto", "explain", "fetch", "from_body", "lint", "to_arrow", "to_polars")
_WORDS = {
    ast.Name: "a name", ast.Attribute: "an attribute", ast.Call: "a call", ast.JoinedStr: "an f-string",
    ast.Lambda: "a lambda", ast.NamedExpr: "an assignment", ast.Starred: "a starred argument", ast.Set: "a set",
    ast.ListComp: "a comprehension", ast.SetComp: "a comprehension", ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension", ast.Subscript: "a subscript", ast.IfExp: "a condition",
    ast.BinOp: "an operation", ast.BoolOp: "an operation", ast.UnaryOp: "an operation", ast.Compare: "a comparison",
    ast.Tuple: "a tuple", ast.List: "a list", ast.Dict: "a dict", ast.Await: "an await",
    ast.Yield: "a yield", ast.YieldFrom: "a yield",
}  # fmt: skip


def parse_query(text: str) -> Query[Any]:
    """Read the question that *text* is the code of, as a query's repr has it; nothing is evaluated.

    Args:
        text: ``vq.call()`` or ``vq.subscription()`` and the verbs after it, on one line or several. A ``.fetch()`` at
            the end is left out.

    Returns:
        The query, bound to no source: ``parse(repr(query)) == query``.

    Raises:
        QueryError: It is anything else; the message has the place.
        UnknownWordError: There is no such verb, or a verb does not know a word.

    Examples:
        >>> parse_query('vq.call().sum("cost").by("type").last("30d").fetch()')
        vq.call().sum("cost").by("type").last("30d")
        >>> parse_query("vq.call().sum(cost)")
        Traceback (most recent call last):
        ...
        vapi_frames.errors.QueryError: found the name cost at column 15; text stands in quotes: "cost"
    """
    if not isinstance(text, str):
        raise QueryError(f"a question is text, not {format_value(text)}")
    if not text.strip():
        raise QueryError('there is no question; e.g. vq.call().sum("cost").by("type").last("30d")')
    if len(text) > _LONGEST:
        raise QueryError(f"the question has {len(text):,} characters, and may have {_LONGEST:,}")
    try:
        return _Code(re.split(r"\r\n|\r|\n", text)).query()
    except (RecursionError, MemoryError):  # what Python's parser makes of deep text
        raise QueryError("the question is nested too deeply") from None


def parse_queries(text: str) -> list[Query[Any]]:
    """Read the questions of *text*: code as in `parse_query`, or the JSON body of a request, with one or several.

    Args:
        text: Code, ``{"queries": [...]}``, one of its queries, or the list of them.

    Raises:
        QueryError: It is neither, the contract forbids it, or two questions have one name.

    Examples:
        >>> parse_queries('{"table": "call", "name": "n", "operations": [{"operation": "count", "column": "id"}]}')
        [vq.call().count().named("n")]
    """
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return [parse_query(text)]
    from vapi_frames.contract.models import parse_request, read_json

    body = read_json(text)
    if isinstance(body, list):
        body = {"queries": body}
    elif isinstance(body, dict) and "queries" not in body and "table" in body:
        body = {"queries": [body]}
    names = [one.name for one in parse_request(body).queries]
    if not names:
        raise QueryError("the body holds no query")
    for name in names:
        if names.count(name) > 1:
            raise QueryError(f"two queries of the body are named {name!r}; an answer is known by its name")
    return [Query.from_body(body, name=name) for name in names]


@dataclass(frozen=True, slots=True)
class _Code:
    """The text of one question, in lines."""

    lines: list[str]

    def query(self) -> Query[Any]:
        """Return the question."""
        node, calls = self._chain(self._tree())
        if isinstance(node, ast.Name) and node.id == "vq" and calls:
            table, start = calls[0], self._verb(calls[0])
            calls = calls[1:]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):  # a bare call(), without the vq
            table, start = node, (node.func.id, self._at(node))
        else:
            raise QueryError(f"found {_said(node)} at {self._at(node)}; {_STARTS}")
        word, place = start
        if word in VERBS:
            raise QueryError(f"found .{word} at {place} before the table: {_STARTS}, as in vq.call().{word}(...)")
        require(word, TABLES, "table", synonyms={f"{name}s": name for name in TABLES}, where=place)
        if table.args or table.keywords:
            raise QueryError(f"{word}() at {place} takes no arguments")
        query: Query[Any] = Query(table=cast("Table", word))
        for call in calls:
            query = self._applied(query, call, is_last=call is calls[-1])
        return query

    def _tree(self) -> ast.expr:
        """Return the text as a tree; parentheses around it let it stand on several lines."""
        text = "\n".join(self.lines)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an escape that is none is an error here
                tree = ast.parse(f"({text}\n)", mode="eval").body
        except SyntaxError as error:
            line, column = error.lineno or 1, error.offset or 1
            if line > len(self.lines) or (line, column) == (1, 1):  # at our own parentheses
                raise QueryError("the question ends before its brackets are closed") from None
            raise QueryError(f"cannot read the question at {self._place(line, column - 1)}: {error.msg}") from None
        except ValueError as error:  # half of a surrogate pair, a NUL
            raise QueryError(f"the question is no text that can be read: {error}") from None
        # A bracket that closes ours would leave the text's own unbalanced.
        if (tree.col_offset == 0 and tree.lineno == 1) or (tree.end_lineno or 0) > len(self.lines):
            raise QueryError("the question has a bracket that nothing opens")
        return tree

    def _chain(self, node: ast.expr) -> tuple[ast.expr, list[ast.Call]]:
        """Return what a chain of calls begins with, and the calls in the order in which they are written."""
        calls: list[ast.Call] = []
        while True:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                calls.append(node)
                node = node.func.value
            elif isinstance(node, ast.Attribute):
                place = self._end(node, node.attr)
                raise QueryError(f"found .{node.attr} without parentheses at {place}; a verb is called: .{node.attr}()")
            else:
                return node, calls[::-1]

    def _applied(self, query: Query[Any], call: ast.Call, *, is_last: bool) -> Query[Any]:
        """Return *query* with the verb of *call*."""
        verb, place = self._verb(call)
        if verb == "fetch" and is_last and not call.args and not call.keywords:
            return query
        if verb in _ASKING:
            raise QueryError(f"found .{verb} at {place}, which asks no question but does something with one: leave it")
        require(verb, VERBS, "verb", synonyms=VERB_SYNONYMS, where=place)
        values = [self._value(node) for node in call.args]
        named: dict[str, Any] = {}
        for one in call.keywords:
            if one.arg is None:
                raise QueryError(f"found ** at {self._at(one.value)}; {_VALUES}")
            if one.arg in named:
                raise QueryError(f"{one.arg}= stands twice in .{verb}() at {place}")
            named[one.arg] = self._value(one.value)
        method = getattr(query, verb)
        try:
            inspect.signature(method).bind(*values, **named)
        except TypeError as error:
            raise QueryError(f".{verb}() at {place}: {error}") from None
        result: Query[Any] = method(*values, **named)
        return result

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
        right = f'text stands in quotes: "{node.id}"' if isinstance(node, ast.Name) else _VALUES
        raise QueryError(f"found {_said(node)} at {self._at(node)}; {right}")

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise QueryError(f"found ** at {self._at(value)}; {_VALUES}")
            word = self._value(key)
            if isinstance(word, list | tuple | dict):
                raise QueryError(f"found a {type(word).__name__} as a key at {self._at(key)}; keys are text")
            if word in found:
                raise QueryError(f"the key {format_value(word)} stands twice at {self._at(key)}")
            found[word] = self._value(value)
        return found

    def _verb(self, call: ast.Call) -> tuple[str, str]:
        """Return the verb of *call*, and its place."""
        assert isinstance(call.func, ast.Attribute)  # noqa: S101 - that is what a chain is made of
        return call.func.attr, self._end(call.func, call.func.attr)

    def _at(self, node: ast.expr) -> str:
        """Return the place at which *node* begins."""
        return self._place(node.lineno, self._characters(node.lineno, node.col_offset))

    def _end(self, node: ast.expr, word: str) -> str:
        """Return the place of the *word* that *node* ends with."""
        line = node.end_lineno or node.lineno
        return self._place(line, self._characters(line, node.end_col_offset or 0) - len(word))

    def _characters(self, line: int, size: int) -> int:
        """Return how many characters of a *line* the first *size* bytes are, our own parenthesis included."""
        text = f"{'(' if line == 1 else ''}{self.lines[line - 1]}"
        return len(text.encode()[:size].decode(errors="ignore"))

    def _place(self, line: int, before: int) -> str:
        """Return the place in words, counted from 1; on the first line our own parenthesis stands before."""
        column = max(before + (line > 1), 1)
        return f"column {column}" if len(self.lines) == 1 else f"line {line}, column {column}"


def _said(node: ast.expr) -> str:
    """Return what *node* is, in words."""
    if isinstance(node, ast.Name):
        return f"the name {format_value(node.id)[1:-1]}"
    if isinstance(node, ast.Constant):
        return format_value(node.value)
    return _WORDS.get(type(node), "something else")
