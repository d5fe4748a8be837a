/** Every product, by department and by words. */
import type { Product } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../../shared/api";
import { useLoaded } from "../../shared/load";
import { Empty, Heading, Loading, Notice } from "../../shared/parts";
import { linkTo, useArrival, useTitle } from "../../shared/router";
import {
  departmentOf,
  found,
  priceFrom,
  PRODUCTS_MAX,
  readAvailability,
  spoken,
  type Catalogue,
} from "../catalogue";
import { useTexts } from "../i18n";
import { Picture } from "../picture";
import { useCountry, useCurrency } from "../settings";
import { Stock } from "../stock";

interface HomeProps {
  catalogue: Catalogue | undefined;
  query: URLSearchParams;
}

export function HomeView({ catalogue, query }: HomeProps): JSX.Element {
  const { t, plural, word } = useTexts();
  const words = query.get("q") ?? "";
  const department = query.get("department") ?? "";
  useArrival();
  useTitle(words === "" ? t("home.title") : t("search.title", { words }), t("site"));
  if (catalogue === undefined) {
    return <Loading label={t("loading")} shapes={8} shape="grid" />;
  }
  const departments = [...new Set(catalogue.products.map(departmentOf))].filter((name) => name !== "").sort();
  const shown = found(catalogue.products, words, department);
  return (
    <>
      <div class="hero">
        <Heading>{words === "" ? t("home.title") : t("search.title", { words })}</Heading>
        <p>{words === "" ? t("home.lead") : plural("search.found", shown.length)}</p>
      </div>
      <nav class="departments" aria-label={t("departments")}>
        <DepartmentLink words={words} name="" label={t("department.all")} isCurrent={department === ""} />
        {departments.map((name) => (
          <DepartmentLink
            key={name}
            words={words}
            name={name}
            label={word("department", name)}
            isCurrent={department === name}
          />
        ))}
      </nav>
      <p class="unseen" role="status">
        {plural("search.found", shown.length)}
      </p>
      {catalogue.isCut && <Notice tone="warm" title={t("search.cut", { count: PRODUCTS_MAX })} />}
      {shown.length === 0 ? (
        <Empty title={words === "" ? t("home.empty") : t("search.empty", { words })}>
          <a class="button" href="#/">
            {t("search.all")}
          </a>
        </Empty>
      ) : (
        <Products products={shown} />
      )}
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
  const [stock] = useLoaded(`${country} ${skus.join(" ")}`, (signal) => readAvailability(api, skus, country, signal));
  return (
    <ul class="grid">
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
              {stock.value !== undefined && (
                <Stock availabilities={(product.variants ?? []).map((variant) => stock.value?.get(variant.sku))} />
              )}
            </div>
          </li>
        );
      })}
    </ul>
  );
}
