"""Names that aiosmtpd, uvicorn and asyncio keep to themselves, and that the doors override or use all the same.

A new version may rename one, and then an override overrides nothing, silently: a mail is read without bounds again. Versions
are bounded in pyproject.toml; whoever raises a bound runs this.
"""

import ast
import asyncio.sslproto
import inspect
import textwrap
import tomllib
import types
from collections.abc import Iterator

import pytest
from aiosmtpd.smtp import SMTP
from packaging.requirements import Requirement
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from ingest.doors.http.protocol import BoundedProtocol
from ingest.doors.smtp.session import SmtpSession, prepare_process
from tests.support import ROOT

# What each class of ours takes over from its base, and who calls it there: the base itself, asyncio, or the base by the
# beginning of the name (it collects its commands so).
BASE, ASYNCIO, BY_PREFIX = "the base", "asyncio", "its prefix"
OVERRIDDEN = {
    (SmtpSession, SMTP): {
        "_getaddr": BASE,
        "_handle_client": BASE,
        "_timeout_cb": BASE,
        "command_size_limits": BASE,
        "connection_lost": ASYNCIO,
        "connection_made": ASYNCIO,
        "eof_received": ASYNCIO,
        "handle_exception": BASE,
        "line_length_limit": BASE,
        "push": BASE,
        "smtp_DATA": BY_PREFIX,
        "smtp_STARTTLS": BY_PREFIX,
    },
    (BoundedProtocol, H11Protocol): {
        "conn": BASE,
        "connection_lost": ASYNCIO,
        "connection_made": ASYNCIO,
        "data_received": ASYNCIO,
        "on_response_complete": BASE,
        "send_400_response": BASE,
    },
}


def names_in(code: types.CodeType) -> set[str]:
    """Every name that code and the code within it speaks of."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(names_in, inner))


def spoken_of(base: type) -> set[str]:
    """The names that the methods of a class speak of."""
    methods = (inspect.unwrap(value) for value in vars(base).values() if inspect.isfunction(value))
    return set().union(*(names_in(method.__code__) for method in methods))


def ours(overriding: type, base: type) -> Iterator[type]:
    return (step for step in overriding.__mro__ if step.__module__.startswith("ingest.") and issubclass(step, base))


def of_self(overriding: type, base: type, context: type[ast.expr_context]) -> set[str]:
    """Attributes of ``self`` that our classes read (Load) or set (Store)."""
    trees = (ast.parse(textwrap.dedent(inspect.getsource(step))) for step in ours(overriding, base))
    return {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, context)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


@pytest.mark.parametrize(("overriding", "base"), OVERRIDDEN, ids=lambda side: side.__name__)
def test_what_is_overridden_is_what_is_listed(overriding: type, base: type) -> None:
    """A name less: the base has lost it. A name more: the base has one now that was ours alone."""
    defined = {name for step in ours(overriding, base) for name in (*vars(step), *of_self(overriding, base, ast.Store))}
    known = {name for name in dir(base) if not name.startswith("__")} | spoken_of(base)
    # The envelope is begun anew in the same place; ``peer`` is another object's name there.
    both = {name for name in defined & known if not name.startswith("__")} - {"envelope", "peer"}
    assert both == set(OVERRIDDEN[overriding, base])


@pytest.mark.parametrize(
    ("base", "name", "caller"),
    [(base, name, caller) for (_, base), names in OVERRIDDEN.items() for name, caller in names.items()],
)
def test_what_is_overridden_is_still_called(base: type, name: str, caller: str) -> None:
    if caller == BASE:
        assert name in spoken_of(base)
    elif caller == ASYNCIO:
        assert hasattr(asyncio.Protocol, name)
    else:
        assert "smtp_" in {text for text in SMTP.__init__.__code__.co_consts if isinstance(text, str)}.union(
            *(code.co_consts for code in SMTP.__init__.__code__.co_consts if isinstance(code, types.CodeType))
        )


@pytest.mark.parametrize(("overriding", "base"), OVERRIDDEN, ids=lambda side: side.__name__)
def test_what_is_used_is_still_there(overriding: type, base: type) -> None:
    """What our classes read of ``self`` and do not define, the base speaks of."""
    defined = {name for step in ours(overriding, base) for name in (*vars(step), *step.__annotations__)}
    borrowed = of_self(overriding, base, ast.Load) - defined - of_self(overriding, base, ast.Store)
    assert borrowed - spoken_of(base) - set(dir(base)) == set()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RequestResponseCycle, "disconnected"),
        (RequestResponseCycle, "message_event"),
        (RequestResponseCycle, "more_body"),
        (RequestResponseCycle, "response_complete"),
        (RequestResponseCycle, "response_started"),
        (H11Protocol, "shutdown"),
        (H11Protocol, "conn"),
        (asyncio.sslproto.SSLProtocol, "max_size"),
        (SMTP, "ssl"),
    ],
)
def test_what_is_borrowed_elsewhere_is_still_spoken_of(owner: type, name: str) -> None:
    assert name in spoken_of(owner) | set(vars(owner))


def test_uvicorns_state_still_has_its_two_sets() -> None:
    state = ServerState()
    assert (state.connections, state.tasks) == (set(), set())


def test_a_tls_session_really_takes_the_small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.sslproto.SSLProtocol, "max_size", 256 * 1024)
    prepare_process()
    assert asyncio.sslproto.SSLProtocol.max_size == 32 * 1024
    assert "max_size" in names_in(asyncio.sslproto.SSLProtocol.__init__.__code__)


@pytest.mark.parametrize("package", ["aiosmtpd", "uvicorn"])
def test_versions_are_bounded_above(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [requirement for requirement in map(Requirement, project["dependencies"]) if requirement.name == package]
    assert any(specifier.operator == "<" for specifier in bound.specifier)


def test_a_lost_name_would_be_noticed() -> None:
    class Renamed:
        def _serve_client(self) -> None: ...

        def run(self) -> None:
            self._serve_client()

    assert "_serve_client" in spoken_of(Renamed)
    assert "_handle_client" not in spoken_of(Renamed) | set(dir(Renamed))
