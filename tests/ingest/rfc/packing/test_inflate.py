"""Decompression within limits, whatever the bytes are."""

import gzip
import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.packing import kinds
from ingest.rfc.packing.inflate import MAX_GZIP_MEMBERS, MAX_ZIP_MEMBERS, InflateError, Plain, documents
from tests.goldens import packed, zipped

LIMIT = 100_000


def plain(data: bytes, limit: int = LIMIT) -> list[bytes]:
    """Raises what hinders, in a file of an archive too."""
    inflated = list(documents(data, limit))
    for failure in (content.failure for content in inflated if content.failure):
        raise InflateError(failure)
    return [content.data for content in inflated]


def nest(inner: bytes, layers: int) -> bytes:
    """Archives in archives, 30 of them in each."""
    for _ in range(layers):
        inner = zipped(**{f"n{number}": inner for number in range(30)})
    return inner


def other_method() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"{}")
    return buffer.getvalue()


@given(
    st.binary(max_size=2_000),
    st.lists(st.sampled_from([packed, zlib.compress, lambda data: zipped(x=data)]), max_size=3),
)
def test_what_was_packed_comes_out(data: bytes, layers: list) -> None:  # type: ignore[type-arg]
    if kinds.is_packed(data):
        data = b"{" + data
    whole = data
    for layer in layers:
        whole = layer(whole)
    assert plain(whole) == [data]


@given(st.binary(max_size=500), st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"\x78\x9c"]))
def test_any_bytes_stay_within_the_limit_or_are_refused(data: bytes, start: bytes) -> None:
    try:
        assert sum(map(len, plain(start + data, 1_000))) <= 1_000
    except InflateError as refusal:
        assert str(refusal)


layers = st.lists(
    st.sampled_from([packed, zlib.compress, lambda data: zipped(x=data), lambda data: zipped(x=data, y=data)]),
    max_size=4,
)


@given(st.binary(max_size=300), layers, st.integers(0, 2_000), st.integers(0, 60), st.binary(max_size=3))
def test_layers_cut_and_broken_anywhere_stay_within_the_limit(
    data: bytes, packing: list, limit: int, at: int, broken: bytes
) -> None:  # type: ignore[type-arg]
    whole = data * 7
    for layer in packing:
        whole = layer(whole)
    at = len(whole) * at // 60
    for hostile in (whole, whole[:at], whole[:at] + broken + whole[at + len(broken) :]):
        try:
            assert sum(map(len, plain(hostile, limit))) <= limit
        except InflateError as refusal:
            assert str(refusal)


def test_many_members_are_not_copied_over_and_over() -> None:
    """zlib is fed one piece for each, not all that follows: 2 MiB of empty members took 2 s, growing with the square."""
    fed = 0

    class Counting:
        def __init__(self, inflater: "zlib._Decompress") -> None:
            self._inflater = inflater

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal fed
            fed += len(data)
            return self._inflater.decompress(data, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._inflater, name)

    real = zlib.decompressobj
    members = packed(b"x" * 100) * 9_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zlib, "decompressobj", lambda bits: Counting(real(bits)))
        plain(members, 1_000_000)
    assert fed <= 9_000 * 65_536


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))
def test_several_gzip_members_are_one_document(parts: list[bytes]) -> None:
    whole = b"{" + b"".join(parts)
    assert plain(packed(b"{" + parts[0]) + b"".join(packed(part) for part in parts[1:])) == [whole]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed(b"x" * (LIMIT + 1)), "inflates to more than 100000 bytes"),
        (b"x" * (LIMIT + 1), "larger than 100000 bytes"),
        (zipped(a=b"x" * (LIMIT // 2 + 1), b=b"x" * (LIMIT // 2 + 1)), "inflates to more than"),
        (zipped(a=b"x" * (LIMIT + 1)), "inflates to more than"),
        (packed(b"x" * 500)[:20], "ends in the middle"),
        (b"\x1f\x8bnonsense", "damaged compressed data"),
        (packed(packed(packed(packed(b"{}")))), "compressed more than 3 times"),
        (zipped(**{f"n{number}": b"" for number in range(MAX_ZIP_MEMBERS + 1)}), "more than 100 files"),
        (zipped(**{f"n{number}": packed(b"x" * 9_000) for number in range(20)}), "inflates to more than"),  # in all
        (nest(zipped(), 2), "more than 100 files"),  # in all: 30 + 30 * 30
        (b"".join([packed(b"")] * (MAX_GZIP_MEMBERS + 1)), "more than 10000 compressed parts"),
        (zipped(ä=b"{}").replace("ä".encode(), b"\xc3("), "cannot be read: 'utf-8' codec"),
        (zipped(**{"n" * 60_000 + str(number): b"" for number in range(5)}), "table of contents"),
        (other_method(), "it uses method 14"),
        (zipped(a=b"{}")[:-10], "zip archive that cannot be read"),
        (zipped(a=b"{}" * 500).replace(struct.pack("<L", zlib.crc32(b"{}" * 500)), b"\0\0\0\0"), "cannot be read"),
    ],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(InflateError) as refusal:
        plain(data)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("after", "notes"),
    [
        (b"\0" * 100, []),
        (b"trailing", ["8 bytes after the end of the compressed data were ignored"]),
        (b"\x1f\x8bnot gzip", ["bytes after the end of the compressed data were ignored"]),
    ],
)
def test_what_follows_a_whole_member_is_noted(after: bytes, notes: list[str]) -> None:
    (content,) = documents(packed(b"{}") + after, LIMIT)
    assert content.data == b"{}"
    assert [note.partition(":")[0] for note in content.notes] == notes


def test_a_bomb_costs_its_limit_only() -> None:
    bomb = gzip.compress(bytes(50 * 1024 * 1024), mtime=0)
    with pytest.raises(InflateError, match="inflates to more than 1000 bytes"):
        plain(bomb, 1_000)


def test_an_encrypted_archive_is_refused_in_words() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"{}")
    data = bytearray(buffer.getvalue())
    for marker in (b"PK\x03\x04", b"PK\x01\x02"):  # set the "encrypted" bit in both headers
        at = data.index(marker) + (6 if marker.endswith(b"\x04") else 8)
        data[at] |= 1
    with pytest.raises(InflateError, match="cannot be read"):
        plain(bytes(data))


def test_a_document_larger_than_a_chunk_is_whole() -> None:
    assert plain(packed(b"x" * 90_000)) == [b"x" * 90_000]


def test_an_archive_whose_file_has_no_name_is_read() -> None:
    """Python 3.11's ZipInfo.is_dir raises IndexError on it (found by fuzzing). A name ends at its first NUL."""
    assert list(documents(zipped(Q=b"{}").replace(b"Q", b"\0"), 100)) == [Plain("", b"{}", (), "a zip archive")]
