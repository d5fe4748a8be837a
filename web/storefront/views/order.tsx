/** One order: pay it, watch it travel, cancel it. */
import { unwrap, type Order } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { countryName } from "../../shared/format";
import { useAction, useRequestKey } from "../../shared/load";
import { useLiveOrder } from "../../shared/live-order";
import { Badge, BusyButton, Heading, Loading, Notice } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { isCancellable, toneOfState } from "../../shared/states";
import { stepsOf, Timeline } from "../../shared/timeline";
import { isName, useTexts, type TextName } from "../i18n";
import { LoadFailed } from "../load-failed";
import { Payment } from "../payment";
import { problemText } from "../problems";

export function OrderView({ orderId }: { orderId: string }): JSX.Element {
  const { t } = useTexts();
  const live = useLiveOrder(orderId);
  if (live.order === undefined) {
    return live.error === null ? (
      <Loading label={t("loading")} shapes={2} shape="halves" />
    ) : (
      <LoadFailed error={live.error} again={live.again} />
    );
  }
  const { order, history, isLive } = live;
  return (
    <OrderPage order={order} show={live.show}>
      <Travel order={order} steps={stepsOf(order, history)} isLive={isLive} />
    </OrderPage>
  );
}

interface OrderPageProps {
  order: Order;
  show(order: Order): void;
  children: JSX.Element;
}

function OrderPage({ order, show, children }: OrderPageProps): JSX.Element {
  const { t } = useTexts();
  const number = order.order_id.slice(-8).toUpperCase();
  useArrival();
  useTitle(t("order.title", { number }), t("site"));
  const why = `reason.${order.reason}`;
  return (
    <>
      <div class="order-head">
        <Heading>{t("order.title", { number })}</Heading>
        <Badge tone={toneOfState(order.state)}>{t(`state.${order.state}` as TextName)}</Badge>
      </div>
      <p class="unseen" role="status">
        {t("order.now", { state: t(`state.${order.state}` as TextName) })}
      </p>
      {order.reason !== "" && <Notice tone="warm" title={isName(why) ? t(why) : t("reason.other")} />}
      <div class="order">
        <div class="order-main">
          {order.state === "awaiting_payment" && <Payment order={order} onPaid={show} />}
          {children}
          <Parcels order={order} />
        </div>
        <aside class="order-side" aria-label={t("summary")}>
          <Contents order={order} />
          <Address order={order} />
          {isCancellable(order.state) && <Cancel order={order} onCancelled={show} />}
        </aside>
      </div>
    </>
  );
}

interface TravelProps {
  order: Order;
  steps: ReturnType<typeof stepsOf>;
  isLive: boolean;
}

function Travel({ order, steps, isLive }: TravelProps): JSX.Element {
  const { t, time } = useTexts();
  const isOver = ["delivered", "cancelled", "expired", "rejected"].includes(order.state);
  return (
    <section class="card" aria-label={t("order.way")}>
      <div class="card-head">
        <h2>{t("order.way")}</h2>
        {!isOver && <span class={isLive ? "live live-on" : "live"}>{isLive ? t("live.on") : t("live.off")}</span>}
      </div>
      <Timeline
        steps={steps}
        label={t("order.way")}
        wordOf={(state) => t(`state.${state}` as TextName)}
        timeOf={time}
        aheadWord={t("order.ahead")}
      />
    </section>
  );
}

function Parcels({ order }: { order: Order }): JSX.Element | null {
  const { t } = useTexts();
  if (order.parcels.length === 0) {
    return null;
  }
  return (
    <section class="card" aria-label={t("parcels")}>
      <h2>{t("parcels")}</h2>
      <ul class="parcels">
        {order.parcels.map((parcel) => (
          <li key={parcel.parcel_id}>
            <span>{t(`parcel.${parcel.state}` as TextName)}</span>
            {parcel.tracking_number !== "" && (
              <span class="hint">
                {parcel.carrier} {parcel.tracking_number}
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Contents({ order }: { order: Order }): JSX.Element {
  const { t, money } = useTexts();
  return (
    <section class="card" aria-label={t("order.contents")}>
      <h2>{t("order.contents")}</h2>
      <ul class="summary-lines">
        {order.lines.map((line) => (
          <li key={line.line_number}>
            <span>
              {line.quantity} × {line.title}
            </span>
            <span>{money(line.amount)}</span>
          </li>
        ))}
      </ul>
      <p class="total">
        <span>{t("total")}</span> <strong>{money(order.total)}</strong>
      </p>
      {isName(`payment.${order.payment_state}`) && (
        <p class="hint">{t(`payment.${order.payment_state}` as TextName)}</p>
      )}
    </section>
  );
}

function Address({ order }: { order: Order }): JSX.Element {
  const { t, language } = useTexts();
  const to = order.ship_to;
  const lines = [
    ...(to.recipients ?? []),
    ...(to.address_lines ?? []),
    `${to.postal_code ?? ""} ${to.locality ?? ""}`.trim(),
    countryName(to.region_code, language),
  ];
  return (
    <section class="card" aria-label={t("address")}>
      <h2>{t("address")}</h2>
      <address>
        {lines.map((line, index) => (
          <span key={index}>{line}</span>
        ))}
      </address>
    </section>
  );
}

function Cancel({ order, onCancelled }: { order: Order; onCancelled(order: Order): void }): JSX.Element {
  const api = useApi();
  const texts = useTexts();
  const { t } = texts;
  const [isAsked, setAsked] = useState(false);
  const requestKey = useRequestKey();
  const cancelling = useAction(async () => {
    const answer = await api.POST("/v1/orders/{order_id}:cancel", {
      params: {
        path: { order_id: order.order_id },
        header: { "Idempotency-Key": requestKey.keyFor(order.order_id) },
      },
      body: { reason: "cancelled by the buyer" },
    });
    onCancelled(unwrap(answer));
    setAsked(false);
  });
  if (!isAsked) {
    return (
      <button type="button" class="button button-quiet" onClick={() => setAsked(true)}>
        {t("order.cancel")}
      </button>
    );
  }
  return (
    <div class="card confirm" role="group" aria-label={t("order.cancelSure")}>
      <p>{t("order.cancelSure")}</p>
      {cancelling.error !== null && <Notice tone="bad" title={problemText(texts, cancelling.error)} />}
      <div class="buttons">
        <BusyButton
          kind="danger"
          label={t("order.cancelYes")}
          busyLabel={t("order.cancelling")}
          isBusy={cancelling.isBusy}
          onClick={cancelling.run}
        />
        <button type="button" class="button" onClick={() => setAsked(false)}>
          {t("order.cancelNo")}
        </button>
      </div>
    </div>
  );
}
