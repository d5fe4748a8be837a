/** Orders by state, newest first. */
import { unwrap, type Order } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../../shared/api";
import { countryName, formatMoney, formatTime } from "../../shared/format";
import { usePaged } from "../../shared/paging";
import { Badge } from "../../shared/parts";
import { linkTo, useArrival, useTitle } from "../../shared/router";
import { toneOfState } from "../../shared/states";
import { ListBody, ListHead, StateTabs } from "../listing";
import { LANGUAGE, ORDER_STATES, shortId, SITE } from "../words";

const ALL = "all";
type StateWord = Exclude<Order["state"], "unspecified">;

const TABS: readonly (readonly [string, string])[] = [
  [ALL, "All"],
  ...Object.entries(ORDER_STATES).filter(([state]) => state !== "unspecified"),
];

export function OrdersView({ query }: { query: URLSearchParams }): JSX.Element {
  const api = useApi();
  const state = query.get("state") ?? ALL;
  useArrival();
  useTitle("Orders", SITE);
  const orders = usePaged(state, async (token, signal) => {
    const wanted = {
      page_size: 50,
      ...(state === ALL ? {} : { state: state as StateWord }),
      ...(token === "" ? {} : { page_token: token }),
    };
    const page = unwrap(await api.GET("/v1/orders", { params: { query: wanted }, ...(signal && { signal }) }));
    return { items: page.orders, next: page.next_page_token };
  });
  return (
    <>
      <ListHead title="Orders" again={orders.again} />
      <StateTabs label="State" base="#/orders" current={state} tabs={TABS} />
      <ListBody paged={orders} empty="There are no such orders" noun="orders">
        {(items) => (
          <div class="card table-card">
            <table>
              <thead>
                <tr>
                  <th scope="col">Order</th>
                  <th scope="col">State</th>
                  <th scope="col">To</th>
                  <th scope="col">Goods</th>
                  <th scope="col" class="number">
                    Total
                  </th>
                  <th scope="col">Placed</th>
                </tr>
              </thead>
              <tbody>
                {items.map((order) => (
                  <Row key={order.order_id} order={order} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </ListBody>
    </>
  );
}

function Row({ order }: { order: Order }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        <a href={linkTo("orders", order.order_id)}>{shortId(order.order_id)}</a>
      </th>
      <td data-label="State">
        <Badge tone={toneOfState(order.state)}>{ORDER_STATES[order.state]}</Badge>
      </td>
      <td data-label="To">{countryName(order.ship_to.region_code, LANGUAGE)}</td>
      <td data-label="Goods">{order.lines.map((line) => `${line.quantity} × ${line.title || line.sku}`).join(", ")}</td>
      <td data-label="Total" class="number">
        {formatMoney(order.total, LANGUAGE)}
      </td>
      <td data-label="Placed">{order.create_time !== null && formatTime(order.create_time, LANGUAGE)}</td>
    </tr>
  );
}
