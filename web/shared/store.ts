/** Values that outlive a page, in this browser only. */
import { useEffect, useState } from "preact/hooks";

export interface Stored<T> {
  get(): T;
  set(value: T): void;
  /** The value as a component's state. */
  use(): T;
}

/** A value in local storage. What was stored by an older page and is no longer understood counts as absent. */
export function stored<T>(name: string, initial: T, isValid: (value: unknown) => value is T): Stored<T> {
  const key = `sampan.${name}`;
  const listeners = new Set<(value: T) => void>();
  let current = read(key, initial, isValid);
  // Another tab's change is ours as well.
  addEventListener("storage", (event) => {
    if (event.key === key) {
      current = read(key, initial, isValid);
      listeners.forEach((listener) => listener(current));
    }
  });
  return {
    get: () => current,
    set(value) {
      current = value;
      localStorage.setItem(key, JSON.stringify(value));
      listeners.forEach((listener) => listener(value));
    },
    use() {
      const [value, setValue] = useState(current);
      useEffect(() => {
        listeners.add(setValue);
        setValue(() => current);
        return () => void listeners.delete(setValue);
      }, []);
      return value;
    },
  };
}

function read<T>(key: string, initial: T, isValid: (value: unknown) => value is T): T {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    return isValid(found) ? found : initial;
  } catch {
    return initial;
  }
}

/** A check for one of some words. */
export function oneOf<T extends string>(words: readonly T[]): (value: unknown) => value is T {
  return (value): value is T => words.some((word) => word === value);
}
