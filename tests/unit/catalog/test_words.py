"""Which words find a product: one rule for what is kept and for what is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.domain import products, words
from services.catalog.domain.products import Product
from services.chassis.errors import FieldInvalid
from tests.unit.catalog.drafts import product, variant

SPACED = "abcXYZñÑéüßçİΣςЖй019"
UNSPACED = "ตุ๊กาแพนด้วิกผมบำ真人发波头假熊猫𠀀"


def stored(**changed: Any) -> Product:
    """A product in normal form."""
    return products.validated(product(**changed))


def finds(query: str, one: Product) -> bool:
    """What the index does."""
    kept = words.kept(one)
    return all(any(word.startswith(asked) for word in kept) for asked in words.asked(query))


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Peluca española de SEDA", "ESPANOLA peluca"),
        ("Peluca espanola", "española"),
        ("Two wigs", "wig"),
        ("Straße", "STRASSE"),
        ("Ｓｉｌｋ　ｗｉｇ", "silk wig"),
        ("Silk wig", "ＳＩＬＫ"),
        ("Hair-clip, 18 inch", "clip 18"),
        ("ตุ๊กตาแพนด้า", "แพนด้า"),
        ("ตุ๊กตาแพนด้า", "ตุ๊กตา"),
        ("น้ำหอม", "น้ำ"),
        ("真人发波波头假发", "假发"),
        ("真人发波波头假发", "发"),
        ("毛绒熊猫", "猫"),
        ("iPhone手机壳", "手机 iphone"),
        ("リボンが赤い", "が赤"),
        ("वायरलेस हेडफ़ोन", "हेडफ़ोन"),
        ("سماعات لاسلكية", "سماعات"),
    ],
)
def test_a_title_is_found_in_whatever_way_it_is_written(title: str, query: str) -> None:
    assert finds(query, stored(titles={"en": title}))


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Silk wig", "silk hat"),
        ("Silk wig", "ilk"),
        ("ตุ๊กตาแพนด้า", "แมว"),
        ("真人发", "假发"),
        ("Wig 18", "180"),
    ],
)
def test_what_has_not_every_word_is_not_found(title: str, query: str) -> None:
    plain = [variant(sku="X", options={})]
    assert not finds(query, stored(titles={"en": title}, category="", variants=plain))


def test_skus_options_and_the_category_are_found_too() -> None:
    one = stored(
        titles={"en": "Bob"},
        category="hair/lace-wigs",
        variants=[variant(sku="WIG-BOB-14", options={"colour": "Castaño"})],
    )
    for query in ("WIG-BOB-14", "wig-bob", "bob castano", "lace", "hair wigs"):
        assert finds(query, one), query


@given(st.text())
def test_what_is_folded_is_not_folded_further(text: str) -> None:
    once = words.folded(text)
    assert words.folded(once) == once


@given(st.text(SPACED + " -/", min_size=1, max_size=60), st.data())
def test_a_title_is_found_by_the_beginning_of_each_of_its_words(title: str, data: st.DataObject) -> None:
    parts = title.replace("-", " ").replace("/", " ").split()
    one = stored(titles={"en": title})
    for part in parts:
        begun = part[: data.draw(st.integers(1, len(part)))]
        assert finds(begun, one)
        assert finds(begun.upper(), one)
        assert finds(begun.lower(), one)


@given(st.text(UNSPACED, min_size=1, max_size=60), st.data())
def test_a_title_without_spaces_is_found_by_any_part_of_it(title: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(title) - 1))
    part = title[start : start + data.draw(st.integers(1, len(title)))]
    assert finds(part, stored(titles={"en": f"Panda {title}, new"}))


@given(st.text())
def test_no_word_has_what_the_database_reads_as_syntax(text: str) -> None:
    try:
        asked = words.asked(text)
    except FieldInvalid:
        return
    for word in asked:
        assert 0 < len(word) <= words.WORD_CHARS_MAX
        assert not set(word) & set("'\\:*&|!()<> \t\n\0")
        assert not any(character.isspace() for character in word)


@pytest.mark.parametrize("query", [" ", "!?", "- / -", "💇", "\0", "a" * 101])
def test_a_query_without_words_or_too_long_a_one_is_refused(query: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        words.asked(query)
    assert refused.value.field == "query"


def test_long_words_are_cut_alike_and_still_found() -> None:
    long = "x" * 90
    assert finds(long, stored(titles={"en": long}))
    assert finds(long[:40], stored(titles={"en": long}))


def test_so_many_words_are_kept_and_the_titles_come_first() -> None:
    many = [
        variant(
            sku=f"S{number}", options={f"o{one}": f"w{number}x{one} v{number}y{one}" for one in range(10)}
        )
        for number in range(100)
    ]
    one = stored(titles={"en": "Panda", "th": "แพนด้า"}, variants=many)
    assert len(words.kept(one)) == words.WORDS_MAX
    assert finds("panda แพนด้า", one)
