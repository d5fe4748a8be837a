import type { Order } from "@sampan/client";

import type { Tone } from "./parts";

/** How an order's state is tinted. */
export function toneOfState(state: Order["state"]): Tone {
  switch (state) {
    case "delivered":
    case "shipped":
    case "confirmed":
    case "fulfilling":
      return "good";
    case "awaiting_payment":
    case "cancelling":
      return "warm";
    case "cancelled":
    case "expired":
    case "rejected":
      return "bad";
    default:
      return "busy";
  }
}

/** The states in which an order may still be cancelled. */
export function isCancellable(state: Order["state"]): boolean {
  return ["pending", "awaiting_payment", "confirmed", "fulfilling"].includes(state);
}
