"""Cuts a streamed body into lines without ever holding more than one line and one piece of it."""

from collections.abc import AsyncIterator
from typing import NamedTuple


class Line(NamedTuple):
    """One line without its end. `content` is None where it was longer than allowed, and thrown away."""

    number: int
    content: bytes | None


async def split_lines(pieces: AsyncIterator[bytes], *, line_bytes_max: int) -> AsyncIterator[list[Line]]:
    """The lines of each piece that came in, numbered from 1; the last one needs no line feed."""
    number = 1
    rest = b""
    overlong = False
    async for piece in pieces:
        parts = piece.split(b"\n")
        lines: list[Line] = []
        if len(parts) > 1:
            first = rest + parts[0]
            lines.append(Line(number, None if overlong or len(first) > line_bytes_max else _bare(first)))
            number += 1
            overlong = False
            for part in parts[1:-1]:
                lines.append(Line(number, _bare(part) if len(part) <= line_bytes_max else None))
                number += 1
            rest = parts[-1]
        elif not overlong:
            rest += piece
        if len(rest) > line_bytes_max:
            overlong = True
        if overlong:
            rest = b""
        if lines:
            yield lines
    if overlong or rest:
        yield [Line(number, None if overlong else _bare(rest))]


def _bare(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line
