"""The titles of problems in other languages: a file of messages each, by the problem's reason; English: `errors`."""

import importlib.resources
from collections.abc import Mapping
from functools import cache

import msgspec

from services.gateway import languages

LANGUAGES = (languages.DEFAULT, "es", "th", "zh-Hans")


def language_for(header: bytes | None) -> str:
    """The language of a problem's title for an Accept-Language header."""
    ranges = languages.ranges_of(header)
    return languages.best(ranges, LANGUAGES) or languages.DEFAULT if ranges else languages.DEFAULT


@cache
def titles_in(language: str) -> Mapping[str, str]:
    """The titles by reason, for one of the languages other than English."""
    source = importlib.resources.files(__name__).joinpath(f"{language}.json")
    return msgspec.json.decode(source.read_bytes(), type=dict[str, str])
