"""The arithmetic of the bench: medians with their range, ratios, what counts as proven, and the goals."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.bench import shop
from deploy.bench.books import Proof
from deploy.bench.figures import all_faults, latency_rate_per_s, summarise
from deploy.bench.goals import LINES, Goal, verdict, verdicts
from deploy.bench.load import Load
from deploy.bench.machine import Cost
from deploy.bench.measure import Part, answered
from deploy.bench.open_loop import Arrival
from deploy.bench.orders import SOLD_OUT, WAIT_EVERY, count_undecided, figures_of, proof_figures
from deploy.bench.reads import unanswered
from deploy.bench.shop import Shop


def proof(**changes: int) -> Proof:
    values = {
        "accepted": 60,
        "expected_reserved": 50,
        "orders": 60,
        "reserved": 50,
        "rejected": 10,
        "reserved_api": 50,
        "holds": 50,
        "ordered_units": 100,
        "held_units": 100,
        "oversold_database": 0,
        "oversold_api": 0,
        "ledger_faults": 0,
        "reserved_faults": 0,
    }
    return Proof(**{**values, **changes})


def test_a_proof_whose_books_agree_has_no_faults() -> None:
    assert proof().faults() == []
    assert proof().as_json()["holds_true"] is True
    assert proof().oversold == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"accepted": 61}, "60 orders stored, 61 accepted"),
        ({"orders": 61, "accepted": 61}, "60 orders decided, 61 stored"),
        ({"reserved_api": 49}, "49 orders reserved by the API"),
        ({"holds": 49}, "49 holds, 50 orders reserved"),
        ({"held_units": 99}, "99 units held, 100 units ordered"),
        ({"oversold_database": 1}, "1 units oversold"),
        ({"oversold_api": 2}, "2 units oversold"),
        ({"ledger_faults": 1}, "1 stock rows differ from their ledger"),
        ({"reserved_faults": 3}, "3 stock rows differ from their holds"),
        ({"expected_reserved": 49}, "1 units oversold"),
        ({"expected_reserved": 51}, "50 orders reserved, 51 reserved that had stock"),
    ],
)
def test_each_book_that_disagrees_is_named(changes: dict[str, int], named: str) -> None:
    broken = proof(**changes)
    assert any(named in fault for fault in broken.faults()), broken.faults()
    assert broken.as_json()["holds_true"] is False


def test_unsold_units_and_missing_answers_are_figures() -> None:
    figures = proof_figures(proof(expected_reserved=53), short=2)
    assert (figures["oversold"], figures["unsold"]) == (0, 3)
    assert "2 requests were not answered as they should" in figures["faults"]


def run(per_s: float, **more: Any) -> dict[str, Any]:
    return {"per_s": per_s, "oversold": 0, "faults": [], **more}


def test_figures_are_medians_with_their_range_beside_the_yardstick_of_the_same_runs() -> None:
    figures = summarise([run(400.0), run(600.0), run(500.0)], [2_000.0, 1_000.0, 1_500.0])
    assert (figures["per_s"], figures["per_s_min"], figures["per_s_max"]) == (500.0, 400.0, 600.0)
    assert (figures["raw_per_s"], figures["ratio"]) == (1_500.0, 0.333)
    assert [one["per_s"] for one in figures["runs"]] == [400.0, 600.0, 500.0]


def test_without_a_yardstick_there_is_no_ratio() -> None:
    figures = summarise([run(500.0)])
    assert (figures["raw_per_s"], figures["ratio"]) == (None, None)


def test_one_bad_run_is_not_hidden_by_the_median() -> None:
    runs = [
        run(1.0, proof={"orders": 5, "holds_true": True}, cpu={"orders": 1.0}),
        run(1.0, oversold=1, faults=["1 units oversold"], proof={"orders": 5, "holds_true": False}),
        run(1.0, proof={"orders": 5, "holds_true": True}, cpu={"orders": 3.0}),
    ]
    figures = summarise(runs)
    assert (figures["oversold"], figures["faults"]) == (1, ["1 units oversold"])
    assert figures["proof"] == {"orders": 15, "holds_true": False}
    assert all_faults({"machine": {}, "orders_hot": figures}) == ["orders_hot: 1 units oversold"]


def test_latency_is_taken_at_half_of_the_median_rate() -> None:
    assert latency_rate_per_s([run(900.0), run(1_000.0), run(2_000.0)]) == 500.0


def part() -> Part:
    cost = Cost(
        {"orders": 0.5, "gateway": 0.25, "postgres": 1.0}, {"orders": 0.6}, 7.4, {"orders": 80.0}, 0.1, 0.0
    )
    return Part(10, 8, {201: 8, 409: 2}, 0, 2.0, 1.0, 1.0, 2.0, cost)


def test_a_part_counts_what_was_accepted_until_the_last_decision() -> None:
    figures = figures_of(part())
    assert (figures["per_s"], figures["posted_per_s"]) == (4.0, 8.0)
    assert (figures["cpu_ms_per_order_services"], figures["memory_mb_services"]) == (0.75, 80.0)
    assert figures["statuses"] == {"201": 8, "409": 2}


@pytest.mark.parametrize(
    ("goal", "value", "words"),
    [
        (Goal("p", "f", 10.0), 10.0, ">= 10: reached"),
        (Goal("p", "f", 10.0), 9.9, ">= 10: missed"),
        (Goal("p", "f", 10.0, at_most=True), 10.1, "<= 10: missed"),
        (Goal("p", "f", 10.0, at_most=True, unit="ms"), 10.0, "<= 10 ms: reached"),
        (Goal("p", "f", 10.0), None, ">= 10: not measured"),
    ],
)
def test_a_goal_says_whether_it_is_reached(goal: Goal, value: float | None, words: str) -> None:
    assert verdict(goal, {"p": {"f": value}}) == words


def test_every_goal_is_in_the_json_once() -> None:
    found = verdicts({})
    assert len(found) == len([line for line in LINES if line.reach is not None])
    assert all(one["reach"].endswith("not measured") for one in found.values())


def test_a_refusal_that_does_not_say_sold_out_is_a_fault() -> None:
    assert proof_figures(proof(), short=0, unreasoned=[])["faults"] == []
    (fault,) = proof_figures(proof(), short=0, unreasoned=[b'{"reason":"CUSTOMER_SOLD"}', b"{}"])["faults"]
    assert fault.startswith("2 refusals do not say sold out")
    assert "CUSTOMER_SOLD" in fault


def test_a_refusal_at_the_door_is_a_unit_of_the_work_where_it_is_an_answer() -> None:
    statuses = Counter({201: 1, 409: 900, 422: 7})
    assert answered(Load(statuses=statuses, reasons=SOLD_OUT)) == 901
    assert answered(Load(statuses=statuses)) == 1


def test_only_orders_that_were_to_wait_and_were_accepted_can_be_undecided() -> None:
    decided, pending = Arrival(201, 0.1, is_decided=True), Arrival(201, 0.1)
    others = [pending] * (WAIT_EVERY - 1)
    assert count_undecided([decided, *others, decided, *others]) == 0
    assert count_undecided([decided, *others, pending, *others, Arrival(429, 0.1), *others]) == 1


def test_what_was_not_read_is_a_fault_of_the_one_who_did_not_answer() -> None:
    assert unanswered(Load(statuses=Counter({200: 5}))) == []
    assert unanswered(Load(statuses=Counter({200: 5, 404: 2, 500: 1}))) == ["3 answers were no 2xx"]
    assert unanswered(Load(statuses=Counter({404: 2})), "bare") == ["bare: 2 answers were no 2xx"]


def requests(seed: int) -> Iterator[bytes]:
    return shop.spread_requests("http://127.0.0.1:1", "k", Shop("r"), "spread", 20, seed=seed, wait_every=4)


def test_requests_are_the_same_for_a_seed_and_differ_by_key() -> None:
    one = list(requests(1))
    assert one == list(requests(1))
    assert one != list(requests(2))
    assert len(set(one)) == 20
    assert {request.count(b'"sku"') for request in one} == {1, 2, 3}


def test_every_fourth_request_waits_for_its_decision() -> None:
    waits = [b"\r\nPrefer: wait=" in request for request in requests(1)]
    assert waits == [number % 4 == 0 for number in range(20)]
