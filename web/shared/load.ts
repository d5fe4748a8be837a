/** Asking the API from a component, with all that can come of it. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { newId } from "./ids";

export type Loaded<T> =
  | { state: "loading"; value: T | undefined }
  | { state: "failed"; error: unknown; value: T | undefined }
  | { state: "there"; value: T };

/** What `ask` answers, asked again whenever `key` changes or `again` is called; an older answer is never shown late. */
export function useLoaded<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): [Loaded<T>, () => void] {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "loading", value: undefined });
  const [round, setRound] = useState(0);
  const shown = useRef(key);
  useEffect(() => {
    const asking = new AbortController();
    const keep = shown.current === key;
    shown.current = key;
    setLoaded((before) => ({ state: "loading", value: keep ? before.value : undefined }));
    ask(asking.signal).then(
      (value) => {
        if (!asking.signal.aborted) {
          setLoaded({ state: "there", value });
        }
      },
      (error: unknown) => {
        if (!asking.signal.aborted) {
          setLoaded((before) => ({ state: "failed", error, value: before.value }));
        }
      },
    );
    return () => asking.abort();
  }, [key, round]);
  const again = useCallback(() => setRound((before) => before + 1), []);
  return [loaded, again];
}

/** The value, or the last that there was while there is none. */
export function useLatest<T>(value: T | undefined): T | undefined {
  const latest = useRef(value);
  if (value !== undefined) {
    latest.current = value;
  }
  return latest.current;
}

export interface Action {
  isBusy: boolean;
  error: unknown;
  run(): void;
}

/** Something that a person starts, once at a time. */
export function useAction(act: () => Promise<void>): Action {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const isRunning = useRef(false);
  const run = (): void => {
    if (isRunning.current) {
      return;
    }
    isRunning.current = true;
    setBusy(true);
    setError(null);
    act()
      .catch(setError)
      .finally(() => {
        isRunning.current = false;
        setBusy(false);
      });
  };
  return { isBusy, error, run };
}

/**
 * An Idempotency-Key for one piece of content: the same content keeps its key, so that a repetition after a broken
 * answer has no second effect. `renew` is for after a refusal that is stored.
 */
export function useRequestKey(): { keyFor(content: unknown): string; renew(): void } {
  const kept = useRef({ content: "", key: "" });
  return {
    keyFor(content) {
      const text = JSON.stringify(content);
      if (kept.current.content !== text) {
        kept.current = { content: text, key: newId() };
      }
      return kept.current.key;
    },
    renew() {
      kept.current = { content: "", key: "" };
    },
  };
}
