"""Product imports by operators: a streamed body of NDJSON or CSV."""

from functools import partial

from services.chassis.errors import ResourceExhausted
from services.gateway import params
from services.gateway.call import Call, Reply
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem, at_parameter
from services.gateway.imports.rows import CsvDecoder, HeaderFault, NdjsonDecoder, RowDecoder
from services.gateway.imports.run import ProductImport
from services.gateway.roles import MERCHANTS, allow
from services.gateway.routes import examples
from services.gateway.routes.resource import Resource, document
from services.gateway.routes.route import Route
from services.gateway.routes.scopes import require_merchant
from services.gateway.schemas.catalog import ImportReport

NDJSON = b"application/x-ndjson"
CSV = b"text/csv"


class Imports(Resource):
    """One route; few imports at a time, since each keeps the catalog busy."""

    def __init__(self, clients: Clients, settings: GatewaySettings) -> None:
        super().__init__(clients, settings)
        self._running = 0

    async def products(self, call: Call) -> Reply:
        """POST /v1/imports/products"""
        media_type = call.media_type()
        if media_type not in (NDJSON, CSV):
            raise Problem("MEDIA_TYPE_UNSUPPORTED", "the body must be application/x-ndjson or text/csv")
        merchant_id: str = call.query["merchant_id"]
        if merchant_id and not params.SLUG.fullmatch(merchant_id):
            raise at_parameter("FIELD_INVALID", "merchant_id", "1 to 40 of [a-z0-9-]")
        if merchant_id:
            require_merchant(call, merchant_id)
        if self._running >= self.settings.imports_max:
            raise ResourceExhausted("OVERLOADED", "too many imports are running", retry_after_s=10)
        self._running += 1
        try:
            return await self._run(
                call, merchant_id, NdjsonDecoder() if media_type == NDJSON else CsvDecoder()
            )
        finally:
            self._running -= 1

    async def _run(self, call: Call, merchant_id: str, decoder: RowDecoder) -> Reply:
        settings = self.settings
        pieces = call.pieces(bytes_max=settings.import_bytes_max)
        work = ProductImport(
            self.clients.products.ImportProducts,
            tenant_id=call.tenant_id,
            merchant_id=merchant_id,
            is_own=partial(call.caller.sees, "merchants") if call.caller.scope is not None else None,
            chunk_rows=settings.import_chunk_rows,
            chunks_in_flight_max=settings.import_chunks_in_flight_max,
            chunk_deadline_s=settings.import_chunk_deadline_s,
        )
        try:
            return document(await work.run(pieces, decoder, line_bytes_max=settings.import_line_bytes_max))
        except HeaderFault as fault:
            raise Problem("FIELD_INVALID", f"the CSV header cannot be used: {fault.message}") from None

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "POST",
                "/v1/imports/products",
                self.products,
                allow("merchant"),
                "imports",
                "Import products",
                "Upserts products from NDJSON (one product per line) or CSV (one product of one variant per "
                "record; columns: product_id, sku, title or title_<language>, price_<currency>, and optionally "
                "merchant_id, description_<language>, category, hs_code, origin_region_code, status, gtin, "
                "weight_grams, length_mm, width_mm, height_mm, hazards separated by `|`, option_<name>). Good rows "
                "are kept, bad ones are reported; repeating an import changes nothing.",
                name="importProducts",
                limited_as="imports",
                query=(params.text("merchant_id", "The seller of rows that name none.", chars_max=40),),
                body=bytes,
                body_example=examples.IMPORT_LINE,
                media_types=("application/x-ndjson", "text/csv"),
                answer=ImportReport,
                reasons=("FIELD_INVALID", "OVERLOADED"),
                scopes=MERCHANTS,
            ),
        )
