"""Refusals as the bytes that are sent. A flood of one and the same is written once."""

from collections.abc import Callable
from functools import lru_cache

from litestar.types import ASGIApp

from services.chassis.errors import DomainError
from services.gateway import languages
from services.gateway.call import Call, Reply
from services.gateway.catalogue import CATALOGUE
from services.gateway.errors import PROBLEM_MEDIA_TYPE, RETRY_AFTER_S_DEFAULT, Problem, problem_json
from services.gateway.languages import ACCEPT
from services.gateway.titles import language_for

REFUSALS_MAX = 256
"""Different refusals of a route that are kept as bytes."""
_PROBLEM = PROBLEM_MEDIA_TYPE.encode()


class Refusal:
    """A problem as the bytes that are sent, all but the trace id."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, problem: Problem, language: str) -> None:
        self._status = problem.status
        self._headers = [
            (name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()
        ]
        self._headers += ((b"content-language", language.encode()), languages.VARY)
        retry_after_s = problem.retry_after_s
        kind = CATALOGUE.get(problem.reason)
        if retry_after_s is None and kind is not None and kind.retry:
            retry_after_s = RETRY_AFTER_S_DEFAULT
        if retry_after_s is not None:
            self._headers.append((b"retry-after", b"%d" % max(1, round(retry_after_s))))
        # The trace id is the document's last member.
        self._body = problem_json(problem, "", language).removesuffix(b'"}')

    def reply(self, trace_id: str) -> Reply:
        """The answer to one request."""
        body = b'%b%b"}' % (self._body, trace_id.encode())
        return Reply(self._status, body, media_type=_PROBLEM, headers=self._headers)


class Refusals:
    """A route's refusals by services, as they are answered."""

    def __init__(self, problem_of: Callable[[DomainError], Problem]) -> None:
        self._problem_of = problem_of
        self._kept: dict[tuple[object, ...], Refusal] = {}

    def of(self, error: DomainError, language: str) -> Refusal:
        """The refusal for a service's error, its title in that language."""
        key = (
            language,
            type(error),
            error.reason,
            error.message,
            error.domain,
            error.retry_after_s,
            *error.metadata.items(),
        )
        refusal = self._kept.get(key)
        if refusal is None:
            if len(self._kept) >= REFUSALS_MAX:
                self._kept.clear()
            refusal = self._kept[key] = Refusal(self._problem_of(error), language)
        return refusal


class Prepared:
    """A reply in the shape that Litestar wants of an exception's handler."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def to_asgi_response(self, **_options: object) -> ASGIApp:
        """Itself."""
        return self._reply


def problem_reply(problem: Problem, call: Call) -> Reply:
    """The problem as an answer."""
    return Refusal(problem, language_for(call.headers.get(ACCEPT))).reply(call.traceparent[3:35])


def busy() -> Problem:
    """The problem of a request that is not let in now, to be raised."""
    return Problem("OVERLOADED", "too much work at a time", retry_after_s=1)


BUSY = busy()
"""To be answered: what is raised again and again grows with each traceback."""


def turned_away(problem: Problem, traceparent: bytes, request_id: bytes, language: str) -> bytes:
    """The whole answer, 429, to a request of which nothing but its head was looked at.

    It is made once for a problem: hand in the same one again and again.
    """
    return _turned_away(problem, language) % (traceparent, request_id, traceparent[3:35])


@lru_cache(maxsize=REFUSALS_MAX)
def _turned_away(problem: Problem, language: str) -> bytes:
    """Wants traceparent, request id and trace id."""
    trace_id = "0" * 32
    body = problem_json(problem, trace_id, language).replace(b"%", b"%%")
    own = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in problem.headers.items())
    head = (
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: %b\r\ncontent-language: %b\r\n%b: %b\r\n%b"
        b"retry-after: %d\r\ncontent-length: %d\r\ntraceparent: %%b\r\nx-request-id: %%b\r\n\r\n"
        % (_PROBLEM, language.encode(), *languages.VARY, own, problem.retry_after_s or 1, len(body))
    )
    return head + body.replace(trace_id.encode(), b"%b")
