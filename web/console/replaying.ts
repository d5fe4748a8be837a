/** Replays of parked events: many requests, since each tries so much and no more. */
import { unwrap, type ReplayFailure, type Sampan } from "@sampan/client";

export interface Wanted {
  group: string;
  /** Empty: all. */
  aggregateId: string;
  acrossGaps: boolean;
}

export interface Replayed {
  events: number;
  failures: readonly ReplayFailure[];
}

/** Goes on until every aggregate was tried or nobody wants to know any more; tells after each step what was done so far. */
export async function replay(
  api: Sampan,
  { group, aggregateId, acrossGaps }: Wanted,
  tell: (sofar: Replayed) => void,
  signal: AbortSignal,
): Promise<void> {
  let sofar: Replayed = { events: 0, failures: [] };
  let token = "";
  do {
    const body = { group, aggregate_id: aggregateId, across_gaps: acrossGaps, page_token: token };
    const step = unwrap(await api.POST("/v1/parked-events:replay", { body, signal }));
    sofar = { events: sofar.events + step.replayed, failures: [...sofar.failures, ...step.failures] };
    tell(sofar);
    token = step.next_page_token;
  } while (token !== "" && !signal.aborted);
}
