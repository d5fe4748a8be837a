/** The live changes of an order: Server-Sent Events, read by `fetch`, since `EventSource` can send no key. */
import { SampanProblem, unwrap, type OrderChange, type Sampan } from "@sampan/client";

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 15_000;

export interface Follower {
  onChange(change: OrderChange): void;
  /** Whether the stream is open; while it is not, it is tried again. */
  onLive(live: boolean): void;
}

/** Tells every change until a final one; comes back after each break. Throws where the order is not there for us. */
export async function follow(api: Sampan, orderId: string, to: Follower, signal: AbortSignal): Promise<void> {
  let pauseMs = PAUSE_MS_MIN;
  while (!signal.aborted) {
    try {
      for await (const change of changes(api, orderId, signal)) {
        pauseMs = PAUSE_MS_MIN;
        to.onLive(true);
        to.onChange(change);
        if (change.final) {
          to.onLive(false);
          return;
        }
      }
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (error instanceof SampanProblem && error.status >= 400 && error.status < 500 && error.status !== 429) {
        throw error;
      }
      const wantedMs = error instanceof SampanProblem ? (error.retryAfterSeconds ?? 0) * 1_000 : 0;
      pauseMs = Math.max(pauseMs, wantedMs);
    }
    to.onLive(false);
    await pause(pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
  }
}

async function* changes(api: Sampan, orderId: string, signal: AbortSignal): AsyncGenerator<OrderChange> {
  const answer = await api.GET("/v1/orders/{order_id}/events", {
    params: { path: { order_id: orderId } },
    parseAs: "stream",
    signal,
  });
  const body = unwrap(answer);
  if (body === null) {
    return;
  }
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: ")) {
        yield JSON.parse(line.slice("data: ".length)) as OrderChange;
      }
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
