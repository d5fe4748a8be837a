/** Imports a file of products: how far it is, what became of it, and every row that was refused. */
import { unwrap, type ImportReport } from "@sampan/client";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { formatNumber } from "../../shared/format";
import { useRefusedKey } from "../../shared/key-context";
import { useAction, useLoaded } from "../../shared/load";
import { BusyButton, Choice, Heading, Notice } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { Failed } from "../listing";
import { importProducts, mediaTypeOf } from "../upload";
import { LANGUAGE, SITE } from "../words";

export function ImportView(): JSX.Element {
  const [file, setFile] = useState<File | null>(null);
  const [merchant, setMerchant] = useState("");
  const [share, setShare] = useState(0);
  const [report, setReport] = useState<ImportReport | null>(null);
  const [isStopped, setStopped] = useState(false);
  const running = useRef<AbortController | null>(null);
  useArrival();
  useTitle("Imports", SITE);
  const mediaType = file === null ? undefined : mediaTypeOf(file.name);
  const importing = useAction(async () => {
    if (file === null || mediaType === undefined) {
      return;
    }
    const stopping = new AbortController();
    running.current = stopping;
    setReport(null);
    setStopped(false);
    setShare(0);
    try {
      setReport(
        await importProducts({ file, mediaType, merchantId: merchant, onProgress: setShare, signal: stopping.signal }),
      );
    } catch (error) {
      if (stopping.signal.aborted) {
        setStopped(true);
        return;
      }
      throw error;
    }
  });
  useRefusedKey(importing.error);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    importing.run();
  };
  return (
    <>
      <Heading>Import products</Heading>
      <form class="card block import" onSubmit={submit}>
        <label class="field">
          <span class="label">File</span>
          <input
            type="file"
            name="file"
            accept=".csv,.ndjson,.jsonl"
            required
            onChange={(event) => setFile(event.currentTarget.files?.[0] ?? null)}
          />
          <span class="hint">CSV with a header, or NDJSON with one product on each line.</span>
        </label>
        <Merchants value={merchant} onChange={setMerchant} />
        {file !== null && mediaType === undefined && (
          <Notice tone="warm" title="The file's name must end in .csv, .ndjson or .jsonl" />
        )}
        <div class="buttons">
          <BusyButton
            type="submit"
            kind="primary"
            label="Import"
            busyLabel="Importing…"
            isBusy={importing.isBusy}
          />
          {importing.isBusy && (
            <button type="button" class="button" onClick={() => running.current?.abort()}>
              Stop
            </button>
          )}
        </div>
        {importing.isBusy && <Progress share={share} />}
      </form>
      {isStopped && (
        <Notice
          tone="warm"
          title="The import was stopped"
          detail="Rows that had been taken are kept. Importing the file again changes nothing about them."
        />
      )}
      {importing.error !== null && <Failed error={importing.error} />}
      {report !== null && <Report report={report} />}
    </>
  );
}

function Merchants({ value, onChange }: { value: string; onChange(value: string): void }): JSX.Element {
  const api = useApi();
  const [merchants] = useLoaded("merchants", async (signal) => {
    const query = { page_size: 200 };
    return unwrap(await api.GET("/v1/merchants", { params: { query }, signal })).merchants;
  });
  const options = (merchants.value ?? []).map((one) => [one.merchant_id, one.display_name] as const);
  return (
    <Choice
      label="Merchant of rows that name none"
      value={value}
      options={[["", "None: every row names its own"], ...options]}
      onChange={onChange}
    />
  );
}

function Progress({ share }: { share: number }): JSX.Element {
  const percent = Math.floor(share * 100);
  const text = share < 1 ? `${percent} % of the file is taken` : "All is sent; the last rows are being kept";
  return (
    <div class="progress">
      <progress aria-label="Import" max={1} value={share} />
      <span role="status">{text}</span>
    </div>
  );
}

function Report({ report }: { report: ImportReport }): JSX.Element {
  const counts = [
    ["Read", report.read],
    ["Created", report.created],
    ["Updated", report.updated],
    ["Unchanged", report.unchanged],
    ["Refused", report.failed],
  ] as const;
  return (
    <section class="card block" aria-label="Report">
      <h2>Report</h2>
      <Notice
        tone={report.failed === 0 ? "good" : "warm"}
        title={
          report.failed === 0
            ? "Every row was taken"
            : `${formatNumber(report.failed, LANGUAGE)} of ${formatNumber(report.read, LANGUAGE)} rows were refused`
        }
      />
      <dl class="counts">
        {counts.map(([label, count]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{formatNumber(count, LANGUAGE)}</dd>
          </div>
        ))}
      </dl>
      {report.errors.length > 0 && <Errors report={report} />}
    </section>
  );
}

function Errors({ report }: { report: ImportReport }): JSX.Element {
  return (
    <>
      <table>
        <caption class="unseen">Rows that were refused</caption>
        <thead>
          <tr>
            <th scope="col" class="number">
              Line
            </th>
            <th scope="col">Field</th>
            <th scope="col">Reason</th>
            <th scope="col">What is wrong</th>
          </tr>
        </thead>
        <tbody>
          {report.errors.map((fault, index) => (
            <tr key={index}>
              <th scope="row" class="number">
                {fault.line}
              </th>
              <td data-label="Field" class="id">
                {fault.field}
              </td>
              <td data-label="Reason">{fault.reason}</td>
              <td data-label="What is wrong">{fault.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {report.errors_not_shown > 0 && (
        <p class="hint">{formatNumber(report.errors_not_shown, LANGUAGE)} further rows were refused.</p>
      )}
    </>
  );
}
