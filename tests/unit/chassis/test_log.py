"""Every line on stdout is one JSON object, whoever wrote it."""

import json
import logging
import subprocess
import sys

from services.chassis import log

PROGRAM = """
import logging
from services.chassis import log, trace
_logger = log.get("demo.module")
log.configure("demo", "info")
with trace.span("work", parent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"):
    _logger.info("within", order_id="三板", strange=object)
_logger.debug("too detailed")
logging.getLogger("library.part").warning("%d things", 3)
logging.getLogger("aiokafka").info("chatter")
try:
    1 / 0
except ZeroDivisionError:
    _logger.exception("broke")
"""


def test_lines() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    within, library, broke = map(json.loads, done.stdout.splitlines())
    assert (within["event"], within["module"], within["service"]) == ("within", "demo.module", "demo")
    assert (within["order_id"], within["level"]) == ("三板", "info")
    assert within["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert within["span_id"] == "00f067aa0ba902b7"
    assert within["time"].endswith("Z")
    assert (library["event"], library["module"], library["level"]) == ("3 things", "library.part", "warning")
    assert "trace_id" not in library
    assert broke["exception"].endswith("ZeroDivisionError: division by zero")
    assert done.stderr == ""


def test_a_library_that_repeats_itself_is_heard_once_a_second() -> None:
    """A client without its broker wrote a thousand lines a second, onto a disk that may be full already."""
    now_s = 0.0
    once = log.OncePerPeriod(clock=lambda: now_s)

    def told(text: str, value: object) -> str | None:
        record = logging.LogRecord("library", logging.ERROR, "f.py", 1, text, (value,), None)
        return record.getMessage() if once.filter(record) else None

    assert told("no broker at %s", 1) == "no broker at 1"
    assert [told("no broker at %s", number) for number in range(3)] == [None, None, None]
    assert told("no coordinator at %s", 1) == "no coordinator at 1"
    now_s = log.REPEATS_S
    assert told("no broker at %s", 2) == "no broker at 2 [and 3 more]"
    now_s = 2 * log.REPEATS_S
    assert told("no broker at %s", 2) == "no broker at 2"


def test_one_text_for_two_kinds_of_exceptions_is_said_of_both() -> None:
    """A server says `Exception in ASGI application` of all: a frequent one hid the rare one behind it."""
    once = log.OncePerPeriod(clock=lambda: 0.0)

    def is_told(error: Exception) -> bool:
        info = (type(error), error, None)
        return once.filter(logging.LogRecord("library", logging.ERROR, "f.py", 1, "it broke", (), info))

    assert [is_told(ValueError("a")), is_told(ValueError("b")), is_told(KeyError("a"))] == [True, False, True]
