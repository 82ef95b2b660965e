"""Who may come in, and who leaves when a door is full."""

import ipaddress

import pytest

from ingest.doors import connections
from ingest.doors.connections import STEP_OCTETS, TOO_MANY, TOO_MANY_OF_YOURS, Connections
from ingest.doors.limits import Letters, Pace, in_networks
from ingest.doors.smtp.steps import Steps
from ingest.text.addresses import address_in_log, in_log


class Visitor:
    """A connection that notes when it is sent away."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.evicted = False

    def evict(self) -> None:
        self.evicted = True


class Door:
    """A door with a clock that the test moves."""

    def __init__(self, total: int, per_client: int, *proxies: str) -> None:
        self.now = 0.0
        networks = [ipaddress.ip_network(proxy) for proxy in proxies]
        self.limits = Connections(total, per_client, networks, clock=lambda: self.now)

    def enter(self, peer: str) -> tuple[Visitor, str | None]:
        visitor = Visitor(peer)
        return visitor, self.limits.enter(peer, visitor)

    def fill(self, *peers: str) -> list[Visitor]:
        collected = []
        for peer in peers:
            visitor, refusal = self.enter(peer)
            assert refusal is None
            collected.append(visitor)
            self.now += 1
        return collected


def test_one_client_has_no_more_than_its_share() -> None:
    door = Door(10, 2)
    first, _ = door.fill("192.0.2.1", "192.0.2.1")
    assert door.enter("192.0.2.1")[1] == TOO_MANY_OF_YOURS
    assert door.enter("192.0.2.2")[1] is None
    door.limits.leave(first)
    door.limits.leave(first)
    assert door.enter("192.0.2.1")[1] is None
    assert len(door.limits) == 3


def test_ipv6_customers_count_by_their_network() -> None:
    door = Door(10, 1)
    door.fill("2001:db8:0:1::1")
    assert door.enter("2001:db8:0:1::2")[1] == TOO_MANY_OF_YOURS
    assert door.enter("2001:db8:0:2::1")[1] is None
    door.fill("198.51.100.1")
    assert door.enter("::ffff:198.51.100.1")[1] == TOO_MANY_OF_YOURS


def test_whoever_has_most_loses_the_one_that_was_useless_for_longest() -> None:
    door = Door(4, 10)
    slow = door.fill("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.9")
    door.limits.useful(slow[0])
    newcomer, refusal = door.enter("192.0.2.2")
    assert refusal is None
    assert [visitor.evicted for visitor in slow] == [False, True, False, False]
    assert len(door.limits) == 4
    assert not newcomer.evicted


def test_whoever_has_most_gains_nothing_by_coming_again() -> None:
    door = Door(4, 10)
    door.fill("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.9")
    assert door.enter("192.0.2.1")[1] == TOO_MANY


def test_among_equals_who_says_nothing_leaves_at_once() -> None:
    """500 addresses with one silent connection each kept everybody else out for ten seconds."""
    door = Door(3, 10)
    guests = door.fill("192.0.2.1", "192.0.2.2", "192.0.2.3")
    door.limits.moved(guests[0])
    assert door.enter("192.0.2.4")[1] is None
    assert [guest.evicted for guest in guests] == [False, True, False]


def test_among_equals_who_moves_stays_and_who_stops_leaves() -> None:
    door = Door(2, 10)
    guests = door.fill("192.0.2.1", "192.0.2.2")
    door.limits.moved(guests[0])
    door.limits.useful(guests[1])
    door.now += 0.2
    assert door.enter("192.0.2.3")[1] == TOO_MANY
    door.limits.moved(guests[1])
    door.now += 0.2
    assert door.enter("192.0.2.3")[1] is None
    assert [guest.evicted for guest in guests] == [True, False]


def test_who_waits_for_our_disk_stays() -> None:
    door = Door(1, 10)
    (guest,) = door.fill("192.0.2.1")
    door.limits.busy(guest)
    door.now += 60
    assert door.enter("192.0.2.2")[1] == TOO_MANY
    door.limits.moved(guest)
    door.now += 2
    assert door.enter("192.0.2.2")[1] is None


def test_nor_does_a_client_with_many_lose_one_that_waits_for_our_disk() -> None:
    door = Door(2, 10)
    both = door.fill("192.0.2.1", "192.0.2.1")
    for guest in both:
        door.limits.busy(guest)
    assert door.enter("192.0.2.2")[1] == TOO_MANY
    door.limits.useful(both[1])
    assert door.enter("192.0.2.2")[1] is None
    assert [guest.evicted for guest in both] == [False, True]


def test_who_moves_gives_way_to_a_client_that_has_fewer_if_nobody_stands_still() -> None:
    door = Door(3, 10)
    guests = door.fill("192.0.2.1", "192.0.2.1", "192.0.2.2")
    for guest in guests:
        door.limits.moved(guest)
    door.limits.moved(guests[2])
    assert door.enter("192.0.2.3")[1] is None
    assert [guest.evicted for guest in guests] == [True, False, False]


def test_a_sender_with_several_connections_loses_none_that_move_to_the_silent() -> None:
    door = Door(4, 10)
    sender = door.fill("192.0.2.1", "192.0.2.1", "192.0.2.1")
    (silent,) = door.fill("192.0.2.2")
    for guest in sender:
        door.limits.moved(guest)
    assert door.enter("192.0.2.3")[1] is None
    assert ([guest.evicted for guest in sender], silent.evicted) == ([False] * 3, True)


def test_the_silent_are_found_behind_a_hundred_that_move() -> None:
    door = Door(101, 10)
    for number in range(100):
        visitor, _ = door.enter(f"192.0.2.{number}")
        door.limits.moved(visitor)
    silent, _ = door.enter("198.51.100.1")
    door.now += 0.1
    assert door.enter("203.0.113.1")[1] is None
    assert silent.evicted


def test_who_was_sent_away_sends_nobody_away_while_it_keeps_coming() -> None:
    door = Door(1, 10)
    door.fill("192.0.2.1")
    assert door.enter("192.0.2.2")[1] is None
    for _ in range(5):
        door.now += 50
        assert door.enter("192.0.2.1")[1] == TOO_MANY
    assert door.enter("192.0.2.3")[1] is None
    door.now += 60
    assert door.enter("192.0.2.1")[1] is None


def test_who_was_sent_away_may_come_back_where_others_hold_far_more() -> None:
    door = Door(4, 10)
    door.fill("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2")
    assert door.enter("192.0.2.3")[1] is None
    assert door.enter("192.0.2.1")[1] == TOO_MANY
    door = Door(5, 10)
    door.fill("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.2")
    door.limits._remember("192.0.2.9", door.now)
    assert door.enter("192.0.2.9")[1] is None


def test_a_few_connections_are_no_crowd() -> None:
    """A sender with three, of which one waits, loses none to a newcomer where others have been still for longer."""
    door = Door(4, 10)
    (silent,) = door.fill("192.0.2.1")
    three = door.fill("192.0.2.2", "192.0.2.2", "192.0.2.2")
    assert door.enter("192.0.2.3")[1] is None
    assert ([guest.evicted for guest in three], silent.evicted) == ([False] * 3, True)


def test_who_has_brought_a_report_may_come_again() -> None:
    door = Door(1, 10)
    (useful,) = door.fill("192.0.2.1")
    door.limits.useful(useful)
    door.now += 2
    assert door.enter("192.0.2.2")[1] is None
    assert useful.evicted
    assert door.enter("192.0.2.1")[1] is None


def test_how_many_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MOST_REMEMBERED", 5)
    door = Door(1, 10)
    for number in range(20):
        assert door.enter(f"192.0.2.{number}")[1] is None
    assert len(door.limits._sent_away) == 5
    assert door.enter("192.0.2.1")[1] is None
    assert door.enter("192.0.2.18")[1] == TOO_MANY


class Noted:
    """Counts the steps that a session reports."""

    def __init__(self) -> None:
        self.moves = 0
        self.mails = 0

    def moved(self, _: object) -> None:
        self.moves += 1

    def useful(self, _: object) -> None:
        self.mails += 1

    def busy(self, _: object) -> None:
        pass


def test_a_step_counts_once_until_a_mail_is_there() -> None:
    noted = Noted()
    steps = Steps(noted, Visitor("192.0.2.1"))  # type: ignore[arg-type]

    def circle() -> int:
        before = noted.moves
        for _ in range(5):
            steps.greeted(within_tls=False)
            steps.addressed()
            for octets in range(0, 3 * STEP_OCTETS, 1_000):
                steps.received(octets)
        return noted.moves - before

    assert [circle(), circle()] == [5, 0]
    steps.whole()
    steps.ended(stored=False)
    assert (noted.mails, circle()) == (0, 0)
    steps.ended(stored=True)
    assert (noted.mails, circle()) == (1, 4)


@pytest.mark.parametrize(
    ("now", "octets", "until", "why"),
    [
        (0, 0, 10, "silence from the start"),
        (5, 1, 10.001, "one octet is no life sign"),
        (5, 1_024, 11, "a second for each KiB"),
        (5, 20_480, 15, "a silence after a good start"),
        (10, 1_024, 11, "drips do not move the end"),
        (95, 1_024_000, 100, "the whole time is used up"),
    ],
)
def test_when_a_body_has_to_go_on(now: float, octets: int, until: float, why: str) -> None:
    pace = Pace(idle=10, whole=100, begun=0)
    assert pace.until(now, octets) == pytest.approx(until, abs=0.01), why


def test_behind_a_proxy_stand_many_clients() -> None:
    door = Door(10, 1, "192.0.2.0/30")
    first, second = door.fill("192.0.2.1", "192.0.2.1")
    assert door.limits.identify(first, "198.51.100.7") is None
    assert door.limits.identify(second, "198.51.100.7") == TOO_MANY_OF_YOURS
    assert door.limits.identify(second, "198.51.100.8") is None
    assert door.enter("198.51.100.7")[1] == TOO_MANY_OF_YOURS
    assert len(door.limits) == 2


def test_behind_a_proxy_the_silent_make_room_for_each_other() -> None:
    """All of a proxy's connections were one client's, which could send none of its own away: 500 idle uploads shut the door."""
    door = Door(3, 1, "192.0.2.1/32")
    guests = door.fill("192.0.2.1", "192.0.2.1", "192.0.2.1")
    door.limits.moved(guests[0])
    assert door.enter("192.0.2.1")[1] is None
    assert door.enter("198.51.100.1")[1] is None
    assert [guest.evicted for guest in guests] == [False, True, True]
    assert len(door.limits) == 3
    assert not door.limits._sent_away


def test_a_guest_that_left_is_not_useful() -> None:
    door = Door(10, 1)
    (guest,) = door.fill("192.0.2.1")
    door.limits.leave(guest)
    door.limits.useful(guest)
    assert len(door.limits) == 0


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3%eth0", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("nonsense", "unknown"),
    ],
)
def test_how_a_peer_is_named_in_logs(peer: str, expected: str) -> None:
    assert in_log(peer) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("jane.doe@elsewhere.example", "…@elsewhere.example"),
        ("jane@doe@elsewhere.example", "…@elsewhere.example"),
        ("jane.doe", "… (no domain)"),
        ("jane@a\n\x1b[2Jb", "…@a\\n\\x1b[2Jb"),
        ("jane@" + "x" * 200, "…@" + "x" * 100 + "…"),
    ],
)
def test_how_a_mail_address_is_named_in_logs(address: str, expected: str) -> None:
    assert address_in_log(address) == expected


def test_letters_are_few_of_one_client_and_of_all_and_come_again_an_hour_later() -> None:
    now = 0.0
    letters = Letters(clock=lambda: now)
    assert [letters.take("192.0.2.1") for _ in range(11)] == [True] * 10 + [False]
    assert [letters.take("2001:db8::1"), letters.take("2001:db8::2")] == [True, True]
    assert sum(letters.take(f"198.51.100.{number}") for number in range(200)) == 100 - 12
    assert not letters.take("203.0.113.1")
    now = 3_600.0
    assert letters.take("192.0.2.1")


def test_what_is_no_address_lies_in_no_network() -> None:
    assert not in_networks("unix", [ipaddress.ip_network("0.0.0.0/0")])
