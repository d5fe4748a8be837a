/**
 * The client of the Sampan API. Paths, bodies and answers are typed by `schema.ts`, which is generated from the
 * OpenAPI document; this file only adds the key and turns refusals into exceptions for those who want that.
 */
import createFetchClient, { type Client, type ClientOptions } from "openapi-fetch";

import type { paths, ProblemDocument } from "./schema.js";

export type * from "./schema.js";

/** Every operation by method and path: `client.POST("/v1/orders", ...)`. */
export type Sampan = Client<paths>;

export interface SampanOptions extends ClientOptions {
  /** Address of the gateway, such as `https://api.example.com`. */
  baseUrl: string;
  /** An API key. Leave it out in a browser: there a session of your own backend belongs between. */
  apiKey?: string;
}

/** A client whose requests carry the key. */
export function createSampan({ apiKey, ...options }: SampanOptions): Sampan {
  const client = createFetchClient<paths>(options);
  if (apiKey !== undefined) {
    client.use({
      onRequest({ request }) {
        request.headers.set("Authorization", `Bearer ${apiKey}`);
        return request;
      },
    });
  }
  return client;
}

/** What `unwrap` throws: the problem document of a refusal (RFC 9457). */
export class SampanProblem extends Error {
  override readonly name = "SampanProblem";

  constructor(
    readonly status: number,
    readonly problem: ProblemDocument | undefined,
    /** Seconds to wait before the same request may be repeated with the same Idempotency-Key. */
    readonly retryAfterSeconds: number | undefined,
  ) {
    super(problem === undefined ? `HTTP ${status}` : `${problem.reason}: ${problem.detail}`);
  }

  /** The kind of refusal as a word, such as `SKU_UNKNOWN`. */
  get reason(): string | undefined {
    return this.problem?.reason;
  }
}

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The document of an answer; throws `SampanProblem` where it is a refusal. */
export function unwrap<T>({ data, error, response }: Answered<T>): T {
  if (data !== undefined) {
    return data;
  }
  const pause = Number(response.headers.get("Retry-After"));
  throw new SampanProblem(response.status, problemIn(error), pause > 0 ? pause : undefined);
}

/** A proxy in between may answer with something else. */
function problemIn(error: unknown): ProblemDocument | undefined {
  return typeof error === "object" && error !== null && "reason" in error
    ? (error as ProblemDocument)
    : undefined;
}
