/** An order as it stands, kept current by its stream: no reload, no polling. */
import { unwrap, type Order, type OrderTransition, type Sampan } from "@sampan/client";
import { useEffect, useState } from "preact/hooks";

import { useApi } from "./api";
import { follow } from "./follow";

export interface LiveOrder {
  order: Order | undefined;
  history: OrderTransition[];
  isLive: boolean;
  error: unknown;
  /** Shows an order that an action has just answered. */
  show(order: Order): void;
  again(): void;
}

export function useLiveOrder(orderId: string): LiveOrder {
  const api = useApi();
  const [known, setKnown] = useState<{ order: Order; history: OrderTransition[] }>();
  const [isLive, setLive] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const watching = new AbortController();
    const { signal } = watching;
    setError(null);
    const refresh = async (): Promise<void> => {
      const [order, history] = await readOrder(api, orderId, signal);
      setKnown((before) => (before && before.order.version > order.version ? before : { order, history }));
    };
    const fail = (failure: unknown): void => {
      if (!signal.aborted) {
        setError(failure);
      }
    };
    follow(
      api,
      orderId,
      {
        onChange: () => void refresh().catch(fail),
        onLive: (live) => {
          if (!signal.aborted) {
            setLive(live);
          }
        },
      },
      signal,
    ).catch(fail);
    return () => watching.abort();
  }, [orderId, round]);
  return {
    order: known?.order,
    history: known?.history ?? [],
    isLive,
    error,
    show: (order) => setKnown((before) => ({ order, history: before?.history ?? [] })),
    again: () => setRound((before) => before + 1),
  };
}

async function readOrder(api: Sampan, orderId: string, signal: AbortSignal): Promise<[Order, OrderTransition[]]> {
  const params = { path: { order_id: orderId } };
  const [order, history] = await Promise.all([
    api.GET("/v1/orders/{order_id}", { params, signal }),
    api.GET("/v1/orders/{order_id}/history", { params, signal }),
  ]);
  return [unwrap(order), unwrap(history).transitions];
}
