"""The catalogue of problems as a page for people: a `type` that is opened in a browser explains itself."""

import html
from collections.abc import Iterable

from services.gateway.catalogue import ProblemType, slug

HTML = b"text/html; charset=utf-8"
# A page without scripts, whose only style is its own.
POLICY = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
VARY = (b"vary", b"accept")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8886; }}
code {{ font: .9rem ui-monospace, monospace; overflow-wrap: anywhere; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
_RETRY = (
    "The answer carries <code>Retry-After</code>. Wait for so many seconds and repeat the request, with the same "
    "<code>Idempotency-Key</code> where it had one."
)
_NO_RETRY = "The same request would be refused again: change it first."


def is_for_people(accept: str | None) -> bool:
    """Whether an Accept header is that of a browser's address bar, which names HTML and prefers it to JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    if "text/html" not in kinds:
        return False
    return "application/json" not in kinds or kinds.index("text/html") < kinds.index("application/json")


def catalogue_page(kinds: Iterable[ProblemType]) -> bytes:
    """Every type in one table."""
    rows = "\n".join(
        f'<tr id="{slug(kind.reason)}"><td><a href="{kind.uri}"><code>{kind.reason}</code></a></td>'
        f"<td>{kind.status}</td><td>{'yes' if kind.retry else ''}</td><td>{_marked(kind.meaning)}</td></tr>"
        for kind in kinds
    )
    body = (
        "<h1>Problem types</h1>\n<p>Every refusal of the API is an <code>application/problem+json</code> document "
        "(RFC 9457). Its <code>type</code> is the address of one of these, its <code>reason</code> the same as a word, "
        "and <code>errors</code> names the values of the request that are at fault.</p>\n"
        "<table>\n<thead><tr><th>reason</th><th>status</th><th>retry</th><th>meaning</th></tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )
    return _PAGE.format(title="Problem types", body=body).encode()


def problem_page(kind: ProblemType) -> bytes:
    """One type."""
    body = (
        f"<h1>{html.escape(kind.title)}</h1>\n<p>{_marked(kind.meaning)}</p>\n<table>\n<tbody>\n"
        f"<tr><th>type</th><td><code>{kind.uri}</code></td></tr>\n"
        f"<tr><th>reason</th><td><code>{kind.reason}</code></td></tr>\n"
        f"<tr><th>status</th><td>{kind.status}</td></tr>\n"
        f"<tr><th>retry</th><td>{_RETRY if kind.retry else _NO_RETRY}</td></tr>\n"
        '</tbody>\n</table>\n<p><a href="/problems">All problem types</a></p>'
    )
    return _PAGE.format(title=html.escape(kind.title), body=body).encode()


def _marked(text: str) -> str:
    """A meaning as HTML: what stands between backticks is code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
