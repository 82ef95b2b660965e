"""A class name stands for one thing: who reads ``Policy`` somewhere in ingest or dashboard need not ask which."""

import ast
from collections import defaultdict
from collections.abc import Mapping

from tests.house.test_architecture import sources_of
from tests.support import ROOT


def defined_twice(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Each public class name that more than one class has, nested ones included, with the modules of these."""
    places = defaultdict(list)
    for module, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def test_no_public_class_name_is_defined_twice() -> None:
    assert defined_twice(sources_of(ROOT)) == {}


def test_a_second_one_would_be_noticed() -> None:
    sources = {"ingest.a": "class Policy: ...\nclass _Row: ...", "dashboard.b": "class Policy: ...\nclass _Row: ..."}
    assert defined_twice(sources) == {"Policy": ["ingest.a", "dashboard.b"]}
