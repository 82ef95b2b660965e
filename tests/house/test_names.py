"""A bound name says what its value is: below three of a thousand may be one of the words that say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

VAGUE = frozenset(("about", "came", "found", "heard", "kept", "one", "own", "rest", "said", "shown", "some"))
LIMIT = 3 / 1000

PLACES = ("benchmarks", "dashboard", "ingest", "migrations", "tests")


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each name that the code binds, with its line: variables, parameters, functions, classes, aliases and captures."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno


def is_vague(name: str) -> bool:
    """Whether it is one of the words, with or without underscores around it."""
    return name.strip("_") in VAGUE


def names_in(place: Path) -> Iterator[tuple[str, str]]:
    """Each bound name of the modules below ``place``, and where it stands."""
    for path in sorted(place.rglob("*.py")):
        for name, line in bound_names(ast.parse(path.read_text(encoding="utf-8"))):
            yield name, f"{path.relative_to(ROOT)}:{line} {name}"


@pytest.mark.parametrize("place", PLACES)
def test_names_say_what_the_value_is(place: str) -> None:
    names = list(names_in(ROOT / place))
    vague = [where for name, where in names if is_vague(name)]
    assert names
    assert len(vague) / len(names) < LIMIT, vague


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "first, *rest = pair",
        "for one in rows: pass",
        "with file as _found: pass",
        "[one.day for one in entries]",
        "if said := parse(text): pass",
        "def report(*, came): pass",
        "def _about(): pass",
        "class shown: pass",
        "import dashboard.views.parts.figures as own",
        "try: pass\nexcept OSError as heard: pass",
        "match row:\n    case [_, kept]: pass",
        "match row:\n    case [_, *some]: pass",
    ],
)
def test_a_vague_name_is_counted_wherever_it_is_bound(code: str) -> None:
    assert sum(is_vague(name) for name, _ in bound_names(ast.parse(code))) == 1


def test_names_that_are_only_read_or_longer_are_not_counted() -> None:
    code = "report = found + reading.said\nfound_on = keep(kept=report)\nfrom fields import rest\nimport one.own"
    assert not any(is_vague(name) for name, _ in bound_names(ast.parse(code)))
