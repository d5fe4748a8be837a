"""Writes docs/configuration.md from the code: every variable of every service, of the local stack and its tools.

`python -m deploy.docs --check` only tells whether the page is current; it exits 1 where it is not.
"""

from __future__ import annotations

import sys

from deploy.local.settings import PORT_DEFAULTS, ROOT
from services.access.config import AccessSettings
from services.catalog.config import CatalogSettings
from services.chassis import config
from services.gateway.config import GatewaySettings
from services.orders.config import OrdersSettings
from services.warehouse.config import WarehouseSettings

PAGE = ROOT / "docs" / "configuration.md"

HEAD = """\
# Configuration

Written by `make docs` from the code; do not edit.

A service reads its variables once, at its start. Every fault is reported at once, one line each with the variable's
name, and the process exits with 2. The value of `NAME` is taken from, in this order: the variable `NAME`; the file
that `NAME_FILE` points to; the file `NAME` or `name` in `SECRETS_DIR` (default `/run/secrets`); the default. An empty
variable counts as not set. Give secrets as files. `python -m services.<service> config` prints the values in force,
secrets masked.

"""

LOCAL = """\
## The local stack

`make up` and its siblings read these, and pass everything on to the services.

| variable | default | meaning |
|---|---|---|
| `SAMPAN_LOCAL_DIR` | `.local` | Folder of data, logs, keys and downloads. |
| `KAFKA_BOOTSTRAP` | | An existing Kafka, used instead of starting one. |
| `KAFKA_HOME` | | An unpacked Kafka whose jars are used instead of fetching them by Maven. |
| `<SERVICE>_DSN` | | Existing databases, as `ORDERS_DSN`; PostgreSQL is started only for the others. |
| `JAVA_HOME` | | The JDK (17 or newer) to run Kafka on. |
"""

TOOLS = """
## The tools

| variable | read by | default | meaning |
|---|---|---|---|
| `PYTHON` | `make setup` | `python3` | The Python that `.venv` is made with. |
| `SERVICE` | `make logs` | all | Only this service's log. |
| `ALL` | `make clean` | | Anything: deletes downloads, stubs and `.venv` as well. |
| `ARGS` | `make test`, `test-*`, `chaos`, `lock`, `bench*` | | Further arguments of pytest, the lock or a bench. |
| `FILE` | `make replay` | required | The file of sales: .csv, .csv.gz or .csv.xz. |
| `ORDERS` | `make replay` | all | Only the first so many orders of the file. |
| `ORDERS` | `make bench-memory` | `1000000` | Orders altogether. |
| `RUN` | `make replay` | the time | Name of the run; one that is known is resumed, not doubled. |
| `SAMPAN_URL` | `make replay`, `bench`, `-flood` | the local stack's | Address of the gateway. |
| `SAMPAN_API_KEY` | `make replay`, `bench`, `-flood` | from `GATEWAY_API_KEYS_FILE` | An operator's key. Secret. |
| `GATEWAY_API_KEYS_FILE` | `make replay`, `bench`, `-flood` | `.local/keys/gateway-api-keys.json` | Holds it. |
| `JSON` | `make bench*`, `chaos` | | Where the figures or the report are written as JSON. |
| `RUNS` | `make bench`, `bench-growth`, `bench-replicas` | `3`, `3`, `2` | How often each part is measured. |
| `SKUS`, `PAST_ORDERS` | `make bench-growth` | `10000000`, `5000000` | Size of the large stack; SKUs by 10,000. |
| `KEEP` | `make bench-growth` | | Anything: the filled stacks' data are kept for the next time. |
| `BENCH_POSTGRES_DSN` | `make bench` | the local stack's | A superuser's URL of the PostgreSQL to compare. Secret. |
| `CHAOS_ORDERS` | `make test-chaos`, `test` | `1000` | Orders of each crash run. |
| `PROFILE` | `make laws` | `ci` | `deep`: drawn anew each time and twenty times as much. |
| `MINUTES` | `make chaos`, `fuzz` | `5`, `10` | How long. |
| `SEED` | `make chaos` | another each time | The plan of faults, the load and every fault's choices. |
| `FAULTS` | `make chaos` | all | Only these kinds or families: `network,process.kill`. |
| `FUZZ_SEED` | `make fuzz` | another each time | The seed of the requests. |
| `SECRETS_DIR` | every service | `/run/secrets` | Folder of secret files, as above. |
"""

SERVICES: tuple[tuple[str, type[config.ProcessSettings]], ...] = (
    ("gateway", GatewaySettings),
    ("access", AccessSettings),
    ("catalog", CatalogSettings),
    ("orders", OrdersSettings),
    ("warehouse", WarehouseSettings),
)


def page() -> str:
    """Return the page's text."""
    ports = "".join(
        f"| `{name}` | `{default}` | Port on loopback. |\n" for name, default in PORT_DEFAULTS.items()
    )
    tables = "".join(f"\n## {name}\n\n{config.markdown_table(settings)}" for name, settings in SERVICES)
    return f"{HEAD}{LOCAL}{ports}{TOOLS}{tables}"


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        current = PAGE.exists() and PAGE.read_text() == text
        print(f"docs: {PAGE.name} is {'current' if current else 'out of date: run `make docs`'}")
        return 0 if current else 1
    PAGE.write_text(text)
    print(f"docs: wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
