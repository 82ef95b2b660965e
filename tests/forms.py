"""Reports in the forms that forwarders, gateways and people give them, each a whole mail or a bare document.

``MAILS`` and ``DOCUMENTS`` hold GOOD about receiver.example; ``UNOPENED`` what is only named, with a word of the advice.
"""

import base64
import binascii
import bz2
import io
import lzma
import quopri
import tarfile
from collections.abc import Iterator

from tests.goldens import GOOD, HUMAN, mail, multipart, packed, part, report, text, usual, zipped
from tests.goldens import entry as policy_entry

JSON = text(GOOD)
# Found only by the header of its own message.
NAMELESS = text(report(policy_entry(41, 6, policy_domain=...)))
USUAL = usual(GOOD)
INNER = mail(multipart(HUMAN, part(packed(NAMELESS), name=""), boundary="inner"))


def lines(data: bytes, width: int = 76) -> str:
    """Base64 in lines."""
    whole = base64.b64encode(data).decode()
    return "".join(whole[at : at + width] + "\r\n" for at in range(0, len(whole), width))


def uuencoded(data: bytes, name: str = "report.json.gz") -> str:
    """What ``uuencode`` prints."""
    body = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return f"begin 644 {name}\n{body.decode()}`\nend\n"


def written(body: str | bytes, content_type: str = "text/plain; charset=utf-8", label: str = "7bit") -> str:
    """A part whose body stands there as it is, whatever its label."""
    body = body.decode() if isinstance(body, bytes) else body
    return f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {label}\r\n\r\n{body}"


def forward(*parts: str) -> bytes:
    """Somebody's mail around a report: no header of it says anything about a domain."""
    return mail(multipart(HUMAN, *parts, kind="mixed", boundary="outer"), domain="", submitter="")


def encoded_message(message: bytes, label: str = "base64") -> str:
    """A forwarded message as Gmail attaches it."""
    body = lines(message) if label == "base64" else quopri.encodestring(message).decode()
    return written(body, "message/rfc822", label)


def tarred(members: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar archive, with a folder and a link in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        folder, link = tarfile.TarInfo("folder"), tarfile.TarInfo("link")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(folder)
        archive.addfile(link)
        for name, data in members.items():
            described = tarfile.TarInfo(name)
            described.size = len(data)
            archive.addfile(described, io.BytesIO(data))
    return buffer.getvalue()


def der(tag: int, *content: bytes, indefinite: bool = False) -> bytes:
    """A value in DER or, ``indefinite``, in BER (X.690 section 8.1.3)."""
    body = b"".join(content)
    if indefinite:
        return bytes([tag, 0x80]) + body + b"\0\0"
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    octets = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 + octets]) + len(body).to_bytes(octets, "big") + body


SIGNED_DATA = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_DATA = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"


def signed(octets: bytes, *, indefinite: bool = False) -> bytes:
    """CMS SignedData without a signer around ``octets``, the encoded octet string (RFC 5652 section 5.1)."""
    content = der(0x30, _DATA, der(0xA0, octets, indefinite=indefinite), indefinite=indefinite)
    inner = der(0x30, b"\x02\x01\x01", der(0x31), content, der(0x31), indefinite=indefinite)
    return der(0x30, SIGNED_DATA, der(0xA0, inner, indefinite=indefinite), indefinite=indefinite)


ENTITY = multipart(HUMAN, part(packed(JSON))).encode()
IN_PIECES = der(0x24, *(der(0x04, ENTITY[at : at + 100]) for at in range(0, len(ENTITY), 100)), indefinite=True)
PKCS7 = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
GZ64 = lines(packed(JSON))
NO_BOUNDARY = USUAL.replace(b'; boundary="b1"', b"")

