/** Sends a file of products. `fetch` tells nothing of a body that is under way, so this is the one call by XMLHttpRequest. */
import { SampanProblem, type ImportReport, type ProblemDocument } from "@sampan/client";

import { savedKey } from "../shared/key";

export const MEDIA_TYPES = { csv: "text/csv", ndjson: "application/x-ndjson" } as const;

/** The media type by a file's name; undefined for what the import does not take. */
export function mediaTypeOf(fileName: string): string | undefined {
  const suffix = fileName.toLowerCase().split(".").pop() ?? "";
  if (suffix === "csv") {
    return MEDIA_TYPES.csv;
  }
  return ["ndjson", "jsonl"].includes(suffix) ? MEDIA_TYPES.ndjson : undefined;
}

interface Upload {
  file: File;
  mediaType: string;
  merchantId: string;
  /** The share of the file that the gateway has taken: it reads no faster than the catalogue keeps up. */
  onProgress(share: number): void;
  signal: AbortSignal;
}

export function importProducts({ file, mediaType, merchantId, onProgress, signal }: Upload): Promise<ImportReport> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = merchantId === "" ? "" : `?${new URLSearchParams({ merchant_id: merchantId }).toString()}`;
    request.open("POST", `/v1/imports/products${query}`);
    request.setRequestHeader("Authorization", `Bearer ${savedKey() ?? ""}`);
    request.setRequestHeader("Content-Type", mediaType);
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.total === 0 ? 1 : event.loaded / event.total);
    request.onload = () => {
      if (request.status === 200) {
        resolve(request.response as ImportReport);
      } else {
        const problem = (request.response ?? undefined) as ProblemDocument | undefined;
        reject(new SampanProblem(request.status, problem, undefined));
      }
    };
    request.onerror = () => reject(new TypeError("the gateway did not answer"));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
