"""What import contracts cannot say (tests/house/test_imports.py has those): where libraries are at home, who speaks SQL, what is pure
of the standard library, who may catch everything; and the bounds that keep modules and folders readable.
"""

import ast
import collections
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import ROOT

MODULE_LINES = 400
FUNCTION_LINES = 50
PARAMETERS = 6
MODULES_IN_A_FOLDER = 12

# Outer doors: a fault there must become "try later" or a page that says so, whatever it was.
OUTER_DOORS = (
    *("ingest.doors.smtp", "ingest.doors.http", "ingest.doors.receiving", "ingest.work.worker"),
    *("ingest.commands.app", "dashboard.commands.app"),
)
OUTER_PAGES = ("dashboard.app", "dashboard.views.trouble")
# dkimpy raises anything on what strangers wrote, outside its own exception type.
AROUND_FOREIGN_CODE = ("ingest.authentication.signatures",)
# A file half written is removed whatever went wrong, and the error goes on.
CLEANS_UP = ("dashboard.exports.writing",)
# Commands, where each option is a parameter.
COMMANDS = ("ingest.commands", "dashboard.commands")

PURE = ("ingest.rfc", "ingest.testimony", "dashboard.decision")
OUTSIDE_WORLD = {
    *("asyncio", "ftplib", "http", "multiprocessing", "os", "pathlib", "shutil", "smtplib", "socket", "socketserver"),
    *("sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib"),
}
SHOWS = ("dashboard.app", "dashboard.entrance", "dashboard.views")
# Where the reading side speaks SQL. Others may hold an engine or name an error, but ask nothing themselves.
READS_SQL = ("dashboard.queries", "dashboard.exports.reading")
SQL_WORDS = ("delete", "func", "insert", "literal_column", "select", "text", "update")
# Third-party packages that belong to one side or one kind of module.
HOMES = {
    "streamlit": SHOWS,
    "altair": SHOWS,
    "pandas": ("dashboard",),
    "pyarrow": ("dashboard",),
    "aiosmtpd": ("ingest.doors",),
    "dkim": ("ingest.authentication",),
    "dns": ("ingest.authentication", "ingest.commands.policy"),
    "uvicorn": ("ingest.doors",),
}

Sources = Mapping[str, str]


def sources_of(root: Path) -> dict[str, str]:
    """Every module of both packages: its dotted name and its text."""
    sources = {}
    for package in ("ingest", "dashboard"):
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            sources[name] = path.read_text(encoding="utf-8")
    return sources


def module_name(name: str) -> str:
    return name.removesuffix(".__init__")


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


def imports(name: str, text: str, modules: set[str]) -> Iterator[str]:
    """The absolute names of all modules that a module imports, wherever in it the statement stands."""
    package = name.removesuffix(".__init__") if name.endswith(".__init__") else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                # `from ingest import store` imports the module ingest.store.saving.
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base


def graph_of(sources: Sources) -> dict[str, set[str]]:
    modules = {module_name(name) for name in sources}
    return {module_name(name): set(imports(name, text, modules)) for name, text in sources.items()}


def wrong_imports(sources: Sources) -> Iterator[str]:
    for module, names in graph_of(sources).items():
        for name in sorted(names):
            top = name.partition(".")[0]
            if top in HOMES and not within(module, HOMES[top]):
                yield f"{module} imports {top}, which belongs to {', '.join(HOMES[top])}"
            if within(module, ("dashboard",)) and name == "ingest.database.models" and not within(module, READS_SQL):
                yield f"{module} imports {name}; the reading side's SQL is in {', '.join(READS_SQL)}"
            if within(module, PURE) and top in OUTSIDE_WORLD:
                yield f"{module} imports {name}; it is pure: no network, no files"


def wrong_shapes(sources: Sources) -> Iterator[str]:
    for name, text in sources.items():
        module = module_name(name)
        if name.rpartition(".")[2] in ("utils", "util", "helpers", "helper", "common", "misc"):
            yield f"{module}: name a module after what it knows"
        if text.count("\n") > MODULE_LINES:
            yield f"{module} has {text.count(chr(10))} lines, more than {MODULE_LINES}"
        if "TODO" in text or "FIXME" in text:
            yield f"{module} holds a TODO: file an issue"
        if len(text.strip()) < 40:
            yield f"{module}: its docstring says what it is for"
        for node in ast.walk(ast.parse(text)):
            yield from wrong_node(module, node)
    folders = collections.Counter(name.rpartition(".")[0] for name in sources if not name.endswith(".__init__"))
    for folder, modules in folders.items():
        if modules > MODULES_IN_A_FOLDER:
            yield f"{folder} holds {modules} modules, more than {MODULES_IN_A_FOLDER}"


