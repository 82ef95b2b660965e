"""What an opaque S/MIME message holds (RFC 8551 section 3.5.2): mail gateways wrap every mail they sign in one.

The signature is not checked here: what a report is trusted for is its DKIM signature (RFC 8460 section 3).
"""

# OpenSSL writes pieces of 4 KiB and more, BouncyCastle of 1,000 bytes; very small ones would only keep the reader busy.
_SMALLEST_PIECES = 256
_FEW_PIECES = 100
_MAX_OCTETS_OF_LENGTH = 4
_SEQUENCE, _SET, _INTEGER, _OBJECT_IDENTIFIER, _EXPLICIT = 0x30, 0x31, 0x02, 0x06, 0xA0
_OCTETS, _OCTETS_IN_PIECES = 0x04, 0x24
_END_OF_CONTENTS = 0x00


class SignedError(ValueError):
    """The message cannot be opened. The text completes "the attachment ..."."""


def content(data: bytes) -> bytes:
    """The signed MIME entity in a CMS SignedData (RFC 5652 section 5.1), in DER or, of indefinite length, in BER.

    Raises SignedError.
    """
    try:
        return _Walk(data).content()
    except IndexError as error:
        raise SignedError("is S/MIME that ends too early") from error


class _Walk:
    """Goes down the one path to the content and skips what lies beside it. Raises IndexError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def content(self) -> bytes:
        for tag in (_SEQUENCE, _OBJECT_IDENTIFIER, _EXPLICIT, _SEQUENCE, _INTEGER, _SET, _SEQUENCE, _OBJECT_IDENTIFIER):
            length = self._enter(tag)
            if tag in (_INTEGER, _SET, _OBJECT_IDENTIFIER):
                self._take(length)
        if self._data[self._at] != _EXPLICIT:
            raise SignedError("is an S/MIME signature without the content it is about")
        self._enter(_EXPLICIT)
        if self._data[self._at] == _OCTETS:
            return self._take(self._enter(_OCTETS))
        return b"".join(self._pieces(self._enter(_OCTETS_IN_PIECES)))

    def _pieces(self, length: int | None) -> list[bytes]:
        end = None if length is None else self._at + length
        pieces: list[bytes] = []
        most = _FEW_PIECES + len(self._data) // _SMALLEST_PIECES
        while self._at < end if end is not None else self._data[self._at] != _END_OF_CONTENTS:
            if len(pieces) == most:
                raise SignedError(f"is S/MIME in more than {most} pieces")
            pieces.append(self._take(self._enter(_OCTETS)))
        return pieces

    def _enter(self, tag: int) -> int | None:
        """Pass over a tag and its length; the length, None when indefinite (X.690 section 8.1.3.6)."""
        if self._data[self._at] != tag:
            raise SignedError(f"is S/MIME that cannot be read: no tag {tag:#04x} at byte {self._at}")
        first = self._data[self._at + 1]
        self._at += 2
        if first <= 0x80:
            return None if first == 0x80 else first
        octets = first - 0x80
        if octets > _MAX_OCTETS_OF_LENGTH:
            raise SignedError("is S/MIME that cannot be read: a length beyond 4 GiB")
        return int.from_bytes(self._take(octets), "big")

    def _take(self, length: int | None) -> bytes:
        if length is None:
            raise SignedError("is S/MIME that cannot be read: an indefinite length where there can be none")
        if self._at + length > len(self._data):
            raise IndexError
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken
