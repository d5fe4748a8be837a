/** The generated client with this tab's key, and what goes wrong, sorted. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";

import { createSampan, SampanProblem, type Sampan } from "@sampan/client";

export const ApiContext = createContext<Sampan | null>(null);

export function makeApi(apiKey: string): Sampan {
  return createSampan({ baseUrl: location.origin, apiKey });
}

/** The client; only below a `KeyGate`. */
export function useApi(): Sampan {
  const api = useContext(ApiContext);
  if (api === null) {
    throw new Error("there is no key yet");
  }
  return api;
}

/** The refusal's word such as `SOLD_OUT`; `NETWORK` where there was no answer at all. */
export function reasonOf(error: unknown): string {
  if (error instanceof SampanProblem) {
    return error.reason ?? "INTERNAL";
  }
  return "NETWORK";
}

/** What the refusal says of itself, for people who know the system. */
export function detailOf(error: unknown): string {
  if (error instanceof SampanProblem) {
    const places = error.problem?.errors ?? [];
    const where = places.map((place) => place.pointer ?? place.parameter ?? place.header).join(", ");
    const detail = error.problem?.detail ?? `HTTP ${error.status}`;
    return where === "" ? detail : `${detail} (${where})`;
  }
  return "The gateway did not answer. Check the connection and try again.";
}

/** Whether the key itself is refused: then another one is needed. */
export function isKeyRefused(error: unknown): boolean {
  return error instanceof SampanProblem && error.status === 401;
}
