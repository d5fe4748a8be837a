"""Which of several languages a caller gets: the one that Accept-Language would rather have (RFC 9110, 12.5.4).

Found by lookup (RFC 4647, 3.4): a range is shortened from its end until there is such a language. Where there is none
of exactly that tag, one that begins with it is taken, as in basic filtering: who reads `es-MX` rather gets `es-ES`
than English. Callers send few different headers, and products have few different sets of languages: both steps are
remembered.
"""

from collections.abc import Iterator
from functools import lru_cache

DEFAULT = "en"
HEADER_BYTES_MAX = 1_000
RANGES_MAX = 16
ACCEPT = b"accept-language"
VARY = (b"vary", ACCEPT)

_NONE: tuple[str, ...] = ()
# The script that a country writes Chinese in, where a range names no script.
_SCRIPTS = {
    "zh-cn": "zh-hans",
    "zh-sg": "zh-hans",
    "zh-hk": "zh-hant",
    "zh-mo": "zh-hant",
    "zh-tw": "zh-hant",
}


@lru_cache(maxsize=512)
def _ranges(header: bytes) -> tuple[str, ...]:
    found: list[tuple[float, str]] = []
    for part in header.decode("latin-1").lower().split(","):
        name, _, rest = part.strip().partition(";")
        name = name.rstrip()
        key, _, value = rest.strip().partition("=")
        try:
            weight = float(value) if key.rstrip() == "q" else 1.0
        except ValueError:
            continue
        if weight > 0 and name != "*" and all(step.isalnum() and step.isascii() for step in name.split("-")):
            found.append((weight, name))
    found.sort(key=lambda one: -one[0])
    return tuple(dict.fromkeys(name for _, name in found[:RANGES_MAX]))


def ranges_of(header: bytes | None) -> tuple[str, ...]:
    """The language ranges of an Accept-Language header, the most wanted first.

    None for no header and for one that is too long; what is malformed, unwanted (`q=0`) or `*` is left out: it asks for
    nothing that the default is not.
    """
    return _ranges(header) if header is not None and len(header) <= HEADER_BYTES_MAX else _NONE


@lru_cache(maxsize=4_096)
def best(ranges: tuple[str, ...], tags: tuple[str, ...]) -> str | None:
    """The tag that the first possible range finds among these; None where no range finds one."""
    by_range = {tag.lower(): tag for tag in tags}
    for wanted in ranges:
        for prefix in _shortened(wanted):
            if prefix in by_range:
                return by_range[prefix]
            for lower, tag in by_range.items():
                if lower.startswith(f"{prefix}-"):
                    return tag
    return None


def _shortened(wanted: str) -> Iterator[str]:
    yield wanted
    if wanted in _SCRIPTS:
        yield _SCRIPTS[wanted]
    steps = wanted.split("-")
    while len(steps) > 1:
        steps.pop()
        # A single letter introduces what was just cut off.
        if len(steps[-1]) > 1 or len(steps) == 1:
            yield "-".join(steps)
