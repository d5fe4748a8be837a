"""The reference storefront and the operator console. No key needed to load them: they send the one that they are
given with what they ask of the API, and no file that is served holds any."""

from functools import partial

from services.gateway.call import Call, Reply
from services.gateway.errors import Problem
from services.gateway.routes.resource import is_not_modified, not_modified
from services.gateway.routes.route import Route
from services.gateway.web_files import WebFile, WebFiles

# Scripts and styles of ours only, no inline ones, no text ever taken for markup, and no talk with anybody else. The key
# that a page holds is as safe as this is strict.
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'",
)
_PAGE = (
    _POLICY,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"cache-control", b"no-cache"),
)
# An asset's name holds a hash of its content.
_ASSET = ((b"cache-control", b"public, max-age=31536000, immutable"),)
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin"))
_VARY = (b"vary", b"accept-encoding")


class Web:
    """Two pages and what they are made of."""

    def __init__(self, files: WebFiles) -> None:
        self._files = files

    async def page(self, name: str, call: Call) -> Reply:
        """GET /shop, GET /console"""
        file = self._files.page(name)
        if file is None:
            raise Problem("PAGES_NOT_BUILT", "the pages are not built: run `make web`")
        return _answer(call, file, _PAGE)

    async def asset(self, call: Call) -> Reply:
        """GET /web/{asset}"""
        file = self._files.asset(call.path["asset"])
        if file is None or file.media_type.startswith(b"text/html"):
            raise Problem("ROUTE_NOT_FOUND", "there is no such file")
        return _answer(call, file, _ASSET)

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            *(
                Route(
                    "GET",
                    path,
                    partial(self.page, name),
                    None,
                    "web",
                    summary,
                    "The key stands in the fragment: `#key=...`, which a browser sends to nobody.",
                    answer_media_type="text/html",
                    answer_headers={"ETag": "Changes with the build and the encoding."},
                    conditional=True,
                    reasons=("PAGES_NOT_BUILT",),
                    name=operation,
                )
                for path, name, summary, operation in (
                    ("/shop", "shop.html", "The reference storefront", "getShop"),
                    ("/console", "console.html", "The operator console", "getConsole"),
                )
            ),
            Route(
                "GET",
                "/web/{asset}",
                self.asset,
                None,
                "web",
                "A script or style of theirs",
                answer_media_type="text/javascript",
                answer_headers={"ETag": "Stands for the content in its encoding."},
                conditional=True,
                reasons=("ROUTE_NOT_FOUND",),
                name="getWebAsset",
            ),
        )


def _answer(call: Call, file: WebFile, headers: tuple[tuple[bytes, bytes], ...]) -> Reply:
    form = file.form(call.headers.get(b"accept-encoding", b""))
    if is_not_modified(call, form.etag):
        reply = not_modified(form.etag)
        reply.headers += (_VARY, *headers)
        return reply
    encoded = ((b"content-encoding", form.encoding),) if form.encoding else ()
    return Reply(
        200,
        form.body,
        media_type=file.media_type,
        headers=((b"etag", form.etag), _VARY, *encoded, *_ALWAYS, *headers),
    )
