"""Carries an import's chunks over one bidirectional stream of the catalog and adds up what became of them.

At most a few chunks are unanswered at a time; beyond that the body is not read on, so that a fast client is
slowed down to the catalog's pace and nothing piles up here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from prometheus_client import Counter
from sampan.catalog.v1 import product_service_pb2 as pb

from services.chassis import metrics
from services.chassis.crash import crash_point
from services.chassis.errors import DeadlineExceeded, Unavailable
from services.chassis.rpc.status import error_of
from services.gateway.imports.lines import split_lines
from services.gateway.imports.rows import Decoded, RowDecoder, RowFault
from services.gateway.schemas.catalog import ImportFault, ImportReport

ERRORS_SHOWN_MAX = 1_000
# What grpc.aio raises for a step on a stream that has ended, depending on when it notices.
STREAM_OVER = (asyncio.InvalidStateError, grpc.aio.InternalError, grpc.aio.UsageError)
CHUNK_BYTES_MAX = 4 * 1024 * 1024
MESSAGE_CHARS_MAX = 500
STREAM_S_MAX = 6 * 3600.0

_ROWS = metrics.Kept(Counter("sampan_gateway_import_rows_total", "Imported rows by outcome.", ["outcome"]))


class Tally:
    """The report as it grows."""

    def __init__(self) -> None:
        self.read = self.created = self.updated = self.unchanged = self.failed = 0
        self._faults: list[RowFault] = []

    def fail(self, fault: RowFault) -> None:
        """Counts a row that was not kept. The shown ones are those that were found first, not of smallest line."""
        self.failed += 1
        if len(self._faults) < ERRORS_SHOWN_MAX:
            self._faults.append(fault)

    def add(self, answer: pb.ImportProductsResponse) -> None:
        """Counts a chunk's answer."""
        self.created += answer.created
        self.updated += answer.updated
        self.unchanged += answer.unchanged
        for error in answer.errors:
            self.fail(RowFault(error.line, error.field.removeprefix("product."), error.reason, error.message))

    def report(self) -> ImportReport:
        """The report for the caller."""
        for outcome in ("created", "updated", "unchanged", "failed"):
            _ROWS[outcome].inc(getattr(self, outcome))
        faults = sorted(self._faults)
        return ImportReport(
            read=self.read,
            created=self.created,
            updated=self.updated,
            unchanged=self.unchanged,
            failed=self.failed,
            errors=[
                ImportFault(
                    fault.line,
                    fault.field[:MESSAGE_CHARS_MAX],
                    fault.reason,
                    fault.message[:MESSAGE_CHARS_MAX],
                )
                for fault in faults
            ],
            errors_not_shown=self.failed - len(faults),
        )


class ProductImport:
    """One import. `is_own` says of which merchants the caller may write; None: of all."""

    def __init__(
        self,
        import_products: Callable[..., Any],
        *,
        tenant_id: str,
        merchant_id: str,
        is_own: Callable[[str], bool] | None = None,
        chunk_rows: int,
        chunks_in_flight_max: int,
        chunk_deadline_s: float,
    ) -> None:
        self._stream = import_products(timeout=STREAM_S_MAX)
        self._tenant_id = tenant_id
        self._merchant_id = merchant_id
        self._is_own = is_own
        self._chunk_rows = chunk_rows
        self._chunk_deadline_s = chunk_deadline_s
        self._free = asyncio.Semaphore(chunks_in_flight_max)
        self._rows: list[pb.ImportRow] = []
        self._rows_bytes = 0
        self._sent = 0
        self._answered = 0
        self.tally = Tally()

    async def run(
        self, pieces: AsyncIterator[bytes], decoder: RowDecoder, *, line_bytes_max: int
    ) -> ImportReport:
        """Reads the body to its end and returns the report; raises when the catalog fails, after which the import
        may be repeated as a whole."""
        answers = asyncio.create_task(self._read_answers(), name="import answers")
        try:
            async for lines in split_lines(pieces, line_bytes_max=line_bytes_max):
                await self._take(decoder.feed(lines), answers)
            await self._take(decoder.finish(), answers)
            await self._send(answers)
            await self._while_answering(self._stream.done_writing(), answers)
            async with asyncio.timeout(self._chunk_deadline_s):
                await answers
            if self._answered != self._sent:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "the catalog ended the import early")
            return self.tally.report()
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None
        except STREAM_OVER as failure:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "the catalog ended the import early") from failure
        except TimeoutError:
            raise DeadlineExceeded(
                "DEADLINE_EXCEEDED", "the catalog did not answer a chunk in time"
            ) from None
        finally:
            self._stream.cancel()
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, *STREAM_OVER):
                await answers

    async def _take(self, rows: Iterable[Decoded], answers: asyncio.Task[None]) -> None:
        for row in rows:
            self.tally.read += 1
            if isinstance(row, RowFault):
                self.tally.fail(row)
                continue
            if self._is_own is not None and not self._is_own(row.product.merchant_id or self._merchant_id):
                self.tally.fail(
                    RowFault(row.line, "merchant_id", "MERCHANT_NOT_FOUND", "there is no such merchant")
                )
                continue
            self._rows.append(row)
            self._rows_bytes += row.ByteSize()
            if len(self._rows) >= self._chunk_rows or self._rows_bytes >= CHUNK_BYTES_MAX:
                await self._send(answers)

    async def _send(self, answers: asyncio.Task[None]) -> None:
        if not self._rows:
            return
        chunk = pb.ImportProductsRequest(
            tenant_id=self._tenant_id, merchant_id=self._merchant_id, rows=self._rows
        )
        self._rows = []
        self._rows_bytes = 0
        await self._while_answering(self._free.acquire(), answers)
        self._sent += 1
        await self._while_answering(self._stream.write(chunk), answers)

    async def _while_answering(self, step: Any, answers: asyncio.Task[None]) -> None:
        """Awaits a step, but not longer than the catalog goes on answering."""
        waiting = asyncio.ensure_future(step)
        try:
            done, _ = await asyncio.wait(
                (waiting, answers), timeout=self._chunk_deadline_s, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting in done:
                await waiting
            elif answers in done:
                await answers
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "the catalog ended the import early")
            else:
                raise TimeoutError
        except (grpc.aio.AioRpcError, *STREAM_OVER):
            # The stream has failed in the meantime; what was read from it last says why.
            async with asyncio.timeout(self._chunk_deadline_s):
                await answers
            raise
        finally:
            waiting.cancel()

    async def _read_answers(self) -> None:
        while True:
            answer = await self._stream.read()
            if answer is grpc.aio.EOF:
                return
            self.tally.add(answer)
            crash_point("gateway.import.after_chunk")
            self._answered += 1
            self._free.release()
