/** Views by the address's fragment (`#/orders/...`): a link works, so does "back", and the server knows nothing of it. */
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

export interface Place {
  /** The steps of the path, decoded: `#/orders/1` is ["orders", "1"]. */
  steps: string[];
  query: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  return { steps: path.split("/").filter((step) => step !== "").map(decoded), query: new URLSearchParams(query) };
}

export function linkTo(...steps: string[]): string {
  return `#/${steps.map(encodeURIComponent).join("/")}`;
}

export function goTo(link: string): void {
  location.hash = link;
}

/** Goes to a link without leaving a step to come back to. */
export function replaceBy(link: string): void {
  location.replace(link);
}

/** The present place; it changes with the address. */
export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const onChange = (): void => setHash(location.hash);
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return placeOf(hash);
}

/** Tells the browser's title, and takes a reader who came from another view to this one's heading. */
export function useTitle(title: string, site: string): void {
  useLayoutEffect(() => {
    document.title = `${title} · ${site}`;
  }, [title, site]);
}

let isFirstView = true;

/** Called once per view: the page begins at its top, and the focus is on its heading. */
export function useArrival(): void {
  useEffect(() => {
    if (isFirstView) {
      isFirstView = false;
      return;
    }
    scrollTo(0, 0);
    document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
  }, []);
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
