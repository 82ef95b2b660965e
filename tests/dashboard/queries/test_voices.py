"""Who reports about a domain, and why each voice is known: tables, and really signed mail (docs/verdict.md)."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from dashboard.queries.months import Months, Selection
from dashboard.queries.question import Question
from dashboard.queries.voices import HEARD, LISTED, LOADED, OPERATOR, Speaker, Speakers, speakers_of
from ingest.settings.settings import Settings
from tests.dashboard.decision.signed_post import DAY, GOOGLE, MAILER, ON, STRANGER, TESTING, Post, Sender, report_of
from tests.nameserver import NameServer
from tests.reports import entry

NEW = ""
CLEAN = entry(20, 0, policy_string=list(TESTING))
STALWART = Sender("Small Host", "noreply-tls@small.example", contact=False)


@pytest.fixture
def post(sqlite_engine: sa.Engine, settings_for: Callable[..., Settings]) -> Iterator[Post]:
    """Nothing has come in yet."""
    with NameServer({}) as nameserver:
        yield Post(sqlite_engine, settings_for(), nameserver)


def speaker(*arrived_ago: int, voice: str = "stranger.example", loaded: bool = False) -> Speaker:
    """A voice, the reports of which arrived so many days ago, each about the day before."""
    midnight = dt.time(tzinfo=dt.UTC)
    arrivals = {ON - (ago + 1) * DAY: dt.datetime.combine(ON - ago * DAY, midnight) for ago in arrived_ago}
    return Speaker(voice, loaded=loaded, days=arrivals)


@pytest.mark.parametrize(
    ("reports", "basis", "why"),
    [
        (range(30), NEW, "thirty days of reports, the first of them 29 days ago"),
        (range(31), HEARD, "the first of them 30 days ago"),
        ((*range(9), 30), HEARD, "ten days are enough"),
        ((*range(8), 30), NEW, "nine are not"),
        ((30,), NEW, "once, a month ago"),
        ((), NEW, "never"),
        ((*range(81, 91), 120), HEARD, "silent for 81 days"),
        ((*range(90, 100), 120), HEARD, "silent for 90 days"),
        ((*range(91, 101), 121), NEW, "lapsed after 90 silent days"),
        ((*range(5), *range(100, 140)), NEW, "heard once, lapsed, and back for five days"),
        ((*range(9), 30, *range(121, 160)), HEARD, "lapsed, and heard anew"),
        ((*range(9), 29, *range(120, 160)), NEW, "lapsed in 91 days, and not yet heard anew"),
        ((*range(9), 29, *range(119, 160)), HEARD, "a pause of 90 days is none"),
        (range(0, 400, 40), HEARD, "ten reports in a year, none of them 90 days apart"),
    ],
)
def test_who_has_been_heard(reports: Any, basis: str, why: str) -> None:
    assert speaker(*reports).basis(ON, ()) == basis, why


@pytest.mark.parametrize(
    ("voice", "loaded", "signers", "basis", "why"),
    [
        ("google.com", False, (), LISTED, "on the shipped list"),
        ("google.com.example", False, (), NEW, "only its beginning is"),
        ("stranger.example", True, (), LOADED, "the operator loaded it"),
        ("stranger.example", False, ("stranger.example",), OPERATOR, "on the operator's list"),
        ("stranger.example", False, ("mail.stranger.example",), OPERATOR, "a sub-domain stands for its voice"),
        ("stranger.example", False, ("example",), OPERATOR, "and whoever is below a listed one"),
        ("stranger.example", False, ("ranger.example",), NEW, "an end that is no label"),
        ("stranger.example", True, ("other.example",), NEW, "where there is a list, loading makes nobody known"),
        ("google.com", False, ("other.example",), NEW, "nor does the shipped list"),
        ("small host", True, (), LOADED, "a name alone, from loaded files"),
        ("small host", True, ("other.example",), NEW, "which no list can name"),
    ],
)
def test_who_is_known_without_being_heard(
    voice: str, loaded: bool, signers: tuple[str, ...], basis: str, why: str
) -> None:
    assert speaker(1, voice=voice, loaded=loaded).basis(ON, signers) == basis, why


class Row(NamedTuple):
    """What speakers_of selects."""

    voice: str
    organization: str
    signer: str
    day: dt.date
    first: dt.datetime
    newest: dt.datetime


def test_one_voice_of_several_rows() -> None:
    """The newest name and signer; of each day its first arrival; loaded when one of its rows is."""
    noon = dt.datetime.combine(ON, dt.time(12), dt.UTC)
    rows = [
        Row("small host", "Small Host", "", ON - DAY, noon - DAY, noon - DAY),
        Row("small.example", "Small Host Ltd", "mx.small.example", ON - DAY, noon, noon + DAY),
        Row("small.example", "Smaller", "small.example", ON, noon, noon),
    ]
    speakers = Speakers(rows, loaded=["small host"], ties={"small host": "small.example"})
    assert set(speakers.by_voice) == {"small.example"}
    small = speakers.by_voice["small.example"]
    assert (small.organization, small.signer, small.loaded) == ("Small Host Ltd", "mx.small.example", True)
    assert small.days == {ON - DAY: noon - DAY, ON: noon}
    assert [speakers.resolve(name) for name in ("small host", "small.example", "x")] == ["small.example"] * 2 + ["x"]


def of(post: Post, on: dt.date = ON, *signers: str) -> dict[str, str]:
    """The voices about the domain, each with why it is known."""
    post.store()
    why_known = []
    selection = Selection(Question(on), ["receiver.example"])
    with post.engine.connect() as connection:
        # How far back each day is read one by one makes no difference.
        for first in (on - 400 * DAY, on - 92 * DAY, on - 20 * DAY, on):
            speakers = speakers_of(Months(connection, selection), first)["receiver.example"]
            why_known.append({voice: speaker.basis(on, signers) for voice, speaker in speakers.by_voice.items()})
    assert why_known == [why_known[0]] * len(why_known)
    return why_known[0]


def load(post: Post, folder: Path, sender: Sender, day: dt.date) -> None:
    """A bare file of the sender, loaded by the operator."""
    path = folder / f"{sender.domain}-{day}.json"
    path.write_text(json.dumps(report_of(sender, day, CLEAN)))
    post.load(path)


def test_signed_mail_and_loaded_files(post: Post, tmp_path: Path) -> None:
    post.send(GOOGLE, ON - DAY, CLEAN)
    post.send(MAILER, ON - DAY, CLEAN)
    post.send(STRANGER, ON - DAY, CLEAN)
    assert of(post) == {"google.com": LISTED, "mailer.example": NEW, "stranger.example": NEW}
    load(post, tmp_path, MAILER, ON - 3 * DAY)
    assert of(post) == {"google.com": LISTED, "mailer.example": LOADED, "stranger.example": NEW}
    assert of(post, ON, "stranger.example") == {"google.com": NEW, "mailer.example": NEW, "stranger.example": OPERATOR}


def test_a_file_of_what_came_by_mail_makes_its_voice_known(post: Post, tmp_path: Path) -> None:
    """The saved attachment is a copy of the signed mail: the operator vouches for the voice all the same."""
    post.send(MAILER, ON - 3 * DAY, CLEAN)
    assert of(post) == {"mailer.example": NEW}
    load(post, tmp_path, MAILER, ON - 3 * DAY)
    assert of(post) == {"mailer.example": LOADED}


def test_an_upload_makes_nobody_known(post: Post) -> None:
    post.send(MAILER, ON - DAY, CLEAN)
    post.upload(MAILER, ON - 2 * DAY, CLEAN)
    post.send(MAILER, ON - 3 * DAY, CLEAN, signed=False)
    assert of(post) == {"mailer.example": NEW}


def test_heard_and_lapsed(post: Post) -> None:
    post.daily([MAILER], ON - 31 * DAY, ON - 18 * DAY)
    assert of(post) == {"mailer.example": NEW}, "two weeks do not ripen in silence"
    post.daily([MAILER], ON - 17 * DAY, ON - 2 * DAY)
    assert of(post) == {"mailer.example": NEW}
    post.send(MAILER, ON - DAY, CLEAN)
    assert of(post) == {"mailer.example": HEARD}
    assert of(post, ON + 90 * DAY) == {"mailer.example": HEARD}
    assert of(post, ON + 91 * DAY) == {"mailer.example": NEW}


def test_the_name_of_a_sender_without_contact_is_its_signers(post: Post, tmp_path: Path) -> None:
    load(post, tmp_path, STALWART, ON - 40 * DAY)
    assert of(post) == {"small host": LOADED}
    # A newcomer that uses the name takes over nothing.
    post.send(STALWART, ON - DAY, CLEAN)
    assert of(post) == {"small host": LOADED, "small.example": NEW}
    post.daily([STALWART], ON - 31 * DAY, ON - 2 * DAY)
    assert of(post) == {"small.example": LOADED}


@pytest.mark.parametrize(
    ("contact", "voices"),
    [
        (STRANGER.address, {"stranger.example": LOADED}),
        ("tls@mail.stranger.example", {"stranger.example": LOADED}),
        (..., {"stranger.example": LOADED}),
        (STALWART.address, {"small host": LOADED, "stranger.example": HEARD}),
    ],
    ids=["its own", "below its own", "none", "another's"],
)
def test_whose_a_name_is(post: Post, tmp_path: Path, contact: Any, voices: dict[str, str]) -> None:
    """Who has been heard for a month may use a name as its own, and is one voice with the files that have nothing else: in doubt
    it is one. With another's contact address the name is not shown to be its own.
    """
    load(post, tmp_path, STALWART, ON - 40 * DAY)
    post.daily([STRANGER], ON - 31 * DAY, ON - 2 * DAY)
    post.send(STRANGER, ON - DAY, CLEAN, organization_name="small HOST, Inc.", contact_info=contact)
    assert of(post) == voices


def test_an_organisation_named_by_a_host_ties_nothing(post: Post) -> None:
    """A domain in place of a name belongs to whoever registered it."""
    post.daily([Sender("mx.mailer.example", STRANGER.address)], ON - 31 * DAY, ON - DAY)
    post.send(MAILER, ON - DAY, CLEAN)
    assert of(post) == {"stranger.example": HEARD, "mailer.example": NEW}
