"""A module that is imported changes nothing for the process: who starts one says what it is to be like.

Streamlit runs ``dashboard/app.py`` and ``dashboard/entrance/asgi.py`` as scripts, so these two are left out.
"""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.house.test_architecture import graph_of, sources_of
from tests.support import ROOT

SCRIPTS = ("dashboard.app", "dashboard.entrance.asgi")

# Prints what a process has of its own before and after the import of our modules. The libraries come first: theirs is no
# business of this test.
PROGRAM = """
import asyncio.sslproto, importlib, json, logging, signal, sys, threading, warnings
import prometheus_client.metrics

libraries, modules = json.loads(sys.stdin.read())

def state():
    loggers = {
        name: (logger.level, logger.disabled, logger.propagate, len(logger.filters), len(logger.handlers))
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    return {
        "record factory": repr(logging.getLogRecordFactory()),
        "root logger": repr((logging.root.level, logging.root.handlers, logging.root.filters)),
        "loggers": {name: settings for name, settings in loggers.items() if settings != (0, False, True, 0, 0)},
        "asyncio": {
            f"{name}.{getattr(owner, '__qualname__', '')}.{attribute}": repr(value)
            for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == "asyncio"
            for owner in [module, *(value for value in vars(module).values() if isinstance(value, type))]
            for attribute, value in vars(owner).items() if not attribute.startswith("__")
        },
        "warnings": repr(warnings.filters),
        "showwarning": repr(warnings.showwarning),
        "signals": repr([signal.getsignal(number) for number in sorted(signal.valid_signals())]),
        "threads": repr(threading.enumerate()),
        "created metrics": prometheus_client.metrics._use_created,
    }

for name in libraries:
    importlib.import_module(name)
before = state()
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
for name in modules:
    importlib.import_module(name)
after = state()
read = [path for path in opened if not path.endswith((".py", ".pyc", ".so")) and ".pyc." not in path]
print(json.dumps([[name for name in before if before[name] != after[name]], read]))
"""


def changed_by(*modules: str, libraries: Collection[str] = (), cwd: Path = ROOT) -> tuple[list[str], list[str]]:
    """What of a fresh process is another after the import of ``modules``, and the files that it read."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([sorted(libraries), modules]),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    changed, read = json.loads(done.stdout.splitlines()[-1])
    return changed, read


def test_importing_our_modules_changes_nothing() -> None:
    graph = graph_of(sources_of(ROOT))
    ours = {name for name in graph if name not in SCRIPTS}
    libraries = {name for module in ours for name in graph[module] if not name.startswith(("ingest", "dashboard"))}
    changed, read = changed_by(*sorted(ours), libraries=libraries)
    assert (changed, read) == ([], [])


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("import logging\nlogging.setLogRecordFactory(dict)", "record factory"),
        ("import logging\nlogging.basicConfig()", "root logger"),
        ("import logging\nlogging.getLogger('mail.log').setLevel(logging.CRITICAL)", "loggers"),
        ("import logging\nlogging.getLogger('mail.log').addFilter(bool)", "loggers"),
        ("import logging\nlogging.captureWarnings(True)", "showwarning"),
        ("import asyncio.sslproto\nasyncio.sslproto.SSLProtocol.max_size = 1", "asyncio"),
        ("import asyncio\nasyncio.sleep = None", "asyncio"),
        ("import warnings\nwarnings.simplefilter('ignore')", "warnings"),
        ("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)", "signals"),
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "threads"),
        ("import prometheus_client\nprometheus_client.disable_created_metrics()", "created metrics"),
    ],
)
def test_each_change_would_be_noticed(tmp_path: Path, text: str, changed: str) -> None:
    (tmp_path / "careless.py").write_text(text)
    assert changed_by("careless", cwd=tmp_path)[0] == [changed]


def test_a_file_that_is_read_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "careless.py").write_text("from pathlib import Path\ntext = Path('page.html').read_text()")
    (tmp_path / "page.html").write_text("")
    assert changed_by("careless", cwd=tmp_path) == ([], ["page.html"])
