"""All kinds of faults, a module per family. A module's FAULTS are its kinds; here they are put together."""

from collections.abc import Sequence

from tests.chaos.fault import Fault
from tests.chaos.faults import (
    clients,
    clocks,
    crash_points,
    disks,
    events,
    network,
    processes,
    races,
    servers,
)

FAMILIES = (processes, servers, network, events, crash_points, races, clients, clocks, disks)


def all_faults() -> Sequence[Fault]:
    """Every kind there is, in the order of the report."""
    return [fault for family in FAMILIES for fault in family.FAULTS]
