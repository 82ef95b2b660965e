"""Names and addresses in their one stored form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.names import MAX_DOMAIN, domain_name, ip_address


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Receiver.Example", "receiver.example"),
        (" receiver.example.\r\n", "receiver.example"),
        ("receiver.example...", "receiver.example"),
        ("göpher.example", "xn--gpher-jua.example"),
        ("GÖPHER.EXAMPLE", "xn--gpher-jua.example"),
        ("go\u0308pher.example", "xn--gpher-jua.example"),  # decomposed, as file systems and some editors write
        ("göpher\u3002example\uff61", "xn--gpher-jua.example"),
        ("XN--GPHER-JUA.example", "xn--gpher-jua.example"),
        ("straße.example", "xn--strae-oqa.example"),  # IDNA 2008: not strasse
        ("Α.Σ.GR", "xn--mxa.xn--4xa.gr"),  # a sigma by itself, whatever the label before it
        ("\u1e96.example", domain_name("H\u0331.example")),  # one character in lower case only
        (
            "نامه\u200cای.example",
            "xn--" + "نامه\u200cای".encode("punycode").decode() + ".example",
        ),  # joiners are letters there
        ("*.Receiver.example", "*.receiver.example"),
        ("_smtp._tls.receiver.example", "_smtp._tls.receiver.example"),
        ("", ""),
        (".", ""),
        ("a" * MAX_DOMAIN + ".", "a" * MAX_DOMAIN),
    ],
)
def test_names(text: str, name: str) -> None:
    assert domain_name(text) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" * (MAX_DOMAIN + 1), "longer than 253"),
        ("ö" * MAX_DOMAIN, "longer than 253"),  # only once encoded
        ("".join(map(chr, range(0x4E00, 0x9FFF))) * 20, "longer than 253"),  # hours, were it encoded first
        ("a" + "\u0315\u0300" * 1_000_000, "longer than 253"),  # hours, were it composed first
        ("two words.example", "has blanks"),
        ("nul\0.example", "has blanks or control"),
        ("line\nend.example", "has blanks or control"),
    ],
)
def test_what_can_be_no_name(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        domain_name(text)


@given(st.text(max_size=80) | st.text("aÖö.\u3002\u0308ßſİΣ*-_ ", max_size=80))
def test_a_stored_name_is_ascii_and_stays_as_it_is(text: str) -> None:
    try:
        name = domain_name(text)
    except ValueError as refusal:
        assert str(refusal)
        return
    assert name.isascii()
    assert name == name.lower().strip()
    assert len(name) <= MAX_DOMAIN
    assert domain_name(name) == name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" [192.0.2.1] ", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ("ipv6:2001:db8::1", "2001:db8::1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("x.x.x.x", "x.x.x.x"),
        ("mx.example ", "mx.example"),
        ("192.0.2.01", "192.0.2.01"),  # octal or decimal? kept
        ("192.0.2.1, 192.0.2.2", "192.0.2.1, 192.0.2.2"),
        ("", ""),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert ip_address(text) == address


@given(st.ip_addresses().map(str) | st.text(max_size=60) | st.text("0123456789abcdef:.[]IPv6%", max_size=40))
def test_an_address_stays_as_it_is(text: str) -> None:
    once = ip_address(text)
    assert ip_address(once) == once or once.startswith("[")
