"""What the catalog does by itself: it forgets request ids that are too old to be repeated, and makes products that an
earlier release has stored findable by their words.
"""

from prometheus_client import Counter

from services.catalog.commands import Catalog
from services.chassis import request_keys
from services.chassis.pg import Database

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000
FILL_PERIOD_S = 60.0
FILL_ROWS_MAX = 200

_FORGOTTEN = Counter(
    "sampan_catalog_request_keys_forgotten_total", "Request ids that were too old to be kept."
)
_FILLED = Counter(
    "sampan_catalog_words_filled_total",
    "Products of an earlier release that were made findable by their words.",
)


async def forget_requests(database: Database, *, older_than_s: float) -> int:
    """Forgets request ids older than that; how many."""
    forgotten = await request_keys.forget(database, older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
    _FORGOTTEN.inc(forgotten)
    return forgotten


class WordFiller:
    """Goes through the products that cannot be found by their words, batch by batch, and then from the beginning.

    During a roll-out the release before is still at work, so this never ends.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # Where the last batch ended: from the beginning, each would pass by the index entries of all before it.
        self._after = ("", "")

    async def fill(self) -> int:
        """Makes a batch findable; how many."""
        filled = await self._catalog.fill_words(self._after, limit=FILL_ROWS_MAX)
        self._after = filled[-1] if len(filled) == FILL_ROWS_MAX else ("", "")
        _FILLED.inc(len(filled))
        return len(filled)
