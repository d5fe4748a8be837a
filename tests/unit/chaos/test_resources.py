"""When a replica counts as having grown, and which kinds of faults a word chooses."""

import pytest

from deploy.local.settings import StackError
from tests.chaos.__main__ import chosen
from tests.chaos.resources import Usage, judge, of_services

REPLICAS = ["orders-1", "orders-2"]
FIRST = {"orders-1": Usage(80.0, 20, 60), "orders-2": Usage(70.0, 22, 50)}


@pytest.mark.parametrize(
    ("usage", "word"),
    [(Usage(400.0, 22, 60), "MiB"), (Usage(80.0, 90, 60), "sockets"), (Usage(80.0, 22, 500), "tasks")],
)
def test_what_takes_much_more_than_at_first_is_named(usage: Usage, word: str) -> None:
    findings = judge(REPLICAS, FIRST, FIRST | {"orders-2": usage})
    (fault,) = findings.offenders
    assert fault.startswith("orders-2: ")
    assert word in fault
    assert findings.examined == 2


def test_what_takes_about_the_same_is_well() -> None:
    findings = judge(REPLICAS, FIRST, FIRST | {"orders-1": Usage(95.0, 30, 70)})
    assert (findings.examined, findings.failed) == (2, 0)


@pytest.mark.parametrize("service_answers", [True, False])
def test_a_replica_that_was_not_looked_at_twice_is_blamed_and_not_counted(service_answers: bool) -> None:
    some = {"orders-1": FIRST["orders-1"]} if service_answers else {}
    assert judge(REPLICAS, some, FIRST).offenders[-1] == "orders-2 did not answer the first look"
    assert judge(REPLICAS, FIRST, some).offenders[-1] == "orders-2 did not answer the last look"
    nobody = judge(REPLICAS, {}, {})
    assert nobody.offenders[0] == "orders-1 did not answer the first nor the last look"
    assert (nobody.examined, nobody.failed) == (0, 2)


def test_a_service_takes_the_most_of_its_replicas() -> None:
    usages = {
        "orders-1": Usage(80.0, 30, 60),
        "orders-2": Usage(90.0, 20, 65),
        "catalog-1": Usage(70.0, 10, 15),
    }
    assert of_services(usages) == {"orders": Usage(90.0, 30, 65), "catalog": Usage(70.0, 10, 15)}


def test_a_family_or_a_name_chooses_kinds() -> None:
    names = {fault.name for fault in chosen("network, process.kill")}
    assert {"network.cut", "network.half-open", "process.kill"} <= names
    assert not any(name.startswith(("kafka", "postgres")) for name in names)


def test_every_kind_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in chosen("")]
    assert len(names) == len(set(names))


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(StackError, match=r"no fault earthquake: there are process\.kill"):
        chosen("earthquake")
