"""Who may come in, and who leaves when a door is full."""

import ipaddress

import pytest

from ingest.limits import TOO_MANY, TOO_MANY_OF_YOURS, Connections, Letters, address_in_log, in_log, in_networks


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
        found = []
        for peer in peers:
            visitor, refusal = self.enter(peer)
            assert refusal is None
            found.append(visitor)
            self.now += 1
        return found


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


def test_among_equals_only_idleness_costs_the_place() -> None:
    door = Door(2, 10)
    guests = door.fill("192.0.2.1", "192.0.2.2")
    assert door.enter("192.0.2.3")[1] == TOO_MANY
    door.now += 20
    assert door.enter("192.0.2.3")[1] is None
    assert [guest.evicted for guest in guests] == [True, False]


def test_behind_a_proxy_stand_many_clients() -> None:
    door = Door(10, 1, "192.0.2.0/30")
    first, second = door.fill("192.0.2.1", "192.0.2.1")
    assert door.limits.identify(first, "198.51.100.7") is None
    assert door.limits.identify(second, "198.51.100.7") == TOO_MANY_OF_YOURS
    assert door.limits.identify(second, "198.51.100.8") is None
    assert door.enter("198.51.100.7")[1] == TOO_MANY_OF_YOURS
    assert len(door.limits) == 2


def test_a_guest_that_left_is_not_useful() -> None:
    door = Door(10, 1)
    (guest,) = door.fill("192.0.2.1")
    door.limits.leave(guest)
    door.limits.useful(guest)
    assert len(door.limits) == 0


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3%eth0", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("nonsense", "unknown"),
    ],
)
def test_how_a_peer_is_named_in_logs(peer: str, shown: str) -> None:
    assert in_log(peer) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("jane.doe@elsewhere.example", "…@elsewhere.example"),
        ("jane@doe@elsewhere.example", "…@elsewhere.example"),
        ("jane.doe", "… (no domain)"),
        ("jane@a\n\x1b[2Jb", "…@a\\n\\x1b[2Jb"),
        ("jane@" + "x" * 200, "…@" + "x" * 100 + "…"),
    ],
)
def test_how_a_mail_address_is_named_in_logs(address: str, shown: str) -> None:
    assert address_in_log(address) == shown


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
