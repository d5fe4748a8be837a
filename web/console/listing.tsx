/** What every list of the console has around it: its head, its states, its way on. */
import type { ComponentChildren, JSX } from "preact";

import { detailOf } from "../shared/api";
import { useRefusedKey } from "../shared/key-context";
import type { Paged } from "../shared/paging";
import { Empty, Heading, Loading, Notice } from "../shared/parts";

interface ListHeadProps {
  title: string;
  again(): void;
  children?: ComponentChildren;
}

export function ListHead({ title, again, children }: ListHeadProps): JSX.Element {
  return (
    <div class="list-head">
      <Heading>{title}</Heading>
      <div class="list-tools">
        {children}
        <button type="button" class="button" onClick={again}>
          Refresh
        </button>
      </div>
    </div>
  );
}

interface TabsProps {
  label: string;
  base: string;
  current: string;
  tabs: readonly (readonly [value: string, label: string])[];
  /** What is chosen, as the address names it. */
  name?: string;
  /** What else is chosen, and stays so. */
  kept?: URLSearchParams;
}

/** Links that choose a state, or something else of which there are few. */
export function StateTabs({ label, base, current, tabs, name = "state", kept }: TabsProps): JSX.Element {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(([value, text]) => {
        const query = new URLSearchParams(kept);
        query.set(name, value);
        return (
          <a key={value} href={`${base}?${query.toString()}`} aria-current={value === current ? "true" : undefined}>
            {text}
          </a>
        );
      })}
    </nav>
  );
}

interface ListBodyProps<T> {
  paged: Paged<T>;
  empty: string;
  noun: string;
  children(items: readonly T[]): JSX.Element;
}

export function ListBody<T>({ paged, empty, noun, children }: ListBodyProps<T>): JSX.Element {
  const { loaded, again, more, moreError } = paged;
  useRefusedKey(loaded.state === "failed" ? loaded.error : null);
  const page = loaded.value;
  return (
    <>
      {loaded.state === "failed" && <Failed error={loaded.error} again={again} />}
      {page === undefined && loaded.state === "loading" && <Loading label="Loading" shapes={4} shape="row" />}
      {page !== undefined && (
        <p class="hint" role="status">
          {page.items.length}
          {page.next === "" ? "" : "+"} {noun}
        </p>
      )}
      {page !== undefined && (page.items.length === 0 ? <Empty title={empty} /> : children(page.items))}
      {moreError !== null && <Failed error={moreError} />}
      {page !== undefined && page.next !== "" && (
        <button type="button" class="button" onClick={more}>
          Show more
        </button>
      )}
    </>
  );
}

/** Why something could not be read or done, as the API says it. */
export function Failed({ error, again }: { error: unknown; again?: () => void }): JSX.Element {
  return (
    <Notice
      tone="bad"
      title="That did not work"
      detail={detailOf(error)}
      action={again && { label: "Try again", run: again }}
    />
  );
}
