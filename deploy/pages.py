"""Write the pages that are made from the code: configuration.md, problems.md and cli.md in docs/. Run by `make pages`.

`python -m deploy.pages --check` only tells whether they are current; it exits 1 where one is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.cli.page import cli_markdown
from deploy.local.settings import MONITORING_PORT_DEFAULTS, PORT_DEFAULTS, ROOT
from services.access.config import AccessSettings
from services.catalog.config import CatalogSettings
from services.chassis import config
from services.gateway.catalogue import catalogue_markdown
from services.gateway.config import GatewaySettings
from services.orders.config import OrdersSettings
from services.warehouse.config import WarehouseSettings
from services.webhooks.config import WebhooksSettings

DOCS = ROOT / "docs"

HEAD = """\
# Configuration

Written by `make pages` from the code; do not edit.

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
| `PYTHON` | `make setup` | `python3`, or the system's if faster | The Python that `.venv` is made with. |
| `SERVICE` | `make logs` | all | Only this service's log. |
| `ALL` | `make clean` | | Anything: deletes downloads, stubs and `.venv` as well. |
| `ARGS` | `make test`, `test-*`, `chaos`, `lock`, `bench*` | | Further arguments of pytest, the lock or a bench. |
| `WORKERS` | `make test` | `2` | Files of tests at a time. |
| `FILE` | `make replay` | required | The file of sales: .csv, .csv.gz or .csv.xz. |
| `ORDERS` | `make replay` | all | Only the first so many orders of the file. |
| `ORDERS` | `make bench-memory` | `1000000` | Orders altogether. |
| `RUN` | `make replay` | the time | Name of the run; one that is known is resumed, not doubled. |
| `SAMPAN_URL` | `sampan`, `make replay`, `bench*` | the local stack's | Address of the gateway. |
| `SAMPAN_API_KEY` | `sampan`, `make replay`, `bench*` | of `GATEWAY_API_KEYS_FILE` | An administrator's key. Secret. |
| `GATEWAY_API_KEYS_FILE` | `sampan`, `make replay`, `bench*` | `.local/keys/gateway-api-keys.json` | Holds it. |
| `JSON` | `make bench*`, `chaos` | | Where the figures or the report are written as JSON. |
| `RUNS` | `make bench`, `bench-growth`, `bench-replicas` | `3`, `3`, `2` | How often each part is measured. |
| `SKUS`, `PAST_ORDERS` | `make bench-growth` | `10000000`, `5000000` | Size of the large stack; SKUs by 10,000. |
| `KEEP` | `make bench-growth` | | Anything: the filled stacks' data are kept for the next time. |
| `BENCH_POSTGRES_DSN` | `make bench` | the local stack's | A superuser's URL of the PostgreSQL to compare. Secret. |
| `UPGRADE_FROM` | `make test-upgrade` | `deploy/previous-release` | The commit or tag to roll from. |
| `NO_COLOR` | `sampan` | | Anything: no colours on a terminal. |
| `CHAOS_ORDERS` | `make test-chaos`, `test` | `1000` | Orders of each crash run. |
| `TEST_WEB` | the tests in `tests/web` | | Anything: all of them; else only an order's journey. |
| `SOURCE_URL` | `make docs` | | Where the site's links to source files lead: `https://code.example/main`. |
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
    ("webhooks", WebhooksSettings),
)


def configuration() -> str:
    """Return the text of docs/configuration.md."""
    ports = "".join(
        f"| `{name}` | `{default}` | Port on loopback. |\n"
        for name, default in {**PORT_DEFAULTS, **MONITORING_PORT_DEFAULTS}.items()
    )
    tables = "".join(f"\n## {name}\n\n{config.markdown_table(settings)}" for name, settings in SERVICES)
    return f"{HEAD}{LOCAL}{ports}{TOOLS}{tables}"


PAGES = {"configuration.md": configuration, "problems.md": catalogue_markdown, "cli.md": cli_markdown}


def main(arguments: list[str]) -> int:
    """Write or check the pages."""
    stale = [name for name, text in PAGES.items() if not _is_current(DOCS / name, text())]
    if "--check" in arguments:
        for name in stale:
            print(f"pages: {name} is out of date: run `make pages`")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"pages: wrote docs/{name}")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
