"""The DKIM verdict: which signatures count, and in which words the others are refused. The name server is a real one."""

import base64
import datetime as dt
import email
import email.utils
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest.authentication.dkim_keys import Keys
from ingest.authentication.dkim_message import ParsedMail
from ingest.authentication.dkim_rules import Signature, signatures
from ingest.authentication.signatures import authenticate, signature_names
from ingest.authentication.verdict import Authentication
from ingest.testimony.trust import FAILED, UNDETERMINED, UNSIGNED, VERIFIED
from tests.nameserver import NXDOMAIN, SERVFAIL, SILENT, Cname, NameServer, Records, Truncated, txt
from tests.signing import FROM_FIELDS, ed25519_key, record, rsa_key, signed
from tests.support import CORPUS

NOW = dt.datetime.now(dt.UTC)
KEY_NAME = "s1._domainkey.sender.example"
MAIL = (
    b"From: TLS reports <tls-reports@sender.example>\r\n"
    b"To: tlsrpt@receiver.example\r\n"
    b"Subject: Report Domain: receiver.example\r\n"
    b"\tSubmitter: sender.example Report-ID: <1@sender.example>\r\n"
    b"Date: Sun, 15 Mar 2026 10:11:12 +0000\r\n"
    b"Message-ID: <1@sender.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n"
    b"\r\n"
    b"Two  words \r\n"
    b"\r\n"
    b"the end\t.\r\n"
    b"\r\n"
)
Make = Callable[[], bytes]


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with NameServer({}) as running:
        yield running


def verdict(
    server: NameServer, mail: bytes, zone: Any = None, *, seconds: float = 20, now: dt.datetime = NOW
) -> Authentication:
    """What authentication says when DNS has ``zone``: a whole zone, an answer for the usual name, or the usual key."""
    answer = txt(record()) if zone is None else zone
    server.zone = answer if isinstance(answer, dict) else {KEY_NAME: answer}
    keys = Keys([server.address])
    keys.prefetch(signature_names(mail), seconds)
    return authenticate(mail, keys, now)


def with_from(*values: str, at: int = 0) -> bytes:
    """The mail with these From fields instead of its own."""
    lines = MAIL.split(b"\r\n")
    lines[0:1] = [f"From: {value}".encode() for value in values]
    return b"\r\n".join(lines)


def later(**duration: float) -> int:
    return int((NOW + dt.timedelta(**duration)).timestamp())


