/**
 * The API key of this tab. It is taken from the fragment (`#key=...`), which no browser sends anywhere, or from a form;
 * it is gone when the tab is closed, and it is in no address, history or file.
 */
const NAME = "sampan.key";

/** Moves a key from the address into this tab's storage, so that no copied link and no history holds it. */
export function takeKeyFromAddress(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given !== null) {
    saveKey(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
}

export function savedKey(): string | null {
  return sessionStorage.getItem(NAME);
}

export function saveKey(key: string): void {
  sessionStorage.setItem(NAME, key.trim());
}

export function forgetKey(): void {
  sessionStorage.removeItem(NAME);
}
