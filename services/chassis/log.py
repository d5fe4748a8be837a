"""Structured logs: one JSON object per line, on stdout where a process serves, our own lines and those of libraries.

    _logger = log.get(__name__)
    _logger.info("order placed", order_id=str(order_id), **trace.fields(traceparent))

The event is a constant text and the facts are fields. The ids of the current trace are added where there is
one. Names, addresses and other personal data do not belong here: log ids. Of errors of PostgreSQL only what
`pg_errors` tells is printed.
"""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from services.chassis import pg_errors, trace

_NOISY_LIBRARIES = {
    "aiokafka": logging.WARNING,
    "alembic": logging.INFO,
    "asyncio": logging.WARNING,
    "uvicorn": logging.WARNING,
}
REPEATS_S = 1.0
TEXTS_KEPT_MAX = 1_000


class OncePerPeriod(logging.Filter):
    """Lets a library say the same thing once a second: during an outage of Kafka its client says some thousands."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decides by logger, text without its values and kind of exception; the next line that passes tells how
        many did not."""
        kind = record.exc_info[0] if record.exc_info else None
        key, now_s = (record.name, str(record.msg), kind), self._clock()
        said_s, withheld = self._said.get(key, (-REPEATS_S, 0))
        if now_s - said_s < REPEATS_S:
            self._said[key] = (said_s, withheld + 1)
            return False
        if len(self._said) >= TEXTS_KEPT_MAX:
            self._said.clear()
        self._said[key] = (now_s, 0)
        if withheld:
            record.msg = f"{record.msg} [and {withheld} more]"
        return True


def configure(service: str, level: str, *, file: TextIO | None = None) -> None:
    """Routes everything to stdout, or to another file, from `level` on."""
    target = sys.stdout if file is None else file
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def add_service(
        _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        line["service"] = service
        return line

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_service,
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(pg_errors.render),
    ]
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.addFilter(OncePerPeriod())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=[_add_logger_name, *shared],
        )
    )
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    for library, least in _NOISY_LIBRARIES.items():
        logging.getLogger(library).setLevel(max(least, threshold))


def get(name: str) -> FilteringBoundLogger:
    """A logger that names the module it belongs to. Safe at import: it is configured when first used."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def _add_trace(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "trace_id" not in line:
        line.update(trace.fields(trace.current_traceparent()))
    return line


def _add_logger_name(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record = line.get("_record")
    if record is not None:
        line["module"] = record.name
    return line
