/** This browser's orders, newest first. */
import { unwrap } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../../shared/api";
import { useLoaded } from "../../shared/load";
import { Badge, Empty, Heading, Loading } from "../../shared/parts";
import { linkTo, useArrival, useTitle } from "../../shared/router";
import { toneOfState } from "../../shared/states";
import { useTexts, type TextName } from "../i18n";
import { LoadFailed } from "../load-failed";
import { buyerRef } from "../settings";

const ORDERS_SHOWN = 50;

export function OrdersView(): JSX.Element {
  const api = useApi();
  const { t, money, time } = useTexts();
  useArrival();
  useTitle(t("orders"), t("site"));
  const [orders, again] = useLoaded("orders", async (signal) => {
    const query = { buyer_ref: buyerRef(), page_size: ORDERS_SHOWN };
    return unwrap(await api.GET("/v1/orders", { params: { query }, signal })).orders;
  });
  return (
    <>
      <Heading>{t("orders")}</Heading>
      {orders.state === "failed" && <LoadFailed error={orders.error} again={again} />}
      {orders.state === "loading" && orders.value === undefined && (
        <Loading label={t("loading")} shapes={3} shape="row" />
      )}
      {orders.value?.length === 0 && (
        <Empty title={t("orders.empty")}>
          <a class="button button-primary" href="#/">
            {t("search.all")}
          </a>
        </Empty>
      )}
      <ul class="order-list">
        {orders.value?.map((order) => (
          <li key={order.order_id} class="card">
            <a href={linkTo("orders", order.order_id)}>
              {t("order.title", { number: order.order_id.slice(-8).toUpperCase() })}
            </a>
            <Badge tone={toneOfState(order.state)}>{t(`state.${order.state}` as TextName)}</Badge>
            <span class="hint">
              {order.lines.map((line) => line.title).join(", ")}
              {order.create_time !== null && ` · ${time(order.create_time)}`}
            </span>
            <strong>{money(order.total)}</strong>
          </li>
        ))}
      </ul>
    </>
  );
}
