"""One stranger who signs whatever chance makes up moves no headline; the seeds are fixed, so that a failure can be looked at."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from ingest.database import engines
from tests.dashboard.decision.conftest import MakeSettings
from tests.dashboard.decision.signed_post import (
    BEGAN,
    DAY,
    ENFORCE,
    GOOGLE,
    MAILER,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    TESTING,
    Post,
    Sender,
    headline,
    report_of,
)
from tests.dashboard.decision.worlds import days
from tests.reports import detail, entry

SEEDS = range(12)
STALWART = Sender("Small Host", "noreply-tls@small.example", contact=False)
HONEST = (GOOGLE, MICROSOFT, MAILER, STALWART)
SWITCH = ON - 12 * DAY
# The world is in testing, or enforces since twelve days; in the second of each a fault has been seen.
STORIES = [(TESTING, False), (TESTING, True), (ENFORCE, False), (ENFORCE, True)]


def live_through(post: Post, archive: Path, lines: tuple[str, ...], fault: bool) -> None:
    """Google and Microsoft sign; the operator has loaded the files of two others."""
    for day in days(BEGAN, ON - DAY):
        quoted = list(lines if day >= SWITCH else TESTING)
        clean = entry(20, 0, policy_string=quoted)
        failed = entry(17, 3, detail(sessions=3), policy_string=quoted)
        is_bad = fault and day == ON - 5 * DAY
        for sender in (GOOGLE, MICROSOFT):
            post.send(sender, day, failed if is_bad and sender is GOOGLE else clean)
        for sender in (MAILER, STALWART):
            path = archive / f"{sender.domain}-{day}.json"
            path.write_text(json.dumps(report_of(sender, day, failed if is_bad else clean)))
    post.load(archive)


class Stranger:
    """Signs as stranger.example, below any name of it, and claims what it likes."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._habit = self._chance.choice(["patient", "copies", "anything"])

    def mail_to(self, post: Post) -> None:
        chance = self._chance
        victim = chance.choice(HONEST)
        for number in range(chance.randint(1, 28), 0, -1):
            if self._habit != "copies":
                victim = chance.choice(HONEST)
            day = ON - number * DAY
            below = chance.choice(["", "mail.", "a.b."])
            name = chance.choice([victim.organization, "Stranger Ltd.", ""])
            contact = chance.choice([victim.address, "reports@stranger.example", "", ...])
            claim: dict[str, Any] = {"contact_info": contact}
            if self._habit == "copies":
                name = victim.organization
                claim = {"contact_info": victim.address if victim.contact else ...}
            if self._habit == "copies" or chance.random() < 0.5:
                claim["report_id"] = report_of(victim, day)["report-id"]
            if chance.random() < 0.1:
                claim["last"] = min(day + chance.randint(1, 9) * DAY, ON - DAY)
            entries = [self._entry(day) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
            post.send(Sender(name, f"reports@{below}stranger.example"), day, *entries, **claim)

    def _entry(self, day: Any) -> dict[str, Any]:
        chance = self._chance
        if self._habit == "copies" and chance.random() < 0.5:
            quoted = list(chance.choice([TESTING, ENFORCE]))
            return chance.choice(
                [entry(20, 0, policy_string=quoted), entry(17, 3, detail(sessions=3), policy_string=quoted)]
            )
        kind = chance.choice(["sts", "sts", "sts", "no-policy-found", "tlsa", "whatever"])
        lines = chance.choice([TESTING, TESTING, ENFORCE, OTHER, NONE, ("nothing",), ...])
        types = ["certificate-expired", "starttls-not-supported", "sts-policy-fetch-error", "sts-policy-invalid", "x"]
        hosts = ["mx1.receiver.example", "mx9.receiver.example", "mx.attacker.example", ...]
        details = [
            detail(chance.choice(types), chance.randint(0, 40), receiving_mx_hostname=chance.choice(hosts))
            for _ in range(chance.choice([0, 0, 1, 2]))
        ]
        failed = chance.choice([0, 7, 80, sum(failure["failed-session-count"] for failure in details)])
        quoted = lines if lines is ... else list(lines)
        made: dict[str, Any] = entry(
            chance.choice([0, 1, 20, 4_000]), failed, *details, policy_type=kind, policy_string=quoted
        )
        return made


@pytest.mark.parametrize(("lines", "fault"), STORIES, ids=["testing", "not ready", "enforcing", "refusing"])
def test_one_stranger_moves_no_headline(
    post: Post, settings_for: MakeSettings, tmp_path: Path, lines: tuple[str, ...], fault: bool
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    live_through(post, archive, lines, fault)
    asked = [ON, ON - 3 * DAY, ON - 9 * DAY]
    before = [post.verdict(on) for on in asked]
    post.engine.dispose()
    for seed in SEEDS:
        copied = tmp_path / f"{seed}.db"
        shutil.copy(tmp_path / "starttally.db", copied)
        url = f"sqlite:///{copied}"
        again = Post(engines.open_engine(url), settings_for(database_url=url), post.nameserver)
        Stranger(seed).mail_to(again)
        after = [again.verdict(on) for on in asked]
        assert list(map(headline, after)) == before, seed
        assert len(after[0].newcomers) <= 1, seed
        again.engine.dispose()