MAILS: dict[str, bytes] = {
    "message/rfc822 in base64": forward(encoded_message(INNER)),
    "message/rfc822 in quoted-printable": forward(encoded_message(INNER, "quoted-printable")),
    "message/rfc822 in quoted-printable, torn in its header": forward(
        encoded_message(b"X-Long: " + b"word" * 40 + b"\r\n" + INNER, "quoted-printable")
    ),
    "message/rfc822 that claims base64 and is plain": forward(written(INNER, "message/rfc822", "base64")),
    "message/rfc822 that claims quoted-printable and is plain": forward(
        written(INNER, "message/rfc822", "quoted-printable")
    ),
    "message/rfc822 in an unknown encoding": forward(written(lines(INNER), "message/rfc822", "base-64")),
    "message/global in base64": forward(encoded_message(INNER).replace("rfc822", "global")),
    ".eml as octet-stream": forward(part(INNER, "application/octet-stream", "report.eml")),
    ".eml as text": forward(written(INNER)),
    ".eml with a byte order mark as text": forward(written(b"\xef\xbb\xbf" + INNER)),
    ".eml in UTF-16 as octet-stream": forward(
        part(b"\xff\xfe" + INNER.decode().encode("utf-16-le"), "application/octet-stream", "report.eml")
    ),
    ".eml, gzipped": forward(part(packed(INNER), "application/gzip", "report.eml.gz")),
    "zip of a mail": forward(part(zipped(report__eml=INNER), "application/zip", "r.zip")),
    "zip of a mail and a text": forward(part(zipped(a__txt=b"hello", report__eml=INNER), "application/zip", "r.zip")),
    "tar of a report": forward(part(tarred({"r.json": JSON}), "application/x-tar", "r.tar")),
    "tar.gz of a report": forward(part(packed(tarred({"r.json": JSON})), "application/gzip", "r.tar.gz")),
    "tar.gz of a gzipped report": forward(
        part(packed(tarred({"r.json.gz": packed(JSON)})), "application/gzip", "r.tgz")
    ),
    "tar.gz of a mail": forward(part(packed(tarred({"r.eml": INNER})), "application/gzip", "r.tar.gz")),
    "zip of a tar.gz": forward(part(zipped(r__tar__gz=packed(tarred({"r.json": JSON}))), "application/zip", "r.zip")),
    "a mail in base64 in a zip in a mail in base64": forward(
        encoded_message(forward(part(zipped(r__eml=forward(encoded_message(INNER))), "application/zip", "r.zip")))
    ),
    "base64 that claims 7bit": mail(multipart(HUMAN, written(GZ64, "application/tlsrpt+gzip"))),
    "base64 that claims 7bit, as octet-stream": mail(multipart(HUMAN, written(GZ64, "application/octet-stream"))),
    "base64 under an unknown label": mail(multipart(HUMAN, written(GZ64, "application/tlsrpt+gzip", "base-64"))),
    "base64 that claims quoted-printable": mail(
        multipart(HUMAN, written(GZ64, "application/tlsrpt+gzip", "quoted-printable"))
    ),
    "base64 without a label": mail(multipart(HUMAN, f"Content-Type: application/tlsrpt+gzip\r\n\r\n{GZ64}")),
    "base64 before a list's footer": mail(
        multipart(HUMAN, written(GZ64 + "_______\r\nlist mailing list\r\n", "application/tlsrpt+gzip"))
    ),
    "base64 of JSON that claims 7bit": mail(multipart(HUMAN, written(lines(JSON), "application/tlsrpt+json"))),
    "base64 of a zip that claims 7bit": mail(multipart(HUMAN, written(lines(zipped(a__json=JSON)), "application/zip"))),
    "base64 of a tar that claims 7bit": mail(
        multipart(HUMAN, written(lines(tarred({"a.json": JSON})), "application/x-tar"))
    ),
    "base64 twice": mail(multipart(HUMAN, part(GZ64.encode()))),
    "base64 three times": mail(multipart(HUMAN, part(lines(GZ64.encode()).encode()))),
    **{  # the library decodes one in four of them to what stands there
        f"JSON that claims base64, {more}": mail(
            multipart(HUMAN, written(text(GOOD | {"report-id": "x" * more}), "application/tlsrpt+json", "base64"))
        )
        for more in range(4)
    },
    "gzip that claims base64": USUAL.replace(b"Content-Transfer-Encoding: base64\r\n\r\n", b"X: y\r\n\r\n").replace(
        GZ64.encode(), packed(JSON)
    ),
    "base64 pasted": mail(written(f"Hello,\r\nthis came today:\r\n\r\n{GZ64}\r\nRegards, A.\r\n")),
    "base64 pasted between lines": mail(written(f"this came today:\r\n{GZ64}Regards, A.\r\n")),
    "base64 pasted in one line": mail(written(f"this came today:\r\n{lines(packed(JSON), 10_000)}")),
    "base64 pasted and quoted": mail(written("Hello\r\n> " + GZ64.replace("\r\n", "\r\n> "))),
    "a mail in base64 pasted": forward(written("Hello\r\n" + lines(INNER))),
    "uuencode in the text": mail(written("Hello\r\n\r\n" + uuencoded(packed(JSON)))),
    "uuencode with line feeds only": mail(written("Hello\n" + uuencoded(packed(JSON)))).replace(b"\r\n", b"\n"),
    "uuencode of a tar": mail(written(uuencoded(tarred({"a.json": JSON}), "a.tar"))),
    "uuencode -m": mail(written(f"begin-base64 644 report.json.gz\r\n{GZ64}====\r\n")),
    "byte order mark before the header": b"\xef\xbb\xbf" + USUAL,
    "empty lines before the header": b"\r\n\r\n" + USUAL,
    "byte order mark and an empty line before the header": b"\xef\xbb\xbf\n" + USUAL,
    "byte order mark behind the header of a mail server": b"Received: by mx.receiver.example\r\n\r\n\xef\xbb\xbf"
    + USUAL,
    "UTF-16 with a byte order mark": b"\xff\xfe" + USUAL.decode().encode("utf-16-le"),
    "UTF-16 without a byte order mark": USUAL.decode().encode("utf-16-be"),
    "UTF-32 without a byte order mark": USUAL.decode().encode("utf-32-le"),
    "S/MIME, opaque": mail(part(signed(der(0x04, ENTITY)), PKCS7, "smime.p7m")),
    "S/MIME, opaque, of indefinite length": mail(part(signed(IN_PIECES, indefinite=True), PKCS7, "smime.p7m")),
    "S/MIME, opaque, in pieces of definite length": mail(
        part(signed(der(0x24, der(0x04, ENTITY[:9]), der(0x04, ENTITY[9:]))), PKCS7, "smime.p7m")
    ),
    "S/MIME, opaque, forwarded in a zip": forward(
        part(zipped(smime__p7m=signed(der(0x04, ENTITY))), "application/zip", "r.zip")
    ),
    "no boundary parameter": NO_BOUNDARY,
    "another boundary than its parameter": USUAL.replace(b'boundary="b1"', b'boundary="b2"'),
    "no Content-Type": USUAL.replace(b"Content-Type: multipart/report; ", b"X-Type: ", 1),
    "no boundary parameter, forwarded": forward(encoded_message(NO_BOUNDARY)),
    "bzip2": mail(multipart(HUMAN, part(bz2.compress(JSON), "application/x-bzip2", "r.json.bz2"))),
    "xz": mail(multipart(HUMAN, part(lzma.compress(JSON), "application/x-xz", "r.json.xz"))),
    "tar.xz": mail(multipart(HUMAN, part(lzma.compress(tarred({"r.json": JSON})), "application/x-xz", "r.tar.xz"))),
}

