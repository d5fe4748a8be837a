"""The words that products are found by: one rule for what is kept and for what is asked.

Texts are folded first: compatibility forms as `ＷＩＧ` become plain ones, case and accents go (`Ñandú` is
`nandu`). A word is then a run of letters and digits, so that a SKU such as `WIG-18` is two. Chinese, Japanese, Thai,
Lao, Khmer and Burmese put no space between words: a run of theirs is cut into overlapping pairs of characters, in which
any part of it can be found. The last character of a run stands alone as well, since it begins no pair.

Whoever asks finds by the beginnings of words: `peluc` finds `pelucas`, and one Chinese character the pairs that begin
with it.
"""

import re
import unicodedata
from collections.abc import Iterator

from services.catalog.domain.products import Product
from services.chassis.errors import FieldInvalid

QUERY_CHARS_MAX = 100
WORD_CHARS_MAX = 32
WORDS_MAX = 1_000
"""So many words of a product are kept, those of the titles first; 100 variants with long options could have more."""

_THAI = "\u0e01-\u0e3a\u0e40-\u0e4e"
_LAO = "\u0e81-\u0ebd\u0ec0-\u0ece"
_BURMESE = "\u1000-\u103f\u1050-\u109d"
_KHMER = "\u1780-\u17d3"
_KANA = "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_UNSPACED = _THAI + _LAO + _BURMESE + _KHMER + _KANA + _HAN
# Python takes no combining mark for a part of a word: these are the blocks from Hebrew to Sinhala, which need theirs.
_MARKED = "\u0591-\u0dff"
_run = re.compile(rf"[^\W_{_UNSPACED}](?:[^\W_{_UNSPACED}]|[{_MARKED}])*|(?P<unspaced>[{_UNSPACED}]+)")
_ascii_run = re.compile(r"[a-z0-9]+")
# Latin, Greek and Cyrillic ones; in other scripts, as in Thai, marks are letters.
_accent = re.compile("[\u0300-\u036f]+")


def folded(text: str) -> str:
    """The text without differences of case, accents and compatibility forms; folding it again changes nothing."""
    if text.isascii():
        return text.lower()
    bare = _accent.sub("", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFKC", _accent.sub("", unicodedata.normalize("NFKD", bare)))


def kept(product: Product) -> list[str]:
    """The words that a product is found by: of its titles, category, SKUs and options, each once."""
    texts = [*product.titles.values(), product.category]
    for variant in product.variants:
        texts.append(variant.sku)
        texts.extend(variant.options.values())
    return list(dict.fromkeys(_words("\n".join(texts), is_whole=True)))[:WORDS_MAX]


def asked(query: str) -> list[str]:
    """The beginnings of words that a query asks for, at least one; raises FieldInvalid."""
    words = list(dict.fromkeys(_words(query, is_whole=False))) if len(query) <= QUERY_CHARS_MAX else []
    if not words:
        raise FieldInvalid(
            "query", f"at most {QUERY_CHARS_MAX} characters with a letter or a digit among them"
        )
    return words


def _words(text: str, *, is_whole: bool) -> Iterator[str]:
    """The words of a text. What is asked may be a part of a run: then its last character is none of a run's end."""
    text = folded(text)
    if text.isascii():
        for word in _ascii_run.findall(text):
            yield word[:WORD_CHARS_MAX]
        return
    for found in _run.finditer(text):
        run = found[0]
        if found.lastgroup is None:
            yield run[:WORD_CHARS_MAX]
            continue
        for start in range(len(run) - 1):
            yield run[start : start + 2]
        if is_whole or len(run) == 1:
            yield run[-1]
