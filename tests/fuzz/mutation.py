"""Mutated inputs from a number: the same ones for the same seeds, for the test suite and where atheris is absent."""

import random
from collections.abc import Callable, Sequence

LONGEST = 256 * 1024


class Mutator:
    """Makes inputs from ``seeds`` and ``words``; ``grow`` also repeats pieces up to LONGEST bytes."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], number: int, *, grow: bool = False) -> None:
        self._seeds = list(seeds) or [b""]
        self._words = list(words) or [b"\0"]
        self._random = random.Random(number)
        self._steps: list[Callable[[bytearray], None]] = [
            *(self._flip, self._flip, self._insert_word, self._insert_word, self._replace_word),
            *(self._remove, self._duplicate, self._splice, self._cut, self._integer),
        ]
        self._grow = grow

    def next(self) -> bytes:
        """Another input."""
        data = bytearray(self._random.choice(self._seeds))
        for _ in range(1 << self._random.randrange(5)):
            self._random.choice(self._steps)(data)
        if self._grow:
            self._repeat(data)
        return bytes(data[:LONGEST])

    def _place(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _piece(self, data: bytes | bytearray) -> tuple[int, int]:
        start = self._random.randint(0, len(data))
        return start, min(len(data), start + self._random.choice((1, 2, 4, 16, 64, 256)))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.choice(
                (0, 9, 10, 13, 32, 255, self._random.randrange(256))
            )

    def _insert_word(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = self._random.choice(self._words)

    def _replace_word(self, data: bytearray) -> None:
        old, new = self._random.choice(self._words), self._random.choice(self._words)
        at = data.find(old, self._place(data))
        if at >= 0:
            data[at : at + len(old)] = new

    def _remove(self, data: bytearray) -> None:
        start, end = self._piece(data)
        del data[start:end]

    def _duplicate(self, data: bytearray) -> None:
        start, end = self._piece(data)
        data[end:end] = data[start:end] * self._random.choice((1, 1, 2, 8))

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._seeds)
        start, end = self._piece(other)
        place = self._place(data)
        data[place : place + self._random.choice((0, end - start))] = other[start:end]

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) :]

    def _integer(self, data: bytearray) -> None:
        place = self._place(data)
        size = self._random.choice((1, 2, 4, 8))
        value = self._random.choice((0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
        data[place : place + size] = value.to_bytes(size, self._random.choice(("little", "big")))

    def _repeat(self, data: bytearray) -> None:
        start, end = self._piece(data)
        if self._random.randrange(2):
            piece = bytes(data[start:end])
        else:
            start, end, piece = end, end, self._random.choice(self._words)
        if piece:
            data[start:end] = piece * self._random.randint(1, max(1, LONGEST // len(piece)))
