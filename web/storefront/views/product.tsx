/** One product: its variants, its price, whether it can be sent where the buyer is. */
import { unwrap, type Product, type Variant } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { countryName, formatNumber } from "../../shared/format";
import { useLoaded } from "../../shared/load";
import { Choice, Heading, Loading, Notice } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { addToCart, QUANTITY_MAX } from "../cart";
import { priceOf, readAvailability, spoken, type Sellers } from "../catalogue";
import { useTexts } from "../i18n";
import { LoadFailed } from "../load-failed";
import { Picture } from "../picture";
import { useCountry, useCurrency } from "../settings";
import { Stock } from "../stock";

interface ProductProps {
  productId: string;
  sellers: Sellers | undefined;
}

export function ProductView({ productId, sellers }: ProductProps): JSX.Element {
  const api = useApi();
  const { t } = useTexts();
  const [product, again] = useLoaded(productId, async (signal) =>
    unwrap(await api.GET("/v1/products/{product_id}", { params: { path: { product_id: productId } }, signal })),
  );
  if (product.value === undefined) {
    return product.state === "failed" ? (
      <LoadFailed error={product.error} again={again} />
    ) : (
      <Loading label={t("loading")} shapes={2} shape="halves" />
    );
  }
  return <Details product={product.value} seller={sellers?.get(product.value.merchant_id ?? "")} />;
}

function Details({ product, seller }: { product: Product; seller: string | undefined }): JSX.Element {
  const api = useApi();
  const texts = useTexts();
  const { t, language } = texts;
  const [currency] = useCurrency();
  const [country] = useCountry();
  const variants = product.variants ?? [];
  const [sku, setSku] = useState(variants[0]?.sku ?? "");
  const [quantity, setQuantity] = useState(1);
  const [added, setAdded] = useState(0);
  const title = spoken(product.titles, language);
  const description = spoken(product.descriptions, language);
  useArrival();
  useTitle(title.text, t("site"));
  const skus = variants.map((variant) => variant.sku);
  const [stock] = useLoaded(`${country} ${skus.join(" ")}`, (signal) => readAvailability(api, skus, country, signal));
  const variant = variants.find((one) => one.sku === sku);
  const price = variant && priceOf(variant, currency);
  const available = stock.value?.get(sku)?.available;
  const isForSale = price !== undefined && available !== 0;
  const add = (event: SubmitEvent): void => {
    event.preventDefault();
    addToCart({ sku, productId: product.product_id ?? "", merchantId: product.merchant_id ?? "", quantity });
    setAdded(added + 1);
  };
  return (
    <article class="product">
      <Picture product={product} />
      <div class="product-words">
        {seller !== undefined && <p class="seller">{t("product.seller", { seller })}</p>}
        <div lang={title.language}>
          <Heading>{title.text}</Heading>
        </div>
        <p class="price price-large">
          {price === undefined ? t("price.none", { currency }) : texts.money(price)}
        </p>
        {stock.value !== undefined && (
          <p class="product-stock">
            <Stock availabilities={[stock.value.get(sku)]} /> {t("product.to", { country: countryName(country, language) })}
          </p>
        )}
        {description.text !== "" && <p lang={description.language}>{description.text}</p>}
        <form class="buy" onSubmit={add}>
          {variants.length > 1 && <Variants variants={variants} chosen={sku} onChoose={setSku} />}
          {isForSale ? (
            <div class="buy-row">
              <Choice
                label={t("quantity")}
                value={String(quantity)}
                options={quantities(available ?? QUANTITY_MAX).map((count) => [count, count])}
                onChange={(value) => setQuantity(Number(value))}
              />
              <button type="submit" class="button button-primary">
                {t("product.add")}
              </button>
            </div>
          ) : (
            <p class="hint">{t("product.notForSale")}</p>
          )}
        </form>
        {added > 0 && (
          <div class="notice notice-good">
            <strong role="status">{t("product.added", { count: added })}</strong>
            <a class="button" href="#/cart">
              {t("product.toCart")}
            </a>
          </div>
        )}
        {stock.state === "failed" && <Notice tone="warm" title={t("stock.unknown")} />}
        {variant !== undefined && <Facts product={product} variant={variant} />}
      </div>
    </article>
  );
}

interface VariantsProps {
  variants: readonly Variant[];
  chosen: string;
  onChoose(sku: string): void;
}

function Variants({ variants, chosen, onChoose }: VariantsProps): JSX.Element {
  const { t } = useTexts();
  return (
    <fieldset class="variants">
      <legend class="label">{t("product.variant")}</legend>
      {variants.map((variant) => (
        <label key={variant.sku} class="variant">
          <input
            type="radio"
            name="variant"
            value={variant.sku}
            checked={variant.sku === chosen}
            onChange={() => onChoose(variant.sku)}
          />
          <span>{optionsOf(variant)}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Facts({ product, variant }: { product: Product; variant: Variant }): JSX.Element {
  const { t, language } = useTexts();
  const origin = product.origin_region_code ?? "";
  return (
    <dl class="facts">
      <dt>{t("fact.sku")}</dt>
      <dd>{variant.sku}</dd>
      {origin !== "" && (
        <>
          <dt>{t("fact.origin")}</dt>
          <dd>{countryName(origin, language)}</dd>
        </>
      )}
      {(variant.weight_grams ?? 0) > 0 && (
        <>
          <dt>{t("fact.weight")}</dt>
          <dd>{t("fact.grams", { grams: formatNumber(variant.weight_grams ?? 0, language) })}</dd>
        </>
      )}
    </dl>
  );
}

/** What sets a variant apart, in a few words. */
export function optionsOf(variant: Pick<Variant, "sku" | "options">): string {
  const values = Object.values(variant.options ?? {});
  return values.length === 0 ? variant.sku : values.join(", ");
}

/** 1 to what may be bought at once. */
export function quantities(available: number): string[] {
  const most = Math.min(Math.max(available, 1), QUANTITY_MAX);
  return Array.from({ length: most }, (_, index) => String(index + 1));
}
