/** One order, live: its way, its goods, its parcels, its address; and its cancellation. */
import { unwrap, type Order, type OrderTransition } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../../shared/api";
import { countryName, formatMoney, formatTime } from "../../shared/format";
import { useRefusedKey } from "../../shared/key-context";
import { useLiveOrder } from "../../shared/live-order";
import { useAction, useRequestKey } from "../../shared/load";
import { Badge, BusyButton, Heading, Loading } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { isCancellable, toneOfState } from "../../shared/states";
import { stepsOf, Timeline } from "../../shared/timeline";
import { Failed } from "../listing";
import { LANGUAGE, ORDER_STATES, PARCEL_STATES, shortId, SITE, toneOfParcel } from "../words";

export function OrderView({ orderId }: { orderId: string }): JSX.Element {
  const live = useLiveOrder(orderId);
  useRefusedKey(live.error);
  if (live.order === undefined) {
    return live.error === null ? (
      <Loading label="Loading" shapes={3} shape="row" />
    ) : (
      <>
        <Heading>Order</Heading>
        <Failed error={live.error} again={live.again} />
      </>
    );
  }
  return <Page order={live.order} history={live.history} isLive={live.isLive} show={live.show} />;
}

interface PageProps {
  order: Order;
  history: OrderTransition[];
  isLive: boolean;
  show(order: Order): void;
}

function Page({ order, history, isLive, show }: PageProps): JSX.Element {
  useArrival();
  useTitle(`Order ${shortId(order.order_id)}`, SITE);
  return (
    <>
      <div class="list-head">
        <div class="titled">
          <Heading>Order {shortId(order.order_id)}</Heading>
          <Badge tone={toneOfState(order.state)}>{ORDER_STATES[order.state]}</Badge>
          <span class={isLive ? "live live-on" : "live"}>{isLive ? "Live" : "Not live"}</span>
        </div>
        {isCancellable(order.state) && <Cancel order={order} onCancelled={show} />}
      </div>
      <p class="unseen" role="status">
        State: {ORDER_STATES[order.state]}
      </p>
      <div class="columns">
        <section class="card block" aria-label="Way">
          <h2>Way</h2>
          <Timeline
            steps={stepsOf(order, history)}
            label="Way"
            wordOf={(state) => ORDER_STATES[state]}
            timeOf={(moment) => formatTime(moment, LANGUAGE)}
            aheadWord="(still to come)"
          />
        </section>
        <div class="column">
          <Goods order={order} />
          <Parcels order={order} />
          <Facts order={order} />
        </div>
      </div>
    </>
  );
}

function Goods({ order }: { order: Order }): JSX.Element {
  return (
    <section class="card block" aria-label="Goods">
      <h2>Goods</h2>
      <ul class="rows">
        {order.lines.map((line) => (
          <li key={line.line_number}>
            <span>
              {line.quantity} × {line.title} <span class="hint">{line.sku}</span>
            </span>
            <span>{formatMoney(line.amount, LANGUAGE)}</span>
          </li>
        ))}
        <li class="rows-total">
          <span>Total</span>
          <strong>{formatMoney(order.total, LANGUAGE)}</strong>
        </li>
      </ul>
    </section>
  );
}

function Parcels({ order }: { order: Order }): JSX.Element | null {
  if (order.parcels.length === 0) {
    return null;
  }
  return (
    <section class="card block" aria-label="Parcels">
      <h2>Parcels</h2>
      <ul class="rows">
        {order.parcels.map((parcel) => (
          <li key={parcel.parcel_id}>
            <span>
              {shortId(parcel.parcel_id)} <span class="hint">from {parcel.warehouse_id}</span>
            </span>
            <span>
              <span class="hint">
                {parcel.carrier} {parcel.tracking_number}
              </span>{" "}
              {parcel.state === "unspecified" ? null : (
                <Badge tone={toneOfParcel(parcel.state)}>{PARCEL_STATES[parcel.state]}</Badge>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ order }: { order: Order }): JSX.Element {
  const to = order.ship_to;
  const address = [
    ...(to.recipients ?? []),
    ...(to.address_lines ?? []),
    `${to.postal_code ?? ""} ${to.locality ?? ""}`.trim(),
    countryName(to.region_code, LANGUAGE),
  ];
  return (
    <section class="card block" aria-label="Facts">
      <h2>Facts</h2>
      <dl class="facts">
        <dt>Send to</dt>
        <dd>{address.join(", ")}</dd>
        <dt>Payment</dt>
        <dd>
          {order.payment_terms.replace("_", " ")}, {order.payment_state.replace("_", " ")}
        </dd>
        <dt>Merchant</dt>
        <dd>{order.merchant_id}</dd>
        <dt>Buyer</dt>
        <dd>{order.buyer_ref}</dd>
        {order.sourcing !== "" && (
          <>
            <dt>Sourcing</dt>
            <dd>{order.sourcing}</dd>
          </>
        )}
        {order.reason !== "" && (
          <>
            <dt>Reason</dt>
            <dd>{order.reason}</dd>
          </>
        )}
        <dt>Order id</dt>
        <dd class="id">{order.order_id}</dd>
      </dl>
    </section>
  );
}

function Cancel({ order, onCancelled }: { order: Order; onCancelled(order: Order): void }): JSX.Element {
  const api = useApi();
  const requestKey = useRequestKey();
  const cancelling = useAction(async () => {
    if (!confirm(`Cancel order ${shortId(order.order_id)}? This cannot be taken back.`)) {
      return;
    }
    const answer = await api.POST("/v1/orders/{order_id}:cancel", {
      params: {
        path: { order_id: order.order_id },
        header: { "Idempotency-Key": requestKey.keyFor(order.order_id) },
      },
      body: { reason: "cancelled by an operator" },
    });
    onCancelled(unwrap(answer));
  });
  return (
    <>
      <BusyButton
        kind="danger"
        label="Cancel order"
        busyLabel="Cancelling…"
        isBusy={cancelling.isBusy}
        onClick={cancelling.run}
      />
      {cancelling.error !== null && <Failed error={cancelling.error} />}
    </>
  );
}
