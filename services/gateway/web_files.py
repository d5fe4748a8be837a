"""The pages of the storefront and the console, as `make web` built them: read whole into memory, and read anew once
they were built anew.

Only what the build lists is there, by its name: no path of a request ever reaches the file system.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.chassis import log
from services.gateway.compression import ENCODINGS, encoding_for, pack

BUILD = "build.json"
"""Written last by the build: lists the files that belong together."""
FILES_MAX = 64
FILE_BYTES_MAX = 2 * 1024 * 1024
MEDIA_TYPES: Mapping[str, bytes] = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,78}")
_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Packed:
    """A file's bytes in one encoding, with the ETag of just these bytes."""

    body: bytes
    etag: bytes
    encoding: bytes


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file in every encoding that makes it smaller; the plain bytes are that of None."""

    media_type: bytes
    forms: Mapping[str | None, Packed]

    def form(self, accept_encoding: bytes) -> Packed:
        """The bytes for a caller that takes these encodings."""
        return self.forms.get(encoding_for(accept_encoding)) or self.forms[None]


class _Build(msgspec.Struct):
    files: list[str]


class WebFiles:
    """The files of the newest build in a folder; none where the folder is not given or holds no build."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder) if folder else None
        self._stamp: tuple[int, int] | None = None
        self._files: Mapping[str, WebFile] = {}

    def page(self, name: str) -> WebFile | None:
        """A page, of the newest build: a look at one file's time tells whether there is a newer one."""
        self._refresh()
        return self._files.get(name)

    def asset(self, name: str) -> WebFile | None:
        """What a page is made of, be it one that another replica has served."""
        if name not in self._files:
            self._refresh()
        return self._files.get(name)

    def _refresh(self) -> None:
        if self._folder is None:
            return
        try:
            found = (self._folder / BUILD).stat()
        except OSError:
            # Not built, or being replaced at this moment: what was read before is still whole.
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._files = _read(self._folder)
        except (OSError, ValueError) as fault:
            _logger.error("the pages cannot be read", folder=str(self._folder), cause=str(fault))


def _read(folder: Path) -> dict[str, WebFile]:
    """Every file of the build; raises ValueError where it is not as a build of ours is."""
    listed = msgspec.json.decode((folder / BUILD).read_bytes(), type=_Build).files
    if len(listed) > FILES_MAX:
        raise ValueError(f"more than {FILES_MAX} files")
    files = {}
    for name in listed:
        path = folder / name
        media_type = MEDIA_TYPES.get(path.suffix)
        if not _NAME.fullmatch(name) or media_type is None:
            raise ValueError(f"{name!r} is not the name of a page, a script or a style")
        body = path.read_bytes()
        if len(body) > FILE_BYTES_MAX:
            raise ValueError(f"{name} has more than {FILE_BYTES_MAX} bytes")
        files[name] = WebFile(media_type, _forms(body))
    return files


def _forms(body: bytes) -> dict[str | None, Packed]:
    digest = hashlib.sha256(body).hexdigest()[:32]
    forms: dict[str | None, Packed] = {None: Packed(body, f'"{digest}"'.encode(), b"")}
    for encoding in ENCODINGS:
        packed = pack(encoding, body)
        if len(packed) < len(body):
            forms[encoding] = Packed(packed, f'"{digest}-{encoding}"'.encode(), encoding.encode())
    return forms