def wrong_node(module: str, node: ast.AST) -> Iterator[str]:
    reads = within(module, ("dashboard",)) and not within(module, READS_SQL)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{module}.{node.name} has {lines} lines, more than {FUNCTION_LINES}"
            if parameters_of(node) > PARAMETERS and not within(module, COMMANDS):
                yield f"{module}.{node.name} has {parameters_of(node)} parameters, more than {PARAMETERS}"
        case ast.ExceptHandler() if catches_all(node):
            if not within(module, (*OUTER_DOORS, *OUTER_PAGES, *AROUND_FOREIGN_CODE, *CLEANS_UP)):
                yield f"{module}:{node.lineno} catches everything; only outer doors do"
            if within(module, CLEANS_UP) and not isinstance(node.body[-1], ast.Raise):
                yield f"{module}:{node.lineno} catches everything and does not raise it again"
        case ast.Call(func=ast.Name(id="open" | "eval" | "exec" | "__import__" as call)) if within(module, PURE):
            yield f"{module}:{node.lineno} calls {call}() in a pure package"
        case ast.Attribute(value=ast.Name(id="sa" | "sqlalchemy"), attr=attr) if reads and attr in SQL_WORDS:
            yield f"{module}:{node.lineno} builds SQL; the reading side's SQL is in {', '.join(READS_SQL)}"


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many values a caller may hand over; the instance is none of them."""
    names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in caught)


def faults(sources: Sources) -> list[str]:
    return [*wrong_imports(sources), *wrong_shapes(sources)]


def test_the_code_keeps_to_the_architecture():
    assert faults(sources_of(ROOT)) == []


def test_the_check_sees_the_whole_code():
    modules = sources_of(ROOT)
    assert {"ingest.settings.settings", "ingest.rfc.tlsrpt.report", "dashboard.commands.app"} <= set(modules)


LONG_FUNCTION = "def endless():\n" + "    pass\n" * FUNCTION_LINES
TOO_MANY = f"def ask({', '.join(f'p{number}' for number in range(PARAMETERS + 1))}):\n    pass"
DOCSTRING = '"""A module with a docstring that says what it is for."""\n'


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("ingest.rfc.tlsrpt.report", "import socket", "is pure"),
        ("ingest.rfc.mtasts.policy", "import urllib.request", "is pure"),
        ("dashboard.decision.weighing", "from pathlib import Path", "is pure"),
        ("ingest.rfc.mtasts.policy", "text = open('policy').read()", "calls open()"),
        ("dashboard.queries.fleet", "import streamlit as st", "which belongs to"),
        ("dashboard.commands.app", "import altair", "which belongs to"),
        ("ingest.store.rows", "import pandas", "which belongs to"),
        ("ingest.store.rows", "import dns.resolver", "which belongs to"),
        ("dashboard.views.report", "from ingest.database.models import report", "SQL is in"),
        ("dashboard.views.report", "rows = sa.select(1)", "SQL is in"),
        ("ingest.utils", "", "after what it knows"),
        ("ingest.store.rows", "try:\n    pass\nexcept Exception:\n    pass", "catches everything"),
        ("ingest.store.rows", "try:\n    pass\nexcept:\n    pass", "catches everything"),
        ("ingest.store.rows", "try:\n    pass\nexcept (OSError, BaseException):\n    pass", "catches everything"),
        ("dashboard.exports.writing", "try:\n    pass\nexcept BaseException:\n    pass", "does not raise it again"),
        ("ingest.store.rows", "\n" * (MODULE_LINES + 1), "lines, more than"),
        ("ingest.store.rows", LONG_FUNCTION, "lines, more than"),
        ("ingest.store.rows", TOO_MANY, "parameters, more than"),
        ("ingest.store.rows", "# TODO later", "file an issue"),
    ],
)
def test_each_rule_bites(module: str, text: str, complaint: str):
    """One bad module in a good tree: exactly that one is complained about."""
    tree = {
        "ingest.__init__": DOCSTRING,
        "ingest.doors.smtp.door": DOCSTRING + "import aiosmtpd",
        "ingest.store.saving": DOCSTRING + "from . import models",
        "ingest.rfc.mtasts.policy": DOCSTRING + "import re",
        "dashboard.commands.app": DOCSTRING + "from ingest.store import saving",
    }
    assert faults(tree) == []
    complaints = faults(tree | {module: DOCSTRING + text})
    assert complaints
    assert all(complaint in fault for fault in complaints), complaints


def test_a_folder_that_is_too_full_and_a_module_without_a_word_are_seen():
    tree = {f"ingest.shelf.module{number}": DOCSTRING for number in range(MODULES_IN_A_FOLDER)}
    assert faults(tree) == []
    assert faults(tree | {"ingest.shelf.another": DOCSTRING}) == ["ingest.shelf holds 13 modules, more than 12"]
    assert faults({"ingest.shelf.silent": ""}) == ["ingest.shelf.silent: its docstring says what it is for"]


def test_every_library_is_declared():
    """What the code imports is named in pyproject.toml, not merely brought along by something else."""
    declared = {
        Requirement(text).name.lower().replace("-", "_")
        for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    # Import names that differ from the distribution's.
    declared |= {"dkim": "dkimpy", "dns": "dnspython"}.keys()
    used = {
        name.partition(".")[0]
        for names in graph_of(sources_of(ROOT)).values()
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert used - declared - {"ingest", "dashboard", "migrations"} == set()
