"""Which language a caller gets, and that every title is there in each."""

from __future__ import annotations

import pytest

from services.gateway.catalogue import CATALOGUE
from services.gateway.languages import HEADER_BYTES_MAX, best, ranges_of
from services.gateway.titles import LANGUAGES, language_for, titles_in


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        (None, ()),
        (b"", ()),
        (b"es", ("es",)),
        (b"es-MX, es;q=0.9, en;q=0.5", ("es-mx", "es", "en")),
        (b"en;q=0.2,th ; q = 0.8 , zh-Hans;q=0.9", ("zh-hans", "th", "en")),
        (b"de, fr, de", ("de", "fr")),
        # The default is what `*` asks for; q=0 asks for nothing.
        (b"*, es;q=0, th;q=0.1", ("th",)),
        (b"es;q=high, \xff, a b, -, th", ("th",)),
        (b"es;q=nan", ()),
        (b",".join([b"es"] * HEADER_BYTES_MAX), ()),
    ],
)
def test_a_header_is_its_ranges_the_most_wanted_first(header: bytes | None, ranges: tuple[str, ...]) -> None:
    assert ranges_of(header) == ranges


@pytest.mark.parametrize(
    ("ranges", "tags", "found"),
    [
        (("es",), ("en", "es"), "es"),
        (("es-mx",), ("en", "es"), "es"),
        (("fr", "th"), ("en", "th"), "th"),
        (("fr",), ("en", "th"), None),
        # Exactly what was asked for goes before what begins with it.
        (("es",), ("es-AR", "es"), "es"),
        (("es-mx",), ("en", "es-ES"), "es-ES"),
        (("zh-hant-tw",), ("zh-Hans", "zh-Hant"), "zh-Hant"),
        (("zh-tw",), ("zh-Hans", "zh-Hant"), "zh-Hant"),
        (("zh-cn",), ("zh-Hans", "zh-Hant"), "zh-Hans"),
        (("zh",), ("en", "zh-Hans"), "zh-Hans"),
        (("de-x-old",), ("de",), "de"),
        # `e` is no part of the tag `en`.
        (("e",), ("en",), None),
    ],
)
def test_the_first_range_that_finds_something_decides(
    ranges: tuple[str, ...], tags: tuple[str, ...], found: str | None
) -> None:
    assert best(ranges, tags) == found


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        (b"th-TH,th;q=0.9,en;q=0.8", "th"),
        (b"zh-CN", "zh-Hans"),
        (b"fr", "en"),
        (b"es-419", "es"),
    ],
)
def test_a_title_is_in_a_language_that_there_is(header: bytes | None, language: str) -> None:
    assert language_for(header) == language


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_title_is_there_in_each_language(language: str) -> None:
    titles = titles_in(language)
    assert CATALOGUE.keys() - titles.keys() == set()
    assert all(title.strip() == title != "" for title in titles.values())
