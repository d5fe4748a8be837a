"""The storefront says everything in each of its languages, and says nothing that nobody shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[3] / "web"
STOREFRONT = WEB / "storefront"
LANGUAGES = {path.stem: path for path in sorted((STOREFRONT / "texts").glob("*.json"))}

_place = re.compile(r"\{(\w+)\}")
_literal = re.compile(r"[\"`]([a-z][A-Za-z]*(?:\.[A-Za-z_]+)*)[\"`]")
_family = re.compile(r"`([a-z][A-Za-z]*\.)\$\{")


def texts(language: str) -> dict[str, str]:
    """A catalogue, in which no name may stand twice."""

    def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"{language} says something twice"
        return dict(pairs)

    known: dict[str, str] = json.loads(
        LANGUAGES[language].read_text(encoding="utf-8"), object_pairs_hook=once
    )
    return known


def sources() -> str:
    """The storefront's code."""
    return "".join(path.read_text(encoding="utf-8") for path in STOREFRONT.rglob("*.ts*"))


def test_there_are_the_three_languages() -> None:
    assert set(LANGUAGES) == {"en", "es", "th"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_text_and_its_places(language: str) -> None:
    english, other = texts("en"), texts(language)
    assert list(other) == list(english)
    for name, text in other.items():
        assert text.strip() == text != "", name
        assert sorted(_place.findall(text)) == sorted(_place.findall(english[name])), name


def test_a_translation_is_none_of_english_left_behind() -> None:
    english = texts("en")
    # Names, formats, and words that Spanish shares.
    shared = {"site", "price.is", "fact.grams", "total", "department.audio"}
    for language in set(LANGUAGES) - {"en"}:
        same = {name for name, text in texts(language).items() if text == english[name]}
        assert same <= shared, language


def test_thai_is_written_in_thai() -> None:
    for name, text in texts("th").items():
        if name not in {"site", "price.is"}:
            assert re.search("[ก-๛]", text), name


def test_every_text_is_shown_somewhere() -> None:
    code = sources()
    named = set(_literal.findall(code))
    families = set(_family.findall(code)) | {"department."}
    for name in texts("en"):
        base = re.sub(r"\.(one|other)$", "", name)
        assert name in named or base in named or any(name.startswith(one) for one in families), name


def test_nothing_is_ever_taken_for_markup() -> None:
    for path in WEB.rglob("*.ts*"):
        code = path.read_text(encoding="utf-8")
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "dangerously",
            "eval(",
        ):
            assert forbidden not in code, f"{path.name}: {forbidden}"
