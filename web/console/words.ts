/** How the console says what the API's words mean. */
import type { Order, Parcel, ParkedEvent } from "@sampan/client";

import type { Tone } from "../shared/parts";

export const LANGUAGE = "en-GB";
export const SITE = "Sampan console";

export const ORDER_STATES = {
  pending: "Pending",
  awaiting_payment: "Awaiting payment",
  confirmed: "Confirmed",
  fulfilling: "Fulfilling",
  shipped: "Shipped",
  delivered: "Delivered",
  cancelling: "Cancelling",
  cancelled: "Cancelled",
  expired: "Expired",
  rejected: "Rejected",
  unspecified: "Unknown",
} as const satisfies Record<Order["state"], string>;

export const PARCEL_STATES = {
  allocated: "To pack",
  packed: "To ship",
  shipped: "On the way",
  delivered: "Delivered",
  cancelled: "Cancelled",
  unspecified: "Unknown",
} as const satisfies Record<Parcel["state"], string>;

export function toneOfParcel(state: Parcel["state"]): Tone {
  switch (state) {
    case "allocated":
      return "busy";
    case "packed":
      return "warm";
    case "cancelled":
      return "bad";
    default:
      return "good";
  }
}

export const PARK_CAUSES = {
  failed: "Refused",
  unreadable: "Unreadable",
  blocked: "Waits for others",
} as const satisfies Record<ParkedEvent["cause"], string>;

export function toneOfCause(cause: ParkedEvent["cause"]): Tone {
  return cause === "blocked" ? "warm" : "bad";
}

/** The end of an id: enough to tell things apart on one screen. */
export function shortId(id: string): string {
  return id.slice(-8).toUpperCase();
}
