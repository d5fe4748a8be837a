/**
 * Places an order, repeats it as after a lost answer, reads it back, and shows what a refusal looks like.
 *
 * SAMPAN_URL=http://127.0.0.1:8080 SAMPAN_API_KEY=... node examples/lib/place-order.js SKU
 */
import { randomUUID } from "node:crypto";

import { createSampan, SampanProblem, unwrap, type PlaceOrder } from "@sampan/client";

const [sku] = process.argv.slice(2);
const { SAMPAN_URL: baseUrl, SAMPAN_API_KEY: apiKey } = process.env;
if (sku === undefined || baseUrl === undefined || apiKey === undefined) {
  throw new Error("usage: SAMPAN_URL=... SAMPAN_API_KEY=... place-order.js SKU");
}

const client = createSampan({ baseUrl, apiKey });
const body: PlaceOrder = {
  buyer_ref: "buyer-1",
  currency_code: "EUR",
  payment_terms: "prepaid",
  lines: [{ sku, quantity: 1 }],
  ship_to: { region_code: "ES", postal_code: "28013", locality: "Madrid", address_lines: ["Gran Via 1"] },
};

// The same key for every try: however often the answer is lost, there is one order.
const header = { "Idempotency-Key": randomUUID(), Prefer: "wait=20" };
const placed = unwrap(await client.POST("/v1/orders", { params: { header }, body }));
const again = await client.POST("/v1/orders", { params: { header }, body });
const read = unwrap(
  await client.GET("/v1/orders/{order_id}", { params: { path: { order_id: placed.order_id } } }),
);

let refusal: string | undefined;
try {
  const lines = [{ sku, quantity: 2 }];
  unwrap(await client.POST("/v1/orders", { params: { header }, body: { ...body, lines } }));
} catch (error) {
  if (!(error instanceof SampanProblem)) {
    throw error;
  }
  refusal = error.reason;
}

console.log(
  JSON.stringify({
    order_id: read.order_id,
    state: read.state,
    total: read.total,
    repeated_order_id: unwrap(again).order_id,
    replayed: again.response.headers.get("Idempotency-Replayed"),
    other_body_with_the_same_key: refusal,
  }),
);
