/** Lists that are read page by page, as far as somebody wants to see. */
import { useState } from "preact/hooks";

import { useAction, useLoaded, type Loaded } from "./load";

export interface Page<T> {
  items: T[];
  next: string;
}

export interface Paged<T> {
  loaded: Loaded<Page<T>>;
  /** Looks anew, at the beginning. */
  again(): void;
  /** Reads one more page behind those that are there. */
  more(): void;
  /** Why the last `more` failed. */
  moreError: unknown;
}

/** The list that belongs to `key`; another key begins anew. */
export function usePaged<T>(key: string, ask: (token: string, signal?: AbortSignal) => Promise<Page<T>>): Paged<T> {
  const [first, again] = useLoaded(key, (signal) => ask("", signal));
  // What was read on belongs to the first page that it continues.
  const [further, setFurther] = useState<{ of: Page<T> | undefined; pages: Page<T>[] }>({ of: undefined, pages: [] });
  const pages = first.value === undefined ? [] : [first.value, ...(further.of === first.value ? further.pages : [])];
  const next = pages.at(-1)?.next ?? "";
  const reading = useAction(async () => {
    const page = await ask(next);
    setFurther({ of: first.value, pages: [...pages.slice(1), page] });
  });
  const value = first.value && { items: pages.flatMap((page) => page.items), next };
  return { loaded: { ...first, value } as Loaded<Page<T>>, again, more: reading.run, moreError: reading.error };
}
