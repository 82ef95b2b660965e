"""Where fuzzing begins: valid inputs of every kind, made from the golden inputs, and words that the parsers know."""

import bz2
import datetime as dt
import functools
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests import forms, signing
from tests.goldens import INPUTS, POLICY, tarred
from tests.support import CORPUS

NOW = dt.datetime(2026, 3, 15, 12, tzinfo=dt.UTC)
MAX_SEED = 16 * 1024

# No secret: the key of all zeros, so that seeds are the same in every process.
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))

MAIL_WORDS = [
    *(b"Content-Type: ", b"multipart/report; boundary=", b"message/rfc822", b"application/tlsrpt+gzip", b"text/plain"),
    *(b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"x-uuencode", b"begin 644 a\n", b"8bit"),
    *(
        b"Content-Disposition: attachment; filename=",
        b"filename*0*=utf-8''%00",
        b"charset=",
        b"utf-7",
        b"idna",
        b"rot13",
    ),
    *(
        b"base-64",
        b"message/rfc822\r\nContent-Transfer-Encoding: base64",
        b"application/pkcs7-mime",
        b"--b1\r\nContent-",
    ),
    *(b"\xef\xbb\xbf", b"H4sIAAAA", b"From: a\r\nTo: b\r\n\r\n", b"=3D", b"=\r\n", b"\nend\n", b"=?utf-8?q?=C3=BC?="),
    *(b"TLS-Report-Domain: ", b"TLS-Report-Submitter: ", b"From: ", b"Subject: ", b"=?utf-8?b?", b"=?x?q?=00?="),
    *(
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\n--",
        b"--",
        b"\r\n ",
        b"\0",
        b"\xff",
        b"a!b.example!1!2.json",
        b"%s",
        b";",
    ),
]
JSON_WORDS = [
    *(
        json.dumps(word).encode()
        for word in ("policies", "policy", "summary", "failure-details", "date-range", "mx-host")
    ),
    *(json.dumps(word).encode() for word in ("policy-string", "policy-domain", "policy-type", "result-type", "sts")),
    *(
        b'"start-datetime":',
        b'"end-datetime":',
        b'"2026-03-14T23:59:60Z"',
        b'"9999-12-31T23:59:59-14:00"',
        b"0001-01-01",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"0.5",
        b"1E5",
    ),
    *(b"9007199254740993", b"18446744073709551616", b"9" * 400, b"\\u0000", b"\\ud800", b"\\udc00", b"\xef\xbb\xbf"),
    *(
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"\x0c",
        b"\0",
        b"xn--",
        "ß.example".encode(),
        b".",
        b"*.",
    ),
]
PACKED_WORDS = [
    *(b"\x1f\x8b\x08", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"x\x9c", b"BZh91AY&SY", b"\xfd7zXZ\0"),
    *(b"\x28\xb5\x2f\xfd", b"ustar\000", b"L", b"x", b"30 path=", b"\x80", b"H4sIAAAA", b"begin 644 a\n", b"\nend\n"),
    *(b"\x30\x80", b"\xa0\x80", b"\x24\x80", b"\x04\x03", b"\0\0", b"\x84\xff\xff\xff\xff", b"\xff\xfe\0\0"),
]
DKIM_WORDS = [
    *(b"DKIM-Signature:", b" v=1;", b" a=ed25519-sha256;", b" a=rsa-sha256;", b" a=rsa-sha1;", b" c=relaxed/simple;"),
    *(b" d=sender.example;", b" d=a..b;", b" d=example;", b" s=s1;", b" l=1;", b" i=@", b" i=sender.example;", b" t="),
    *(b" x=", b" h=from", b":from", b" bh=", b" b=", b"=", b";", b"q=dns/txt", b"q=dns/other", b"9" * 13, b"\xc3\x9f"),
    *(
        b"\r\n\t",
        b"\r\n ",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" " * 199,
        b"From: ",
        b'"',
        b"(",
        b")",
        b"<",
        b">",
        b"@",
        b"\\",
        b",",
    ),
]
POLICY_WORDS = [
    *(b"version: STSv1", b"mode: enforce", b"mode: enforced", b"mode: none", b"mx: *.", b"mx: ", b"max_age: 31557600"),
    *(b"max_age: ", b"\r\n", b"\n", b"\r", b":", b"=", b"\xef\xbb\xbf", b"\xc2\xa0", b"<html>", b"#", b"id: 1", b"\\n"),
    *(
        "xn--",
        "ß",
        "İ",
        "\u200b",
        "١",
        "۰",
        "²",
        "[192.0.2.1]",
        "[IPv6:",
        "192.0.2.1",
        "mx1.receiver.example",
        "v=STSv1; id=1",
    ),
]
RECORD_WORDS = [
    *(
        "v=TLSRPTv1",
        "v=STSv1",
        ";",
        " ",
        "\t",
        "rua=",
        "mailto:",
        "https://",
        "id=",
        ",",
        "%2C",
        "%",
        "%zz",
        "!10m",
        "[",
        "]",
    ),
    *(
        "http://[",
        "https://[::1",
        "//",
        "@",
        "?",
        "#",
        "\n",
        '"',
        "\\;",
        "\u2028",
        "İ",
        "\x00",
        "xn--",
        "x" * 64,
        ":99999",
    ),
]
SMTP_WORDS = [
    *(
        b"EHLO a\r\n",
        b"HELO a\r\n",
        b"MAIL FROM:<a@b.example>",
        b" SIZE=",
        b" BODY=8BITMIME",
        b" SMTPUTF8",
        b"AUTH PLAIN AA==",
    ),
    *(b"RCPT TO:<reports@receiver.example>\r\n", b"DATA\r\n", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n..", b"RSET\r\n"),
    *(
        b"NOOP\r\n",
        b"VRFY a\r\n",
        b"HELP\r\n",
        b"EXPN a\r\n",
        b"STARTTLS\r\n",
        b"QUIT\r\n",
        b"BDAT 1 LAST\r\n",
        b"<",
        b">",
    ),
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"@",
        b'"',
        b"<>",
        b"\xc3\xa9",
        b" NOTIFY=NEVER",
        b"SIZE=-1",
        b"\xed\xa0\x80",
    ),
]


