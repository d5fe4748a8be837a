"""Products and refusals in the language that Accept-Language wants."""

from __future__ import annotations

import json

import httpx
import pytest

from services.gateway.routes import examples
from tests.component.gateway.conftest import System
from tests.component.gateway.ordering import key
from tests.component.gateway.snapshots import product_event

TITLES = {"en": "Silk wig", "es-ES": "Peluca de seda", "zh-Hans": "真丝假发"}


def add(system: System, product_id: str = "silk-wig", **changes: dict[str, str]) -> None:
    """A product in three languages, described in two."""
    product = system.catalog.add("demo", product_id)
    texts = {"titles": TITLES, "descriptions": {"en": "Of silk.", "es": 'De "seda".'}} | changes
    for name, values in texts.items():
        getattr(product, name).clear()
        getattr(product, name).update(values)
    # One of its variants is named like the texts.
    product.variants[0].options["title"] = "x"
    system.gateway.products.apply([product_event("demo", product)])


async def read(system: System, wanted: str = "", path: str = "/v1/products/silk-wig") -> httpx.Response:
    """An answer in the wanted language."""
    return await system.storefront.get(path, headers={"Accept-Language": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("wanted", "language", "title", "description"),
    [
        ("", "en", "Silk wig", "Of silk."),
        ("es-MX, en;q=0.5", "es-ES", "Peluca de seda", 'De "seda".'),
        ("es;q=0.1, en", "en", "Silk wig", "Of silk."),
        ("zh-CN", "zh-Hans", "真丝假发", "Of silk."),
        ("fr, *", "en", "Silk wig", "Of silk."),
    ],
)
async def test_a_product_has_its_texts_in_the_wanted_language(
    system: System, wanted: str, language: str, title: str, description: str
) -> None:
    add(system)
    answer = await read(system, wanted)
    document = answer.json()
    assert (document["title"], document["description"], document["language"]) == (
        title,
        description,
        language,
    )
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "accept-language"
    # All the rest is the same, and complete.
    texts = {"title", "description", "language"}
    rest = {name: value for name, value in document.items() if name not in texts}
    default = (await read(system)).json()
    assert rest == {name: value for name, value in default.items() if name not in texts}
    assert document["titles"] == TITLES


async def test_each_language_has_an_etag_of_its_own_and_any_of_them_is_good_for_a_change(
    system: System,
) -> None:
    add(system)
    english, spanish = await read(system), await read(system, "es")
    assert (english.headers["etag"], spanish.headers["etag"]) == ('"1"', '"1-es-ES"')
    for answer, wanted in ((english, "en"), (spanish, "es")):
        headers = {"Accept-Language": wanted, "If-None-Match": answer.headers["etag"]}
        again = await system.storefront.get("/v1/products/silk-wig", headers=headers)
        assert (again.status_code, again.headers["etag"]) == (304, answer.headers["etag"])
        assert again.headers["vary"] == "accept-language"
    headers = {"Accept-Language": "es", "If-None-Match": english.headers["etag"]}
    other = await system.storefront.get("/v1/products/silk-wig", headers=headers)
    assert other.json()["title"] == "Peluca de seda"
    # What was read is sent back as it is, texts in one language and all.
    headers = {"If-Match": spanish.headers["etag"], "Accept-Language": "es"}
    changed = await system.operator.put("/v1/products/silk-wig", json=spanish.json(), headers=headers)
    assert changed.status_code == 200, changed.text
    assert system.catalog.requests[-1].product.etag == "1"
    assert dict(system.catalog.requests[-1].product.titles) == TITLES
    assert (changed.headers["etag"], changed.headers["content-language"]) == ('"2-es-ES"', "es-ES")


async def test_a_product_without_english_is_told_in_a_language_that_it_has(system: System) -> None:
    add(system, titles={"th": "วิกผม", "es": "Peluca"}, descriptions={})
    document = (await read(system, "fr")).json()
    assert (document["title"], document["description"], document["language"]) == ("Peluca", "", "es")
    assert (await read(system, "th")).json()["title"] == "วิกผม"


async def test_lists_are_in_the_wanted_language_where_a_product_has_it(system: System) -> None:
    add(system)
    add(system, "ice-box", titles={"en": "Ice box"})
    for path in ("/v1/products", "/v1/products?ids=silk-wig,ice-box", "/v1/products?fields=title"):
        # In turns: neither is taken for the other.
        for wanted, told in (("es", {"Peluca de seda", "Ice box"}), ("", {"Silk wig", "Ice box"})):
            answer = await read(system, wanted, path)
            assert {product["title"] for product in answer.json()["products"]} == told
            languages = "es-ES, en" if wanted else "en"
            assert answer.headers["content-language"] == languages
            assert "accept-language" in answer.headers["vary"]


async def test_a_refusal_has_its_title_in_the_wanted_language_and_nothing_else(system: System) -> None:
    path = "/v1/products/none"
    english = await system.storefront.get(path)
    for wanted, title in (
        ("es-419,es", "No existe ese producto"),
        ("th", "ไม่มีสินค้านี้"),
        ("zh-CN", "没有此商品"),
    ):
        answer = await read(system, wanted, path)
        assert answer.json()["title"] == title
        assert answer.headers["content-type"] == "application/problem+json"
        differing = {"title", "trace_id"}
        rest = {name: value for name, value in answer.json().items() if name not in differing}
        assert rest == {name: value for name, value in english.json().items() if name not in differing}
        assert answer.headers["content-language"] in ("es", "th", "zh-Hans")
        assert answer.headers["vary"] == "accept-language"
    assert (await read(system, "fr", path)).json()["title"] == english.json()["title"] == "No such product"
    assert english.headers["content-language"] == "en"


async def test_refusals_of_every_layer_are_in_the_wanted_language(system: System) -> None:
    thai = {"Accept-Language": "th"}
    answers = [
        await system.anonymous.get("/v1/orders", headers=thai),
        await system.storefront.get("/v1/nowhere", headers=thai),
        await system.storefront.get("/v1/products?page_size=x", headers=thai),
        await system.storefront.post("/v1/orders", json={}, headers=key() | thai),
    ]
    (place,) = [one for one in system.gateway.routes if (one.method, one.path) == ("POST", "/v1/orders")]
    place.is_open.__self__.pause(60.0)  # type: ignore[union-attr]
    answers.append(await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key() | thai))
    assert [answer.status_code for answer in answers] == [401, 404, 400, 400, 429]
    for answer in answers:
        assert not answer.json()["title"].isascii(), answer.text
        assert answer.headers["content-language"] == "th"
        assert json.loads(answer.content)["detail"].isascii()
