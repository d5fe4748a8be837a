"""Ids of a stream's events are places in a topic, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import positions

OFFSETS = st.lists(st.integers(0, positions.OFFSET_MAX), min_size=1, max_size=100)


@given(OFFSETS)
def test_an_id_is_its_place(offsets: list[int]) -> None:
    text = positions.encode(offsets).decode()
    assert positions.decode(text) == offsets
    # It is sent as a header, and in a line of its own.
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=50))
def test_a_text_is_refused_or_is_the_only_id_of_its_place(text: str) -> None:
    try:
        offsets = positions.decode(text)
    except ValueError:
        return
    assert positions.encode(offsets).decode() == text


@pytest.mark.parametrize(
    "text",
    ["", "AQ", "AQA=", "AYA", "AgA", "AQ A", "7", "é", "A" * (positions.CHARS_MAX + 1)],
    ids=["empty", "no offset", "padded", "unfinished", "other format", "a space", "a number", "é", "long"],
)
def test_what_was_never_an_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        positions.decode(text)
