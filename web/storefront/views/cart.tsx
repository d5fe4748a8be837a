/** The cart, by seller: an order is of one seller, and each is paid by itself. */
import { unwrap, type Product, type Quote } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../../shared/api";
import { useLoaded } from "../../shared/load";
import { Choice, Empty, Heading, Loading, Notice } from "../../shared/parts";
import { linkTo, useArrival, useTitle } from "../../shared/router";
import { bySeller, QUANTITY_MAX, removeFromCart, setQuantity, useCart, type CartLine } from "../cart";
import { readProducts, spoken, type Sellers } from "../catalogue";
import { useTexts } from "../i18n";
import { Picture } from "../picture";
import { problemText } from "../problems";
import { useCurrency } from "../settings";
import { optionsOf, quantities } from "./product";

export function CartView({ sellers }: { sellers: Sellers | undefined }): JSX.Element {
  const api = useApi();
  const { t } = useTexts();
  const cart = useCart();
  const ids = [...new Set(cart.map((line) => line.productId))];
  const [products] = useLoaded(ids.join(" "), (signal) => readProducts(api, ids, signal));
  useArrival();
  useTitle(t("cart"), t("site"));
  return (
    <>
      <Heading>{t("cart")}</Heading>
      {cart.length === 0 ? (
        <Empty title={t("cart.empty")}>
          <a class="button button-primary" href="#/">
            {t("search.all")}
          </a>
        </Empty>
      ) : (
        bySeller(cart).map(([merchantId, lines]) => (
          <SellerCart
            key={merchantId}
            seller={sellers?.get(merchantId) ?? merchantId}
            merchantId={merchantId}
            lines={lines}
            products={products.value}
          />
        ))
      )}
    </>
  );
}

interface SellerCartProps {
  seller: string;
  merchantId: string;
  lines: CartLine[];
  products: ReadonlyMap<string, Product> | undefined;
}

function SellerCart({ seller, merchantId, lines, products }: SellerCartProps): JSX.Element {
  const texts = useTexts();
  const { t, language } = texts;
  const [quote] = useQuote(lines);
  return (
    <section class="card seller-cart" aria-label={seller}>
      <h2>{t("product.seller", { seller })}</h2>
      <ul class="lines">
        {lines.map((line) => {
          const product = products?.get(line.productId);
          const variant = product?.variants?.find((one) => one.sku === line.sku);
          const title = product && spoken(product.titles, language);
          const priced = quote.value?.lines.find((one) => one.sku === line.sku);
          const name = title?.text ?? line.sku;
          return (
            <li key={line.sku} class="line">
              <Picture product={product ?? { product_id: line.productId, category: "" }} />
              <div class="line-words">
                <a href={linkTo("products", line.productId)} lang={title?.language}>
                  {name}
                </a>
                {variant !== undefined && <span class="hint">{optionsOf(variant)}</span>}
              </div>
              <Choice
                label={t("quantity.of", { name })}
                value={String(line.quantity)}
                options={quantities(QUANTITY_MAX).map((count) => [count, count])}
                onChange={(value) => setQuantity(line.sku, Number(value))}
                isLabelUnseen
              />
              <span class="line-amount">{priced === undefined ? "" : texts.money(priced.amount)}</span>
              <button type="button" class="button button-quiet" onClick={() => removeFromCart(line.sku)}>
                {t("cart.remove")}
                <span class="unseen"> {name}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {quote.state === "failed" && <Notice tone="bad" title={problemText(texts, quote.error)} />}
      {quote.state === "loading" && quote.value === undefined && (
        <Loading label={t("loading")} shapes={1} shape="row" />
      )}
      {quote.value !== undefined && quote.state !== "failed" && (
        <div class="seller-total">
          <p class="total">
            <span>{t("total")}</span> <strong>{texts.money(quote.value.total)}</strong>
          </p>
          <a class="button button-primary" href={linkTo("checkout", merchantId)}>
            {t("cart.checkout")}
          </a>
        </div>
      )}
    </section>
  );
}

/** What these lines cost now, in the chosen currency. */
export function useQuote(lines: readonly CartLine[]): ReturnType<typeof useLoaded<Quote>> {
  const api = useApi();
  const { language } = useTexts();
  const [currency] = useCurrency();
  const body = {
    currency_code: currency,
    language_code: language,
    lines: lines.map((line) => ({ sku: line.sku, quantity: line.quantity })),
  };
  return useLoaded(JSON.stringify(body), async (signal) => unwrap(await api.POST("/v1/quotes", { body, signal })));
}
