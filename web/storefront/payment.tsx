/** Pays an order by one of the sandbox's test cards. A real provider's form would give the token instead. */
import { unwrap, type Order } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { reasonOf, useApi } from "../shared/api";
import { useAction, useRequestKey } from "../shared/load";
import { BusyButton, Notice } from "../shared/parts";
import { useTexts, type TextName } from "./i18n";
import { problemText } from "./problems";

const CARDS: readonly (readonly [token: string, name: TextName])[] = [
  ["card_authorised", "card.authorised"],
  ["card_late_5", "card.late"],
  ["card_declined", "card.declined"],
];

export function Payment({ order, onPaid }: { order: Order; onPaid(order: Order): void }): JSX.Element {
  const api = useApi();
  const texts = useTexts();
  const { t, money, time } = texts;
  const [card, setCard] = useState("card_authorised");
  const requestKey = useRequestKey();
  const paying = useAction(async () => {
    const answer = await api.POST("/v1/orders/{order_id}:pay", {
      params: {
        path: { order_id: order.order_id },
        header: { "Idempotency-Key": requestKey.keyFor([order.order_id, card]) },
      },
      body: { payment_token: card },
    });
    try {
      onPaid(unwrap(answer));
    } catch (error) {
      if (reasonOf(error) === "PAYMENT_DECLINED") {
        // That is stored under its key: the next try is another payment. Of anything else the outcome may be unknown.
        requestKey.renew();
      }
      throw error;
    }
  });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    paying.run();
  };
  return (
    <form class="card pay" onSubmit={submit} aria-label={t("pay")}>
      <h2>{t("pay")}</h2>
      {order.payment_expire_time !== null && (
        <p class="hint">{t("pay.until", { time: time(order.payment_expire_time) })}</p>
      )}
      <fieldset class="cards">
        <legend class="label">{t("pay.card")}</legend>
        {CARDS.map(([token, name]) => (
          <label key={token} class="variant">
            <input
              type="radio"
              name="card"
              value={token}
              checked={token === card}
              onChange={() => setCard(token)}
            />
            <span>{t(name)}</span>
          </label>
        ))}
      </fieldset>
      <p class="hint">{t("pay.sandbox")}</p>
      {order.payment_state === "pending" && <Notice tone="warm" title={t("payment.pending")} />}
      {paying.error !== null && <Notice tone="bad" title={problemText(texts, paying.error)} />}
      <BusyButton
        type="submit"
        kind="primary"
        label={t("pay.now", { amount: money(order.total) })}
        busyLabel={t("pay.paying")}
        isBusy={paying.isBusy}
      />
    </form>
  );
}