DOCUMENTS: dict[str, bytes] = {
    "bzip2": bz2.compress(JSON),
    "bzip2 in two streams": bz2.compress(JSON[:100]) + bz2.compress(JSON[100:]),
    "xz": lzma.compress(JSON),
    "xz -9": lzma.compress(JSON, preset=9),
    "xz in two streams, padded": lzma.compress(JSON[:100]) + lzma.compress(JSON[100:]) + b"\0" * 4,
    "tar": tarred({"r.json": JSON}),
    "tar.gz": packed(tarred({"r.json": JSON})),
    "tar.bz2": bz2.compress(tarred({"r.json": JSON})),
    "tar of GNU": tarred({"long/" * 30 + "r.json": JSON}, tarfile.GNU_FORMAT),
    "tar of pax": tarred({"ö" * 120: JSON}, tarfile.PAX_FORMAT),
    "base64": GZ64.encode(),
    "base64 of base64": lines(GZ64.encode()).encode(),
    "uuencode": uuencoded(packed(JSON)).encode(),
    **{
        f"{encoding}{' with a mark' if mark else ''}": mark + JSON.decode().encode(encoding)
        for encoding, mark in (
            ("utf-16-le", b""),
            ("utf-16-be", b""),
            ("utf-32-le", b""),
            ("utf-32-be", b""),
            ("utf-16-be", b"\xfe\xff"),
            ("utf-32-le", b"\xff\xfe\0\0"),
            ("utf-32-be", b"\0\0\xfe\xff"),
        )
    },
    "utf-16-le behind blanks": b"\r\0\n\0" + JSON.decode().encode("utf-16-le"),
}

TNEF = b"\x78\x9f\x3e\x22\x01\0" + b"\x01\x06\x90\x08\0\x04\0\0\0\0\0\0\0\0\0"
ENVELOPED = der(0x30, SIGNED_DATA[:-1] + b"\x03", der(0xA0, der(0x30, b"\x02\x01\0")))
COMPRESSED = der(0x30, b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09", der(0xA0, der(0x30, b"\x02\x01\0")))
UNOPENED: dict[str, tuple[bytes, str, str]] = {
    "Outlook's winmail.dat": (TNEF, "application/ms-tnef", "TNEF"),
    "Outlook message": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "application/vnd.ms-outlook", ".msg, OLE2"),
    "Outlook mailbox": (b"!BDN" + bytes(600), "application/vnd.ms-outlook", "readpst"),
    "encrypted S/MIME": (ENVELOPED, PKCS7.replace("signed", "enveloped"), "is encrypted S/MIME"),
    "compressed S/MIME": (COMPRESSED, PKCS7.replace("signed", "compressed"), "is compressed S/MIME"),
    "PGP": (b"-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n", "application/octet-stream", "is encrypted with PGP"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(60), "application/x-7z-compressed", "7z x"),
    "RAR": (b"Rar!\x1a\x07\1\0" + bytes(60), "application/vnd.rar", "unrar x"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(60), "application/x-lz4", "lz4 -d"),
}


def bare_documents() -> Iterator[bytes]:
    """Every bare document, opened or not, for those who want seeds."""
    yield from DOCUMENTS.values()
    yield from (data for data, _, _ in UNOPENED.values())