def encoded(words: Iterable[bytes | str]) -> list[bytes]:
    """The words as bytes."""
    return [word if isinstance(word, bytes) else word.encode() for word in words]


def named(*endings: str) -> list[bytes]:
    """The golden inputs with these endings, and such files of the shared corpus as are there."""
    golden = [data for name, data in INPUTS.items() if name.endswith(endings)]
    paths = sorted(path for ending in endings for path in CORPUS.rglob(f"*{ending}")) if CORPUS.is_dir() else []
    return [data for data in (*golden, *(path.read_bytes() for path in paths[:200])) if len(data) <= MAX_SEED]


def mail_forms() -> list[bytes]:
    """A report mail in each form that is read, and what is only named."""
    named_only = [forms.forward(forms.part(data, kind, "a")) for data, kind, _ in forms.UNOPENED.values()]
    return [data for data in (*forms.MAILS.values(), *named_only) if len(data) <= MAX_SEED]


def document_forms() -> list[bytes]:
    """A report document in each form, and signed messages, which only a mail's reader opens."""
    wrapped = [forms.signed(forms.der(0x04, forms.ENTITY)), forms.signed(forms.IN_PIECES, indefinite=True)]
    return [data for data in (*forms.bare_documents(), *wrapped) if len(data) <= MAX_SEED]


@functools.cache
def signed_mails() -> list[bytes]:
    """Report mails whose signature holds under KEY, one a style."""
    mail = INPUTS["google-usual.eml"]
    header, _, body = mail.partition(b"\r\n\r\n")
    other_fields = [line for line in header.split(b"\r\n") if not line.lower().startswith(b"from:")]
    mail = b"\r\n".join([b"From: Reports <reports@sender.example>", *other_fields]) + b"\r\n\r\n" + body
    moment = int(NOW.timestamp()) - 60
    styles = ("relaxed/relaxed", "simple/simple", "relaxed/simple")
    return [signing.signed(mail, key=KEY, canonicalization=style, t=moment) for style in styles]