GOOD: list[Any] = [
    pytest.param(lambda: signed(MAIL), None, id="rsa-sha256, relaxed"),
    pytest.param(lambda: signed(MAIL, canonicalization="simple/simple"), None, id="simple/simple"),
    pytest.param(lambda: signed(MAIL, canonicalization="simple/relaxed"), None, id="simple/relaxed"),
    pytest.param(lambda: signed(MAIL, canonicalization="relaxed/simple"), None, id="relaxed/simple"),
    pytest.param(lambda: signed(MAIL, canonicalization="relaxed"), None, id="c=relaxed alone: the body is simple"),
    pytest.param(lambda: signed(MAIL, canonicalization="simple/simple", c=None), None, id="no c=: simple"),
    pytest.param(lambda: signed(MAIL, key=ed25519_key()), txt(record(ed25519_key())), id="ed25519-sha256 (RFC 8463)"),
    pytest.param(
        lambda: signed(MAIL, key=rsa_key(1024)), txt(record(rsa_key(1024))), id="RSA of 1024 bits (Microsoft)"
    ),
    pytest.param(lambda: signed(MAIL, key=rsa_key(4096)), txt(record(rsa_key(4096))), id="RSA of 4096 bits"),
    pytest.param(lambda: signed(MAIL, i="@sender.example"), txt(record(t="s")), id="t=s and i= within d= itself"),
    pytest.param(lambda: signed(MAIL), txt(record(t="s")), id="t=s without i=, which is then @d="),
    pytest.param(lambda: signed(MAIL, i="a@b.Sender.example"), None, id="i= below d="),
    pytest.param(lambda: signed(MAIL, x=later(days=7)), None, id="expires in 7 days (Google)"),
    pytest.param(lambda: signed(MAIL, q="dns/txt"), None, id="q=dns/txt"),
    pytest.param(lambda: signed(MAIL, q="other : dns/txt"), None, id="q= lists another way too"),
    pytest.param(lambda: signed(MAIL, darn="receiver.example"), None, id="an unknown tag (Google's darn=)"),
    pytest.param(lambda: signed(MAIL, t=None), None, id="no t="),
    pytest.param(lambda: signed(MAIL, t=later(hours=9)), None, id="a sender's clock is hours ahead"),
    pytest.param(lambda: signed(MAIL, domain="SENDER.example"), None, id="d= in capitals"),
    pytest.param(lambda: signed(MAIL, h="From : To:Subject"), None, id="h= with blanks and capitals"),
    pytest.param(lambda: signed(MAIL), txt(record(s="tlsrpt")), id="a key for reports alone (RFC 8460)"),
    pytest.param(lambda: signed(MAIL), txt(record(s="email:tlsrpt")), id="s= lists tlsrpt too"),
    pytest.param(lambda: signed(MAIL), txt(record(s=" email : TLSRPT ")), id="s= with blanks and capitals"),
    pytest.param(lambda: signed(MAIL), txt(record(s="*")), id="s=*"),
    pytest.param(lambda: signed(MAIL), txt(record(h="sha1:sha256")), id="h= of the key lists sha256"),
    pytest.param(lambda: signed(MAIL), txt(record().replace("v=DKIM1; k=rsa; ", "")), id="a record of p= alone"),
    pytest.param(lambda: signed(MAIL), txt(record() + ";"), id="a record with a final semicolon"),
    pytest.param(lambda: signed(MAIL), txt(record().replace("p=", "p= ")), id="a record with blanks"),
    pytest.param(lambda: signed(MAIL), txt("v=spf1 -all", record()), id="another kind of record beside the key"),
    pytest.param(
        lambda: signed(MAIL), txt(record(rsa_key(number=1)), record()), id="two keys at one name: each is tried"
    ),
    pytest.param(lambda: signed(MAIL), txt(record(), size=50), id="a key in many strings"),
    pytest.param(lambda: signed(MAIL), Truncated(txt(record())), id="a key that needs TCP"),
    pytest.param(
        lambda: signed(MAIL),
        {KEY_NAME: Cname("k.hoster.example"), "k.hoster.example": txt(record())},
        id="a key behind an alias (hosted senders)",
    ),
    pytest.param(
        lambda: signed(with_from("r@mail.sender.example")), None, id="d= is the parent of the author's domain"
    ),
    pytest.param(lambda: signed(with_from("r@a.b.c.sender.example")), None, id="d= is an ancestor"),
    pytest.param(lambda: signed(with_from("<r@sender.example>")), None, id="From without a name (Microsoft)"),
    pytest.param(lambda: signed(with_from("r@SENDER.Example")), None, id="From in capitals"),
    pytest.param(
        lambda: signed(with_from('"a, <b@c.example>" <r@sender.example>')), None, id="a quoted name like a list"
    ),
    pytest.param(lambda: signed(with_from("r@sender.example (a, b@c.example)")), None, id="a comment like a list"),
    pytest.param(lambda: signed(with_from("Reports\r\n <r@sender.example>")), None, id="a folded From"),
    pytest.param(lambda: signed(with_from('"a@b"@sender.example')), None, id="a quoted local part"),
    pytest.param(
        lambda: signed(with_from("r@straße.example"), domain="xn--strae-oqa.example"),
        {"s1._domainkey.xn--strae-oqa.example": txt(record())},
        id="From in U-labels, d= in A-labels",
    ),
    pytest.param(
        lambda: signed(with_from("r@xn--strae-oqa.example"), domain="STRASSE.example".replace("SS", "ß").lower()),
        {"s1._domainkey.xn--strae-oqa.example": txt(record())},
        id="d= in U-labels (RFC 8616)",
    ),
    pytest.param(lambda: b"X-Added: on the way\r\n" + signed(MAIL), None, id="a field added on the way"),
    pytest.param(lambda: b"From x@y Sun Mar 15 10:11:12 2026\r\n" + signed(MAIL), None, id="an mbox's separator"),
    pytest.param(lambda: signed(MAIL).replace(b"\r\n", b"\n"), None, id="a file whose lines end with LF"),
    pytest.param(
        lambda: b"Return-Path: <>\n" + signed(MAIL), None, id="lines with LF above lines with CRLF (a delivery agent)"
    ),
    pytest.param(lambda: signed(MAIL) + b"\r\n\r\n", None, id="blank lines added at the end"),
    pytest.param(lambda: signed(MAIL).removesuffix(b"\r\n\r\n"), None, id="the last line end lost"),
    pytest.param(lambda: signed(MAIL).replace(b"Two  words ", b"Two \t words\t"), None, id="blanks changed: relaxed"),
    pytest.param(lambda: signed(MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"), None, id="an empty body, relaxed"),
    pytest.param(
        lambda: signed(MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", canonicalization="simple/simple"),
        None,
        id="an empty body, simple",
    ),
    pytest.param(lambda: signed(signed(MAIL, key=rsa_key(number=1))), None, id="two signatures, the first good"),
    pytest.param(lambda: signed(signed(MAIL), key=rsa_key(number=1)), None, id="two signatures, the second good"),
    pytest.param(
        lambda: signed(signed(MAIL), domain="other.example"), None, id="a stranger's signature above the sender's"
    ),
    pytest.param(
        lambda: signed(signed(MAIL), selector="gone"), None, id="a signature whose key is gone above a good one"
    ),
    pytest.param(
        lambda: signed(signed(MAIL), selector="slow"),
        {KEY_NAME: txt(record()), "slow._domainkey.sender.example": SERVFAIL},
        id="a signature nobody knows the key of above a good one",
    ),
    pytest.param(
        lambda: signed(signed(MAIL), selector="trial"),
        {KEY_NAME: txt(record()), "trial._domainkey.sender.example": txt(record(t="y"))},
        id="a signature by a test key above a good one",
    ),
]


@pytest.mark.parametrize(("make", "zone"), GOOD)
def test_verified(server: NameServer, make: Make, zone: Any) -> None:
    authentication = verdict(server, make(), zone)
    assert (authentication.dkim, authentication.reason) == (VERIFIED, "")


BAD: list[Any] = [
    # Content
    pytest.param(
        lambda: signed(MAIL).replace(b"the end", b"The end"), None, "the body hash does not match", id="altered body"
    ),
    pytest.param(lambda: signed(MAIL) + b"more\r\n", None, "the body hash does not match", id="appended body"),
    pytest.param(
        lambda: signed(MAIL, canonicalization="simple/simple").replace(b"Two  words", b"Two words"),
        None,
        "the body hash does not match",
        id="blanks changed: simple",
    ),
    pytest.param(
        lambda: signed(MAIL).replace(b"the end", b"the\nend"),
        None,
        "the body hash",
        id="a bare LF among CRLFs is content",
    ),
    pytest.param(lambda: signed(MAIL).replace(b"<1@", b"<2@"), None, "the header does not match", id="altered subject"),
    pytest.param(
        lambda: signed(MAIL).replace(b"reports@", b"others@"), None, "the header does not match", id="altered From"
    ),
    pytest.param(
        lambda: signed(MAIL, key=rsa_key(number=1)), None, "signed with another key", id="signed with another key"
    ),
    pytest.param(
        lambda: signed(MAIL, key=ed25519_key(1)),
        txt(record(ed25519_key())),
        "the header does not match",
        id="same, Ed25519",
    ),
    pytest.param(lambda: signed(MAIL).replace(b"t=", b"t=1"), None, "the header does not match", id="altered time"),
    pytest.param(lambda: b"From: a@evil.example\r\n" + signed(MAIL), None, "2 From fields", id="a second From on top"),
    pytest.param(
        lambda: signed(MAIL).replace(b"\r\n\r\n", b"\r\nFrom: a@evil.example\r\n\r\n", 1),
        None,
        "2 From fields",
        id="a second From below",
    ),
    pytest.param(
        lambda: signed(b"from: a@evil.example\r\n" + MAIL), None, "2 From fields", id="two Froms, both signed"
    ),
    pytest.param(lambda: signed(MAIL[MAIL.index(b"To:") :]), None, "0 From fields", id="no From"),
    # Who signs
    pytest.param(
        lambda: signed(MAIL, domain="evil.example"), None, "does not speak for the author's domain", id="unrelated d="
    ),
    pytest.param(
        lambda: signed(with_from("r@a.sender.example"), domain="b.sender.example"), None, "does not speak", id="sibling"
    ),
    pytest.param(
        lambda: signed(MAIL, domain="mail.sender.example"), None, "does not speak", id="a child for its parent"
    ),
    pytest.param(
        lambda: signed(with_from("r@notsender.example")), None, "does not speak", id="same letters at the end, no dot"
    ),
    pytest.param(lambda: signed(MAIL, domain="example"), None, "does not speak", id="a top-level domain"),
    pytest.param(
        lambda: signed(with_from("r@strasse.example"), domain="xn--strae-oqa.example"), None, "not speak", id="ß/ss"
    ),
    *[
        pytest.param(lambda value=value: signed(with_from(value)), None, "not exactly one address", id=f"From: {value}")
        for value in (
            "a@evil.example, r@sender.example",
            "r@sender.example, <a@evil.example>",
            "a@evil.example <r@sender.example>",
            "<a@evil.example> <r@sender.example>",
            "<r@sender.example> a@evil.example",
            "group: r@sender.example;",
            "<@evil.example:r@sender.example>",
            "a@evil.example@sender.example",
            '"a <r@sender.example>',
            "(a <r@sender.example>",
            "<r@sender.example",
            "a r@sender.example",
            "@sender.example",
            "",
        )
    ],
    pytest.param(lambda: signed(with_from("r@[192.0.2.1]")), None, "no domain name", id="an address literal"),
    pytest.param(lambda: signed(with_from("nobody")), None, "no domain name", id="From without a domain"),
    pytest.param(lambda: signed(with_from("r@a..b")), None, "no domain name", id="From with an empty label"),
    pytest.param(lambda: signed(with_from("a" * 3000 + "@sender.example")), None, "too large", id="a huge From"),
    # The signature's own form
    pytest.param(lambda: signed(MAIL, l=10), None, "only the first part", id="l= of a part"),
    pytest.param(lambda: signed(MAIL, l=10**6), None, "only the first part", id="l= beyond the body"),
    pytest.param(lambda: signed(MAIL, a="rsa-sha1"), None, "rsa-sha1 is not accepted", id="rsa-sha1 (RFC 8301)"),
    pytest.param(lambda: signed(MAIL, a="rsa-md5"), None, "rsa-md5 is not accepted", id="unknown algorithm"),
    pytest.param(lambda: signed(MAIL, v=2), None, "its version is not 1", id="v=2"),
    pytest.param(lambda: signed(MAIL, c="relaxed/none"), None, "canonicalization", id="unknown c="),
    pytest.param(lambda: signed(MAIL, q="http"), None, "not in DNS", id="q= without dns/txt"),
    pytest.param(lambda: signed(MAIL, fields=("to", "subject")), None, "does not sign the From", id="From not signed"),
    pytest.param(lambda: signed(MAIL, i="@evil.example"), None, "i= is no address", id="i= outside d="),
    pytest.param(lambda: signed(MAIL, i="@xsender.example"), None, "i= is no address", id="i= only ends like d="),
    pytest.param(lambda: signed(MAIL, i="a@b.sender.example"), txt(record(t="s")), "t=s", id="t=s and i= below d="),
    pytest.param(lambda: signed(MAIL, i="a@b.sender.example"), txt(record(t="x : S")), "t=s", id="t= is a list"),
    pytest.param(
        lambda: signed(MAIL, x=later(days=-8), t=later(days=-1)), None, "expires before it was made", id="x= < t="
    ),
    pytest.param(lambda: signed(MAIL, bh="?"), None, "bh= is no base64", id="bh= is no base64"),
    pytest.param(lambda: signed(MAIL, bh=None), None, "it has no bh=", id="no bh="),
    pytest.param(lambda: signed(MAIL, s=""), None, "it has no s=", id="empty s="),
    pytest.param(lambda: signed(MAIL).replace(b"\r\n b=", b"\r\n b=!"), None, "b= is no base64", id="b= is no base64"),
    pytest.param(lambda: signed(MAIL).replace(b"\r\n b=", b"\r\n bh=YQ==; b="), None, "list of tags", id="a tag twice"),
    pytest.param(lambda: b"DKIM-Signature: nonsense\r\n" + MAIL, None, "list of tags", id="no tags at all"),
    pytest.param(lambda: b"DKIM-Signature:\r\n" + MAIL, None, "it has no v=", id="an empty signature"),
    # Keys
    pytest.param(
        lambda: signed(MAIL),
        txt("p=", record(rsa_key(number=1))),
        "the header does not match",
        id="two keys, one revoked",
    ),
    pytest.param(lambda: signed(MAIL), NXDOMAIN, "does not exist", id="no key"),
    pytest.param(lambda: signed(MAIL), Records("A", ("192.0.2.1",)), "does not exist", id="a name without TXT"),
    pytest.param(lambda: signed(MAIL), txt("v=spf1 -all"), "is no DKIM key", id="another kind of record"),
    pytest.param(lambda: signed(MAIL), txt(record().replace("DKIM1", "DKIM2")), "is no DKIM key", id="v=DKIM2"),
    pytest.param(lambda: signed(MAIL), txt(record(n="x" * 5000)), "is no DKIM key", id="a record of 5 KB"),
    pytest.param(lambda: signed(MAIL), txt("v=DKIM1; p="), "revoked", id="revoked"),
    pytest.param(lambda: signed(MAIL), txt(record(s="email")), "not meant for TLS reports (s=email)", id="s=email"),
    pytest.param(lambda: signed(MAIL), txt(record(s="tlsrpt2")), "not meant for TLS reports", id="s= unknown"),
    pytest.param(lambda: signed(MAIL), txt(record(h="sha1")), "does not allow SHA-256", id="h=sha1 of the key"),
    pytest.param(lambda: signed(MAIL), txt("k=rsa; p=!!!!"), "its key is no base64", id="p= is no base64"),
    pytest.param(lambda: signed(MAIL), txt("k=rsa; p=YWJj"), "no RSA key", id="p= is no RSA key"),
    pytest.param(lambda: signed(MAIL), txt("k=rsa; p=MAUFAQA="), "no RSA key", id="p= that dkimpy dies over"),
    pytest.param(
        lambda: signed(MAIL, key=ed25519_key()), txt("k=ed25519; p=YWJj"), "no Ed25519 key", id="no Ed25519 key"
    ),
    pytest.param(
        lambda: signed(MAIL),
        txt(record(ed25519_key())),
        "its key is for ed25519, the signature is rsa",
        id="other key type",
    ),
    pytest.param(
        lambda: signed(MAIL, a="ed25519-sha256"), None, "its key is for rsa", id="RSA signature called ed25519-sha256"
    ),
    pytest.param(lambda: signed(MAIL), txt(record(k="dsa")), "its key is for dsa", id="unknown key type"),
    pytest.param(
        lambda: signed(MAIL, key=ed25519_key()).replace(b"\r\n b=", b"\r\n b=YWJj"),
        txt(record(ed25519_key())),
        "cannot be read",
        id="an Ed25519 signature of the wrong length",
    ),
]


@pytest.mark.parametrize(("make", "zone", "reason"), BAD)
def test_failed(server: NameServer, make: Make, zone: Any, reason: str) -> None:
    authentication = verdict(server, make(), zone)
    assert reason in authentication.reason
    # A forgery must not be shown under the name it claims.
    assert authentication == Authentication(FAILED, authentication.reason, "", "", "", wrong=authentication.wrong)


@pytest.mark.parametrize("bits", [512, 1023])
def test_small_rsa_keys_are_refused(server: NameServer, bits: int) -> None:
    """cryptography makes no keys so small any more; the key is refused before anything is computed with it."""
    authentication = verdict(server, signed(MAIL), txt("k=rsa; p=" + rsa_public(2**bits - 1, 65537)))
    assert (authentication.dkim, authentication.reason) == (
        FAILED,
        f"signature of sender.example: its RSA key has {bits} bits; 1024 to 8192 are accepted",
    )


@pytest.mark.parametrize(
    ("modulus", "exponent", "reason"),
    [
        pytest.param(2**9000 - 1, 65537, "9000 bits", id="too large to compute with"),
        pytest.param(2**2048 - 1, 2**2047 + 1, "absurd exponent", id="an exponent that would cost seconds"),
        pytest.param(0, 3, "0 bits", id="zero"),
    ],
)
def test_rsa_keys_that_would_cost_us_are_refused(server: NameServer, modulus: int, exponent: int, reason: str) -> None:
    authentication = verdict(server, signed(MAIL), txt("k=rsa; p=" + rsa_public(modulus, exponent)))
    assert authentication.dkim == FAILED
    assert reason in authentication.reason


def rsa_public(modulus: int, exponent: int) -> str:
    """p= with a bare RSAPublicKey, whatever the numbers."""

    def der(tag: int, content: bytes) -> bytes:
        length = len(content).to_bytes(2, "big")
        return bytes([tag, 0x82]) + length + content

    def integer(number: int) -> bytes:
        return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))

    return base64.b64encode(der(0x30, integer(modulus) + integer(exponent))).decode()


@pytest.mark.parametrize(
    ("make", "zone", "reason"),
    [
        pytest.param(lambda: MAIL, None, "the mail has no DKIM signature", id="no signature"),
        pytest.param(lambda: b"", None, "no DKIM signature", id="no mail"),
        pytest.param(lambda: b"\r\n" + signed(MAIL), None, "no DKIM signature", id="a signature in the body"),
        pytest.param(
            lambda: b"X-Google-" + signed(MAIL), None, "no DKIM signature", id="Google's second one, not ours"
        ),
        pytest.param(lambda: signed(MAIL), txt(record(t="y")), "being tested", id="test key"),
        pytest.param(lambda: signed(MAIL), txt(record(t="s : Y")), "being tested", id="test key, t= is a list"),
        pytest.param(
            lambda: signed(MAIL).replace(b"the end", b"The end"),
            txt(record(t="y")),
            "tested",
            id="test key, altered body",
        ),
    ],
)
def test_unsigned(server: NameServer, make: Make, zone: Any, reason: str) -> None:
    authentication = verdict(server, make(), zone)
    assert authentication.dkim == UNSIGNED
    assert reason in authentication.reason


@pytest.mark.parametrize(
    ("make", "zone", "reason"),
    [
        pytest.param(lambda: signed(MAIL), SERVFAIL, "SERVFAIL", id="the server fails"),
        pytest.param(lambda: signed(MAIL), SILENT, "no answer from DNS", id="the server is silent"),
        pytest.param(
            lambda: signed(signed(MAIL), selector="gone"),
            {KEY_NAME: SERVFAIL},
            "key s1._domainkey.sender.example could not be looked up",
            id="one key unknown, one gone",
        ),
        pytest.param(
            lambda: signed(signed(MAIL), selector="trial"),
            {KEY_NAME: SERVFAIL, "trial._domainkey.sender.example": txt(record(t="y"))},
            "SERVFAIL",
            id="one key unknown, one a test key",
        ),
    ],
)
def test_undetermined(server: NameServer, make: Make, zone: Any, reason: str) -> None:
    authentication = verdict(server, make(), zone, seconds=0.3)
    assert authentication.dkim == UNDETERMINED
    assert reason in authentication.reason
    assert authentication.signer == ""


def test_unknown_keys_of_signatures_that_would_fail_anyway_decide_nothing(server: NameServer) -> None:
    assert verdict(server, signed(MAIL, l=5), SERVFAIL).dkim == FAILED


def test_the_evidence_is_kept(server: NameServer) -> None:
    authentication = verdict(server, signed(MAIL), txt(record(n="caf\0é")))
    assert authentication == Authentication(VERIFIED, "", "sender.example", "s1", record(n="caf???"))


def test_the_refusal_that_tells_most_is_given(server: NameServer) -> None:
    """The sender's own signature, though neither first nor last, and not the strangers' beside it."""
    mail = signed(MAIL, domain="list.example")
    mail = signed(signed(mail), l=4, domain="other.example").replace(b"the end", b"The end")
    assert verdict(server, mail).reason == (
        "signature of sender.example: the body hash does not match (the mail was changed on its way)"
    )


def test_what_counts_is_the_day_of_arrival(server: NameServer) -> None:
    """A report may lie in the spool for longer than Google's signatures last."""
    arrival = NOW - dt.timedelta(days=30)
    made, expires = int(arrival.timestamp()), int((arrival + dt.timedelta(days=7)).timestamp())
    mail = signed(MAIL, t=made, x=expires)
    assert verdict(server, mail, now=arrival).dkim == VERIFIED
    assert verdict(server, mail, now=NOW).dkim == UNDETERMINED


@pytest.mark.parametrize(
    ("make", "answer", "dkim", "reason"),
    [
        (lambda: signed(MAIL, t=later(days=-8), x=later(hours=-1)), None, UNDETERMINED, "it expired before"),
        (lambda: signed(MAIL, t=later(days=2)), None, UNDETERMINED, "it was made in the future"),
        (lambda: signed(MAIL, t=later(days=2)) + b"more", None, FAILED, "the body hash"),
        (lambda: signed(MAIL, t=later(days=2)), NXDOMAIN, FAILED, "does not exist"),
        (lambda: signed(signed(MAIL), t=later(days=2)), None, VERIFIED, ""),
        (lambda: signed(signed(MAIL, t=later(days=2)), l=4), None, UNDETERMINED, "it was made in the future"),
    ],
)
def test_a_signature_that_holds_outside_its_time_is_looked_at_again(
    server: NameServer, make: Make, answer: Any, dkim: str, reason: str
) -> None:
    """Our clock may be wrong; whatever else is wrong with it is wrong at any time."""
    judged = verdict(server, make(), answer)
    assert (judged.dkim, judged.untimely) == (dkim, dkim == UNDETERMINED)
    assert reason in judged.reason
    assert judged.for_good.dkim == (FAILED if judged.untimely else dkim)


# --- the names to prefetch ---


def test_names_are_those_of_signatures_that_may_count() -> None:
    mail = signed(signed(signed(MAIL), domain="stranger.example"), selector="Other")
    assert signature_names(mail) == ["other._domainkey.sender.example", KEY_NAME]


def test_ten_signatures_at_most_are_considered() -> None:
    mail = MAIL
    for number in range(12):
        mail = signed(mail, selector=f"s{number}")
    assert signature_names(mail) == [f"s{number}._domainkey.sender.example" for number in range(11, 1, -1)]


# --- known answers of others ---

RFC8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""
RFC8463_KEYS = {
    "brisbane": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test": "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J"
    "16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3Q"
    "IDAQAB",
}


@pytest.mark.parametrize("selector", ["brisbane", "test"])
def test_the_mail_in_rfc_8463_verifies(server: NameServer, selector: str) -> None:
    zone = {f"{selector}._domainkey.football.example.com": txt(RFC8463_KEYS[selector])}
    authentication = verdict(server, RFC8463, zone)
    assert (authentication.dkim, authentication.selector) == (VERIFIED, selector)


SIGNED_CORPUS = [path for path in sorted(CORPUS.rglob("*.eml")) if b"\nDKIM-Signature:" in path.read_bytes()]


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the shared corpus beside the checkout")
def test_real_mails_are_undetermined_while_dns_is_silent(server: NameServer) -> None:
    server.otherwise = SILENT
    try:
        authentications = {
            path.name: verdict(server, path.read_bytes(), {}, seconds=0.3, now=dated(path.read_bytes()))
            for path in SIGNED_CORPUS
        }
    finally:
        server.otherwise = NXDOMAIN
    assert len(authentications) >= 5
    assert {
        name: authentication.reason
        for name, authentication in authentications.items()
        if authentication.dkim != UNDETERMINED
    } == {}
    assert {authentication.reason.split(":")[0] for authentication in authentications.values()} == {
        "signature of google.com",
        "signature of microsoft.com",
    }


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the shared corpus beside the checkout")
@pytest.mark.parametrize("name", ["mjl-+mox/example.eml", "mjl-+mox/microsoft.eml"])
def test_bodies_of_real_mails_hash_as_their_senders_said(name: str) -> None:
    """Google's and Microsoft's; the other real mails in the corpus were edited by those who published them."""
    mail = ParsedMail((CORPUS / name).read_bytes())
    ((_, signature),) = signatures(mail)
    assert isinstance(signature, Signature)
    assert mail.relaxed_body_hash == signature.body_hash


def dated(mail: bytes) -> dt.datetime:
    """When a mail was written."""
    return email.utils.parsedate_to_datetime(email.message_from_bytes(mail)["Date"])


def test_labels_of_the_tables_are_distinct() -> None:
    names = [str(case.id) for case in itertools.chain(GOOD, BAD)]
    assert len(names) == len(set(names))


DOMAIN_FIELD = b"TLS-Report-Domain: receiver.example\r\n"
WITH_DOMAIN = (*FROM_FIELDS, "tls-report-domain")


@pytest.mark.parametrize(
    ("mail", "fields", "trusted", "why"),
    [
        (DOMAIN_FIELD + MAIL, WITH_DOMAIN, True, "signed"),
        (DOMAIN_FIELD + MAIL, FROM_FIELDS, False, "not signed: anybody may have added it"),
        (b"TLS-Report-Domain: other.example\r\n" + DOMAIN_FIELD + MAIL, WITH_DOMAIN, False, "a second one"),
        (DOMAIN_FIELD * 2 + MAIL, (*WITH_DOMAIN, "tls-report-domain"), False, "two, although both are signed"),
        (MAIL, FROM_FIELDS, True, "none to be believed"),
    ],
)
def test_a_domain_field_counts_only_when_it_is_signed(
    server: NameServer, mail: bytes, fields: tuple[str, ...], trusted: bool, why: str
) -> None:
    authentication = verdict(server, signed(mail, fields=fields), txt(record()))
    assert (authentication.dkim, authentication.names_domain) == (VERIFIED, trusted), why


@pytest.mark.parametrize(
    ("make", "zone", "wrong", "why"),
    [
        (lambda: signed(MAIL) + b"more\r\n", txt(record()), True, "another body"),
        (lambda: signed(MAIL) + b"more\r\n", NXDOMAIN, True, "another body, and the key is gone"),
        (lambda: signed(MAIL).replace(b"Subject: ", b"Subject: x", 1), txt(record()), True, "another header"),
        (lambda: signed(MAIL), NXDOMAIN, False, "the key is gone"),
        (lambda: signed(MAIL, x=later(days=-9), t=later(days=-12)), txt(record()), False, "expired"),
        (lambda: MAIL, None, False, "not signed"),
    ],
)
def test_a_wrong_signature_is_told_from_one_that_is_out_of_date(
    server: NameServer, make: Make, zone: Any, wrong: bool, why: str
) -> None:
    assert verdict(server, make(), zone).wrong is wrong, why
