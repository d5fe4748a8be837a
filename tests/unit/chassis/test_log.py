"""Every line on stdout is one JSON object, whoever wrote it."""

import json
import subprocess
import sys

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