@functools.cache
def dialogues() -> list[bytes]:
    """SMTP from the client's side: usual, pipelined, refused, several mails, wrong orders."""
    envelope = b"MAIL FROM:<tls@sender.example>\r\nRCPT TO:<reports@receiver.example>\r\nDATA\r\n"
    mail = INPUTS["line-feeds-only.eml"][:200] + b"\r\n..dots\r\n.\r\n"
    return [
        b"EHLO sender.example\r\n" + envelope + mail + b"QUIT\r\n",
        b"HELO a\r\n" + envelope + mail + envelope + mail,
        b"EHLO a\r\nMAIL FROM:<> SIZE=100 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<postmaster@receiver.example>\r\nRSET\r\nNOOP\r\n",
        b"EHLO a\r\n"
        + envelope
        + b"a: b\r\n\r\n"
        + b"x" * 3000
        + b"\r\n.\r\nVRFY a\r\nHELP\r\nEXPN a\r\nAUTH LOGIN\r\nQUIT\r\n",
        b"DATA\r\nRCPT TO:<a>\r\nMAIL FROM:a\r\nEHLO\r\n\r\n\xff\xfe\r\nSTARTTLS\r\n" + envelope + b".\r\n",
    ]


@functools.cache
def mailboxes() -> list[bytes]:
    """mbox, zip and tar, plain and compressed, as people keep them; Apple Mail's files, and UTF-16."""
    mails = [INPUTS[name] for name in ("google-usual.eml", "line-feeds-only.eml", "none-human-only.eml")]
    mbox = b"".join(b"From a@b Sat Mar 14 10:00:00 2026\n" + mail + b"\n>From here\n\n" for mail in mails)
    archives = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, data in (("a.eml", mails[0]), ("b.mbox", mbox), ("c/d.json", INPUTS["bom-utf8.json"])):
                archive.writestr(zipfile.ZipInfo(name), data)
        archives.append(file.getvalue())
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("inner.zip"), archives[1])
    tape = tarred(**{"a.eml": mails[0], "b.mbox": mbox, "c.json": INPUTS["bom-utf8.json"], "n" * 120: b"{}"})
    packed = [lzma.compress(tape), bz2.compress(tape), gzip.compress(tape, mtime=0), lzma.compress(mbox)]
    apple = b"%d \n" % len(mails[0]) + mails[0] + b"<?xml version='1.0'?>"
    wide = mails[0].decode().encode("utf-16")
    return [mbox, mbox.replace(b"\n", b"\r\n"), *archives, outer.getvalue(), tape, *packed, apple, wide]


def policy_files() -> list[bytes]:
    """Policy files, and what is taken for one."""
    usual = "\r\n".join(POLICY).encode() + b"\r\n"
    return [
        usual,
        usual.replace(b"\r\n", b"\n").replace(b": ", b":"),
        b"version: STSv1\nmode: none\nmax_age: 86400\n",
        b"<html><body>404</body></html>",
        b"v=STSv1; id=20260314;\nmode = enforce\nMX: a.example mx: b.example\nmax_age: 1,000\nmax-age: 5\n",
    ]


def records() -> list[bytes]:
    """TXT records of both kinds, several at a name on lines of their own."""
    return [
        b"v=TLSRPTv1; rua=mailto:reports@receiver.example,https://receiver.example/v1/tlsrpt",
        b"v=TLSRPTv1;rua=mailto:a@b.example!10m;extension=1\nv=spf1 -all",
        b"v=STSv1; id=20160831085700Z;",
        b"v=STSv1; id=a-b; mode=enforce\nv=STSv1;id=1\n v = stsv1",
        b"v=TLSRPTv1; rua=http://[::1/x, mailto:%zz@, ftp:a",
    ]
