/** Stock by warehouse and SKU. */
import { unwrap, type Stock } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { formatNumber, formatTime } from "../../shared/format";
import { usePaged } from "../../shared/paging";
import { goTo, useArrival, useTitle } from "../../shared/router";
import { ListBody, ListHead } from "../listing";
import { useWarehouses, WarehouseChoice } from "../warehouses";
import { LANGUAGE, SITE } from "../words";

export function StockView({ query }: { query: URLSearchParams }): JSX.Element {
  const api = useApi();
  const warehouses = useWarehouses();
  const warehouse = query.get("warehouse") ?? "";
  const sku = query.get("sku") ?? "";
  const [typed, setTyped] = useState(sku);
  useArrival();
  useTitle("Stock", SITE);
  const stock = usePaged(`${warehouse} ${sku}`, async (token, signal) => {
    const wanted = {
      page_size: 100,
      ...(warehouse === "" ? {} : { warehouse_id: warehouse }),
      ...(sku === "" ? {} : { sku }),
      ...(token === "" ? {} : { page_token: token }),
    };
    const page = unwrap(await api.GET("/v1/stock", { params: { query: wanted }, ...(signal && { signal }) }));
    return { items: page.stock, next: page.next_page_token };
  });
  const show = (next: { warehouse?: string; sku?: string }): void => {
    goTo(`#/stock?${new URLSearchParams({ warehouse, sku, ...next }).toString()}`);
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    show({ sku: typed.trim() });
  };
  return (
    <>
      <ListHead title="Stock" again={stock.again}>
        <WarehouseChoice warehouses={warehouses} value={warehouse} onChange={(value) => show({ warehouse: value })} />
        <form class="filter" role="search" onSubmit={submit}>
          <label class="field">
            <span class="label">SKU</span>
            <input
              type="search"
              name="sku"
              value={typed}
              maxLength={64}
              autocomplete="off"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="button">
            Find
          </button>
        </form>
      </ListHead>
      <ListBody paged={stock} empty="There is no such stock" noun="rows of stock">
        {(items) => (
          <div class="card table-card">
            <table>
              <thead>
                <tr>
                  <th scope="col">SKU</th>
                  <th scope="col">Warehouse</th>
                  <th scope="col">Merchant</th>
                  <th scope="col" class="number">
                    On hand
                  </th>
                  <th scope="col" class="number">
                    Reserved
                  </th>
                  <th scope="col" class="number">
                    Available
                  </th>
                  <th scope="col">Last changed</th>
                </tr>
              </thead>
              <tbody>
                {items.map((row) => (
                  <Row key={`${row.sku} ${row.warehouse_id}`} row={row} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </ListBody>
    </>
  );
}

function Row({ row }: { row: Stock }): JSX.Element {
  return (
    <tr>
      <th scope="row" class="id">
        {row.sku}
      </th>
      <td data-label="Warehouse">{row.warehouse_id}</td>
      <td data-label="Merchant">{row.merchant_id}</td>
      <td data-label="On hand" class="number">
        {formatNumber(row.on_hand, LANGUAGE)}
      </td>
      <td data-label="Reserved" class="number">
        {formatNumber(row.reserved, LANGUAGE)}
      </td>
      <td data-label="Available" class={row.available === 0 ? "number none" : "number"}>
        {formatNumber(row.available, LANGUAGE)}
      </td>
      <td data-label="Last changed">{row.update_time !== null && formatTime(row.update_time, LANGUAGE)}</td>
    </tr>
  );
}
