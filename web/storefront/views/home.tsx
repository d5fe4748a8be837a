/** What is on sale, by department and by words. */
import type { Product } from "@sampan/client";
import type { JSX, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useApi } from "../../shared/api";
import { useLatest, useLoaded } from "../../shared/load";
import { usePaged, type Page } from "../../shared/paging";
import { Empty, Heading, Loading } from "../../shared/parts";
import { linkTo, useArrival, useTitle } from "../../shared/router";
import { priceFrom, readAvailability, readShelf, spoken } from "../catalogue";
import { useTexts } from "../i18n";
import { LoadFailed } from "../load-failed";
import { Picture } from "../picture";
import { DEPARTMENTS, useCountry, useCurrency } from "../settings";
import { Stock } from "../stock";

export function HomeView({ query }: { query: URLSearchParams }): JSX.Element {
  const api = useApi();
  const { t, word } = useTexts();
  const words = query.get("q") ?? "";
  const department = query.get("department") ?? "";
  useArrival();
  useTitle(words === "" ? t("home.title") : t("search.title", { words }), t("site"));
  const paged = usePaged(JSON.stringify([words, department]), (token, signal) =>
    readShelf(api, { words, department }, token, signal),
  );
  const { loaded, again, more, moreError } = paged;
  // What was found before stays in sight until the answer is there: nothing flickers while somebody types.
  const shown = useLatest(loaded.value);
  return (
    <>
      <div class="hero">
        <Heading>{words === "" ? t("home.title") : t("search.title", { words })}</Heading>
        <Told page={loaded.value} lead={words === "" ? t("home.lead") : undefined} />
      </div>
      <nav class="departments" aria-label={t("departments")}>
        <DepartmentLink words={words} name="" label={t("department.all")} isCurrent={department === ""} />
        {DEPARTMENTS.map((name) => (
          <DepartmentLink
            key={name}
            words={words}
            name={name}
            label={word("department", name)}
            isCurrent={department === name}
          />
        ))}
      </nav>
      {loaded.state === "failed" && <LoadFailed error={loaded.error} again={again} />}
      {shown === undefined && loaded.state === "loading" && <Loading label={t("loading")} shapes={8} shape="grid" />}
      {shown !== undefined && loaded.state !== "failed" && (
        <div class="shelf" aria-busy={loaded.value === undefined}>
          {shown.items.length > 0 && <Products products={shown.items} />}
          {loaded.value?.items.length === 0 && (
            <Empty title={words === "" ? t("home.empty") : t("search.empty", { words })}>
              <a class="button" href="#/">
                {t("search.all")}
              </a>
            </Empty>
          )}
        </div>
      )}
      {moreError !== null && <LoadFailed error={moreError} again={more} />}
      {loaded.value !== undefined && loaded.value.next !== "" && moreError === null && (
        <button type="button" class="button more" onClick={more}>
          {t("search.more")}
        </button>
      )}
    </>
  );
}

/** How many there are: seen where somebody searched, read out in any case. */
function Told({ page, lead }: { page: Page<Product> | undefined; lead: string | undefined }): JSX.Element {
  const { t, plural } = useTexts();
  const count = page?.items.length ?? 0;
  const told = page?.next === "" ? plural("search.found", count) : t("search.first", { count });
  return (
    <>
      {lead !== undefined && <p>{lead}</p>}
      <p class={lead === undefined ? "" : "unseen"} role="status">
        {page === undefined ? "" : told}
      </p>
    </>
  );
}

interface DepartmentLinkProps {
  words: string;
  name: string;
  label: string;
  isCurrent: boolean;
}

function DepartmentLink({ words, name, label, isCurrent }: DepartmentLinkProps): JSX.Element {
  const query = new URLSearchParams();
  if (words !== "") {
    query.set("q", words);
  }
  if (name !== "") {
    query.set("department", name);
  }
  return (
    <a class="chip" href={`#/?${query.toString()}`} aria-current={isCurrent ? "true" : undefined}>
      {label}
    </a>
  );
}

function Products({ products }: { products: readonly Product[] }): JSX.Element {
  const api = useApi();
  const { t, money, language } = useTexts();
  const [currency] = useCurrency();
  const [country] = useCountry();
  const skus = products.flatMap((product) => (product.variants ?? []).map((variant) => variant.sku));
  const [loaded] = useLoaded(`${country} ${skus.join(" ")}`, (signal) => readAvailability(api, skus, country, signal));
  const list = useRef<HTMLUListElement>(null);
  useFocusOnAdded(list, products);
  return (
    <ul class="grid" ref={list}>
      {products.map((product) => {
        const title = spoken(product.titles, language);
        const least = priceFrom(product, currency);
        return (
          <li key={product.product_id} class="card product-card">
            <Picture product={product} />
            <div class="product-card-words">
              <h2>
                <a href={linkTo("products", product.product_id ?? "")} lang={title.language}>
                  {title.text}
                </a>
              </h2>
              <p class="price">
                {least === undefined
                  ? t("price.none", { currency })
                  : t(least.isLeast ? "price.from" : "price.is", { price: money(least.price) })}
              </p>
              {loaded.value !== undefined && (
                <Stock availabilities={(product.variants ?? []).map((variant) => loaded.value?.get(variant.sku))} />
              )}
            </div>
          </li>
        );
      })}
    </ul>
  );
}

/** Whoever has asked for more goes on with the first that came. */
function useFocusOnAdded(list: RefObject<HTMLUListElement | null>, products: readonly Product[]): void {
  const before = useRef(products);
  useEffect(() => {
    const count = before.current.length;
    if (products.length > count && before.current.every((one, index) => one === products[index])) {
      list.current?.children[count]?.querySelector("a")?.focus();
    }
    before.current = products;
  }, [products]);
}
