"""What a set of upserts changes: versions, refusals, and who gets which SKU."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.domain import changes, products
from services.catalog.domain.changes import Head, Upsert
from services.catalog.domain.products import Product, Status
from tests.unit.catalog.drafts import product, variant

THEN = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
MERCHANTS = frozenset({"xuchang-hair"})


def upsert(line: int = 1, product_id: str = "p", skus: str = "A", **changed: Any) -> Upsert:
    """An upsert of a product with one variant for each letter of `skus`."""
    draft = product(product_id=product_id, variants=[variant(sku=sku) for sku in skus], **changed)
    return changes.upsert(line, products.validated(draft))


def head(stored: Product, *, version: int = 3, status: int = Status.ACTIVE) -> Head:
    """What the database would tell of a product."""
    return Head(stored.merchant_id, status, version, products.content_hash(stored), THEN)


def claimed(upserts: list[Upsert], owners: dict[str, str]) -> changes.Claims:
    """Claims for products of which those that own something are stored."""
    stored = set(owners.values())
    heads = {
        item.product.product_id: head(msgspec.structs.replace(item.product, titles={"en": "before"}))
        for item in upserts
        if item.product.product_id in stored
    }
    compared = changes.compare(upserts, heads, MERCHANTS, NOW)
    return changes.claim_skus(compared.changes, owners)


def test_a_new_product_starts_active_at_version_1() -> None:
    compared = changes.compare([upsert(status=0)], {}, MERCHANTS, NOW)
    stored = compared.changes[0].stored
    assert (stored.version, stored.product.status) == (1, Status.ACTIVE)
    assert (stored.create_time, stored.update_time) == (NOW, NOW)
    assert compared.changes[0].is_new


def test_the_same_content_is_no_change() -> None:
    item = upsert(status=0)
    compared = changes.compare([item], {"p": head(item.product, status=Status.ARCHIVED)}, MERCHANTS, NOW)
    assert (compared.changes, compared.unchanged) == ([], 1)


def test_another_status_alone_is_a_change() -> None:
    item = upsert(status=Status.ARCHIVED)
    compared = changes.compare([item], {"p": head(item.product)}, MERCHANTS, NOW)
    stored = compared.changes[0].stored
    assert (stored.version, stored.product.status, stored.create_time) == (4, Status.ARCHIVED, THEN)


def test_a_status_left_open_stays_as_it_is_when_the_content_changes() -> None:
    item = upsert(status=0)
    before = msgspec.structs.replace(item.product, titles={"en": "before"})
    compared = changes.compare([item], {"p": head(before, status=Status.DRAFT)}, MERCHANTS, NOW)
    assert compared.changes[0].stored.product.status == Status.DRAFT


def test_an_unknown_merchant_and_a_change_of_merchant_are_refused() -> None:
    compared = changes.compare([upsert(line=7, merchant_id="nobody")], {}, MERCHANTS, NOW)
    assert [(refusal.line, refusal.error.reason) for refusal in compared.refusals] == [
        (7, "MERCHANT_NOT_FOUND")
    ]
    moved = upsert(line=8, merchant_id="other")
    compared = changes.compare([moved], {"p": head(upsert().product)}, MERCHANTS, NOW)
    assert [(refusal.line, refusal.error.reason) for refusal in compared.refusals] == [
        (8, "MERCHANT_IMMUTABLE")
    ]


def test_the_last_of_several_upserts_of_a_product_holds() -> None:
    kept = changes.last_of_each([upsert(1, "p", "A"), upsert(2, "q", "B"), upsert(3, "p", "C")])
    assert {product_id: item.line for product_id, item in kept.items()} == {"p": 3, "q": 2}


def test_a_taken_sku_refuses_the_whole_product() -> None:
    claims = claimed([upsert(4, "p", "AB")], {"B": "q"})
    assert claims.changes == []
    refused = claims.refusals[0]
    assert (refused.line, refused.error.reason, refused.error.field) == (4, "SKU_TAKEN", "variants[1].sku")


def test_the_first_product_of_a_chunk_gets_a_new_sku() -> None:
    claims = claimed([upsert(1, "p", "A"), upsert(2, "q", "A")], {})
    assert [change.line for change in claims.changes] == [1]
    assert [refusal.line for refusal in claims.refusals] == [2]


def test_a_sku_that_is_given_up_may_be_taken_afterwards() -> None:
    claims = claimed([upsert(1, "p", "B"), upsert(2, "q", "A")], {"A": "p"})
    assert [change.line for change in claims.changes] == [1, 2]
    assert claims.released == ["A"]
    claims = claimed([upsert(2, "q", "A"), upsert(1, "p", "B")], {"A": "p"})
    assert [refusal.line for refusal in claims.refusals] == [2]


def test_a_refused_product_keeps_its_skus() -> None:
    claims = claimed([upsert(1, "p", "BC"), upsert(2, "q", "A")], {"A": "p", "C": "r"})
    assert [refusal.line for refusal in claims.refusals] == [1, 2]
    assert claims.released == []


products_and_skus = st.dictionaries(
    st.sampled_from("pqrs"), st.sets(st.sampled_from("ABCDEF"), min_size=1, max_size=3), max_size=4
)


@given(products_and_skus, st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from("pqrst"), max_size=6))
def test_no_sku_ever_has_two_products(wanted: dict[str, set[str]], owners: dict[str, str]) -> None:
    upserts = [upsert(line, name, "".join(sorted(skus))) for line, (name, skus) in enumerate(wanted.items())]
    claims = claimed(upserts, owners)
    after = {sku: owner for sku, owner in owners.items() if sku not in claims.released}
    for change in claims.changes:
        for kept in change.stored.product.variants:
            assert (
                after.setdefault(kept.sku, change.stored.product.product_id)
                == change.stored.product.product_id
            )
    for change in claims.changes:
        product_id = change.stored.product.product_id
        owned = {sku for sku, owner in after.items() if owner == product_id}
        assert owned == {kept.sku for kept in change.stored.product.variants}
    assert len(claims.changes) + len(claims.refusals) == len(upserts)
