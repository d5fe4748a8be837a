/** Where to send it, and what it costs: places the order. */
import { unwrap, type Order, type PlaceOrder } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { reasonOf, useApi } from "../../shared/api";
import { countryName } from "../../shared/format";
import { useAction, useRequestKey } from "../../shared/load";
import { BusyButton, Empty, Heading, Loading, Notice } from "../../shared/parts";
import { goTo, linkTo, useArrival, useTitle } from "../../shared/router";
import { bySeller, emptyOf, useCart, type CartLine } from "../cart";
import { useTexts, type TextName } from "../i18n";
import { problemText } from "../problems";
import { buyerRef, useCountry } from "../settings";
import { useQuote } from "./cart";

/** For so long the answer to a new order waits for the warehouse. */
const WAIT_S = 10;

interface CheckoutProps {
  merchantId: string;
  sellers: ReadonlyMap<string, string> | undefined;
}

export function CheckoutView({ merchantId, sellers }: CheckoutProps): JSX.Element {
  const { t } = useTexts();
  const cart = useCart();
  const [, lines] = bySeller(cart).find(([seller]) => seller === merchantId) ?? [];
  useArrival();
  useTitle(t("checkout"), t("site"));
  return (
    <>
      <Heading>{t("checkout")}</Heading>
      {lines === undefined ? (
        <Empty title={t("cart.empty")}>
          <a class="button" href="#/cart">
            {t("cart")}
          </a>
        </Empty>
      ) : (
        <Checkout merchantId={merchantId} lines={lines} seller={sellers?.get(merchantId) ?? merchantId} />
      )}
    </>
  );
}

const NO_ADDRESS = { name: "", street: "", postalCode: "", city: "" };
type AddressField = keyof typeof NO_ADDRESS;

const FIELDS: readonly (readonly [AddressField, TextName, string])[] = [
  ["name", "address.name", "name"],
  ["street", "address.street", "street-address"],
  ["postalCode", "address.postalCode", "postal-code"],
  ["city", "address.city", "address-level2"],
];

function Checkout({ merchantId, lines, seller }: { merchantId: string; lines: CartLine[]; seller: string }): JSX.Element {
  const api = useApi();
  const texts = useTexts();
  const { t, language, money } = texts;
  const [country] = useCountry();
  const [address, setAddress] = useState(NO_ADDRESS);
  const [quote, again] = useQuote(lines);
  const requestKey = useRequestKey();
  const placing = useAction(async () => {
    if (quote.value === undefined) {
      return;
    }
    const body: PlaceOrder = {
      buyer_ref: buyerRef(),
      currency_code: quote.value.total.currency_code,
      language_code: language,
      payment_terms: "pay_later",
      lines: lines.map((line) => ({ sku: line.sku, quantity: line.quantity })),
      expected_total: quote.value.total,
      ship_to: {
        region_code: country,
        postal_code: address.postalCode,
        locality: address.city,
        address_lines: [address.street],
        recipients: [address.name],
      },
    };
    const header = { "Idempotency-Key": requestKey.keyFor(body), Prefer: `wait=${WAIT_S}` };
    let order: Order;
    try {
      order = unwrap(await api.POST("/v1/orders", { params: { header }, body }));
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === "SOLD_OUT") {
        // That refusal is stored under its key: once there is stock again, it is another order.
        requestKey.renew();
      } else if (reason === "TOTAL_CHANGED") {
        again();
      }
      throw error;
    }
    emptyOf(merchantId);
    goTo(linkTo("orders", order.order_id));
  });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    placing.run();
  };
  return (
    <form class="checkout" onSubmit={submit}>
      <fieldset class="card fields">
        <legend>{t("address")}</legend>
        {FIELDS.map(([field, label, autocomplete]) => (
          <label key={field} class={`field field-${field}`}>
            <span class="label">{t(label)}</span>
            <input
              name={field}
              value={address[field]}
              autocomplete={autocomplete as "name"}
              required
              maxLength={200}
              onInput={(event) => setAddress({ ...address, [field]: event.currentTarget.value })}
            />
          </label>
        ))}
        <p class="field-country">
          <span class="label">{t("address.country")}</span>
          {countryName(country, language)}
          <span class="hint">{t("address.countryHint")}</span>
        </p>
      </fieldset>
      <section class="card summary" aria-label={t("summary")}>
        <h2>{t("summary")}</h2>
        <p class="hint">{t("product.seller", { seller })}</p>
        {quote.value === undefined ? (
          quote.state === "loading" && <Loading label={t("loading")} shapes={1} shape="row" />
        ) : (
          <>
            <ul class="summary-lines">
              {quote.value.lines.map((line) => (
                <li key={line.sku}>
                  <span>
                    {line.quantity} × {line.title}
                  </span>
                  <span>{money(line.amount)}</span>
                </li>
              ))}
            </ul>
            <p class="total">
              <span>{t("total")}</span> <strong>{money(quote.value.total)}</strong>
            </p>
            <BusyButton
              type="submit"
              kind="primary"
              label={t("checkout.place")}
              busyLabel={t("checkout.placing")}
              isBusy={placing.isBusy}
            />
            <p class="hint">{t("checkout.next")}</p>
          </>
        )}
        {quote.state === "failed" && <Notice tone="bad" title={problemText(texts, quote.error)} />}
        {placing.error !== null && <Notice tone="bad" title={problemText(texts, placing.error)} />}
      </section>
    </form>
  );
}
