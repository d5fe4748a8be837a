"""Sends a file to the import of products as it is read, so that neither side ever holds it whole."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from deploy.cli.exits import Refusal
from deploy.replay.client import Api
from deploy.replay.progress import Bar

MEDIA_TYPES = {".csv": "text/csv", ".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson"}
PIECE_BYTES = 256 * 1024
CONNECT_S_MAX = 10
# The gateway takes the body at the catalog's pace and answers when all of it is stored.
SILENCE_S_MAX = 120
COUNTS = ("read", "created", "updated", "unchanged", "failed", "errors_not_shown")


async def send(api: Api, file: Path, *, merchant_id: str) -> dict[str, Any]:
    """The report of the import. Raises Refusal, aiohttp's errors, OSError and TimeoutError."""
    media_type = MEDIA_TYPES.get(file.suffix)
    if media_type is None:
        raise Refusal(f"{file.name} is none of {', '.join(MEDIA_TYPES)}")
    total = (await asyncio.to_thread(file.stat)).st_size
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S_MAX, sock_read=SILENCE_S_MAX)
    headers = {"Authorization": f"Bearer {api.api_key}", "Content-Type": media_type}
    query = {"merchant_id": merchant_id} if merchant_id else None
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        body = _pieces(file, total)
        async with session.post(f"{api.base_url}/v1/imports/products", params=query, data=body) as answer:
            text = await answer.text()
    if answer.status >= 500:
        raise ConnectionError(f"the API answers {answer.status}: {text[:300]}; repeat the import as a whole")
    document: dict[str, Any] = json.loads(text)
    if answer.status != 200:
        raise Refusal(
            f"{document.get('reason', answer.status)}: {document.get('detail') or document.get('title')}"
        )
    return document


async def _pieces(file: Path, total: int) -> AsyncIterator[bytes]:
    with file.open("rb") as content, Bar("bytes", total) as bar:
        while piece := await asyncio.to_thread(content.read, PIECE_BYTES):
            yield piece
            bar.advance(len(piece))
