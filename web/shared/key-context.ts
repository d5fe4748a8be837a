/** What may be done about the key from within a page. */
import { createContext } from "preact";
import { useContext, useEffect } from "preact/hooks";

import { isKeyRefused } from "./api";

export interface Doors {
  /** The key was refused: ask for another. */
  refuse(): void;
  /** The reader leaves. */
  forget(): void;
}

export const KeyContext = createContext<Doors>({ refuse: () => {}, forget: () => {} });

/** Goes back to the gate where an error says that the key is none. */
export function useRefusedKey(error: unknown): void {
  const { refuse } = useContext(KeyContext);
  useEffect(() => {
    if (isKeyRefused(error)) {
      refuse();
    }
  }, [error]);
}
