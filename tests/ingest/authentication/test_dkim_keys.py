"""Key look-ups against a real name server, in its good and bad hours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.authentication.dkim_keys import MAX_NAMES, KeyAnswer, Keys, is_name
from ingest.settings.settings import Address, SettingsError
from tests.nameserver import (
    NXDOMAIN,
    SERVFAIL,
    SILENT,
    Cname,
    Fails,
    NameServer,
    Records,
    Slow,
    Truncated,
    txt,
    unreachable,
)

NAME = "s1._domainkey.sender.example"
KEY = "v=DKIM1; k=rsa; p=" + "A" * 390
ABSENT = KeyAnswer()
FOUND = KeyAnswer((KEY.encode(),))
SECONDS = 20.0  # ample: what answers at all answers at once
SHORT = 0.3  # for name servers that never answer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer({}) as running:
        yield running


def look_up(server: NameServer, *names: str, seconds: float = SECONDS) -> list[KeyAnswer]:
    keys = Keys([server.address])
    keys.prefetch(names, seconds)
    return [keys.answer(name) for name in names]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(txt(KEY), FOUND, id="one record, longer than a string of 255"),
        pytest.param(txt(KEY, size=7), FOUND, id="cut into many strings: joined without blanks"),
        pytest.param(txt("one", "two"), KeyAnswer((b"one", b"two")), id="several records"),
        pytest.param(Cname("keys.hoster.example"), FOUND, id="alias"),
        pytest.param(Truncated(txt(KEY)), FOUND, id="too large for UDP: asked again by TCP"),
        pytest.param(txt(b"\x00\xff"), KeyAnswer((b"\x00\xff",)), id="bytes that are no text"),
        pytest.param(NXDOMAIN, ABSENT, id="no such name"),
        pytest.param(Records("A", ("192.0.2.1",)), ABSENT, id="the name exists, without TXT"),
        pytest.param(Cname("nowhere.hoster.example"), ABSENT, id="alias of a name that does not exist"),
    ],
)
def test_answers(server: NameServer, answer: Any, expected: KeyAnswer) -> None:
    server.zone = {NAME: answer, "keys.hoster.example": txt(KEY)}
    assert [set(key_answer.records) for key_answer in look_up(server, NAME)] == [set(expected.records)]
    assert look_up(server, NAME)[0].problem == ""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(SERVFAIL, "SERVFAIL", id="the server fails"),
        pytest.param(Fails("REFUSED"), "REFUSED", id="the server will not answer us"),
        pytest.param(SILENT, "no answer", id="silence"),
        pytest.param(Slow(30, txt(KEY)), "no answer", id="an answer that comes too late"),
        pytest.param(Truncated(SILENT), "no answer", id="TCP is blocked"),
        pytest.param(Cname(NAME), "no usable answer", id="alias of itself"),
    ],
)
def test_no_answer_is_not_absence(server: NameServer, answer: Any, problem: str) -> None:
    server.zone = {NAME: answer}
    (key_answer,) = look_up(server, NAME, seconds=SHORT)
    assert key_answer.records == ()
    assert problem in key_answer.problem


def test_nobody_listens() -> None:
    with unreachable() as address:
        keys = Keys([address])
        keys.prefetch([NAME], SHORT)
    assert "no answer" in keys.answer(NAME).problem


def test_the_second_server_answers_for_a_silent_first(server: NameServer) -> None:
    server.zone = {NAME: txt(KEY)}
    with NameServer({}, otherwise=SILENT) as silent:
        keys = Keys([silent.address, server.address])
        keys.prefetch([NAME], 2)
    assert keys.answer(NAME) == FOUND


def test_the_systems_servers_are_read_from_its_file(tmp_path: Path) -> None:
    """Its port is 53, which no test may listen on: that somebody was asked shows in the kind of problem."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\nsearch elsewhere.example\n")
    keys = Keys(resolv_conf=str(resolv_conf))
    keys.prefetch([NAME], SHORT)
    assert "not configured" not in keys.answer(NAME).problem


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("", id="empty file"),
        pytest.param("nameserver not-an-address\n", id="no address"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
    ],
)
def test_broken_system_configuration_is_not_absence(tmp_path: Path, content: str | bytes | None) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    if content is not None:
        resolv_conf.write_bytes(content.encode() if isinstance(content, str) else content)
    keys = Keys(resolv_conf=str(resolv_conf))
    keys.prefetch([NAME], SHORT)
    assert "not configured" in keys.answer(NAME).problem


