"""The program's commands as docs/reference.py finds them."""

import functools
import importlib.util
from types import ModuleType
from typing import Any

from tests.support import ROOT


@functools.cache
def reference() -> ModuleType:
    """docs/reference.py, which writes the generated pages."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> dict[str, Any]:
    """Each command by its full name."""
    return dict(reference().commands())