def test_a_name_server_must_be_an_address() -> None:
    with pytest.raises(SettingsError, match=r"NAMESERVERS=dns\.example:53: must be IP addresses"):
        Keys([Address("dns.example", 53)])


def test_what_was_not_prefetched_is_undetermined() -> None:
    assert "not been asked" in Keys([Address("127.0.0.1", 53)]).answer(NAME).problem


# --- the cache ---


@pytest.mark.parametrize(
    ("answer", "still", "no_longer"),
    [
        pytest.param(txt(KEY, ttl=300), 299, 301, id="by its TTL"),
        pytest.param(txt(KEY, ttl=0), 59, 61, id="a TTL of 0 lasts a minute"),
        pytest.param(txt(KEY, ttl=10**6), 3599, 3601, id="a long TTL an hour: revoked keys must not live for days"),
        pytest.param(NXDOMAIN, 59, 61, id="absence a minute"),
        pytest.param(SERVFAIL, 29, 31, id="no answer half a minute"),
    ],
)
def test_answers_are_remembered(server: NameServer, answer: Any, still: float, no_longer: float) -> None:
    server.zone = {NAME: answer}
    clock = Clock()
    keys = Keys([server.address], clock=clock)
    asked = []
    for seconds in (0, still, no_longer):
        clock.now = 1000 + seconds
        keys.prefetch([NAME], SECONDS)
        asked.append(len(server.queries))
    assert asked[0] == asked[1] < asked[2]


def test_a_batchs_answers_do_not_age_while_it_is_read(server: NameServer) -> None:
    server.zone = {NAME: SERVFAIL}
    clock = Clock()
    keys = Keys([server.address], clock=clock)
    keys.prefetch([NAME], SECONDS)
    clock.now += 10_000
    assert "SERVFAIL" in keys.answer(NAME).problem


def test_the_cache_is_bounded(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.authentication.dkim_keys._MAX_CACHED", 10)
    keys = Keys([server.address])
    names = [f"{number}.sender.example" for number in range(25)]
    keys.prefetch(names, SECONDS)
    keys.prefetch([], SECONDS)
    assert sum(keys.answer(name) == ABSENT for name in names) == 10


# --- the budget ---


def test_two_hundred_dead_domains_cost_one_budget(server: NameServer) -> None:
    """The living one is found meanwhile. Were they asked one after the other, the test would run into its time limit."""
    dead = [f"s._domainkey.dead-{number}.example" for number in range(200)]
    server.zone = dict.fromkeys(dead, SILENT) | {NAME: txt(KEY)}
    *silent, living = look_up(server, *dead, NAME, seconds=2)
    assert living == FOUND
    assert all("no answer" in answer.problem for answer in silent)


def test_domains_take_turns(server: NameServer) -> None:
    """A stranger's names, however many and early in the alphabet, do not keep another domain's key waiting."""
    server.otherwise = SILENT
    server.zone = {NAME: txt(KEY)}
    theirs = [f"{number:05}._domainkey.aaa.example" for number in range(MAX_NAMES)]
    keys = Keys([server.address])
    keys.prefetch(sorted([*theirs, NAME]), 2)
    assert keys.answer(NAME) == FOUND


def test_more_names_than_the_limit_are_undetermined(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.authentication.dkim_keys.MAX_NAMES", 3)
    answers = look_up(server, *(f"{number}.sender.example" for number in range(5)))
    assert [answer.problem for answer in answers] == ["", "", "", *["too many look-ups in one batch"] * 2]
    assert len(server.queries) == 3


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("a..b", id="empty label"),
        pytest.param("a" * 64 + ".example", id="label over 63"),
        pytest.param("a." * 127 + "example", id="over 253"),
        pytest.param("straße.example", id="no A-label"),
        pytest.param("a b.example", id="blank"),
        pytest.param("a.example\n", id="line end"),
        pytest.param("a\0.example", id="NUL"),
        pytest.param("*.example", id="wildcard"),
    ],
)
def test_what_is_no_name_is_absent_without_asking(server: NameServer, name: str) -> None:
    assert not is_name(name)
    assert look_up(server, name) == [ABSENT]
    assert server.queries == []


def test_the_name_is_asked_as_it_is(server: NameServer) -> None:
    """Never with a search domain behind it."""
    look_up(server, NAME)
    assert server.queries == [(NAME, "TXT", "udp")]
