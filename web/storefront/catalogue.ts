/** Products as a storefront shows them: read once, searched here. */
import { unwrap, type Availability, type Money, type Product, type Sampan, type Variant } from "@sampan/client";

import type { Language } from "./settings";

const PAGE_SIZE = 200;
/** So many products are read; a larger catalogue wants a search of its own behind the storefront. */
export const PRODUCTS_MAX = 1_000;
const SKUS_MAX = 5_000;

export interface Catalogue {
  products: Product[];
  /** Whether there are more than are shown. */
  isCut: boolean;
  sellers: ReadonlyMap<string, string>;
}

export async function readCatalogue(api: Sampan, signal: AbortSignal): Promise<Catalogue> {
  const [sellers, products] = await Promise.all([readSellers(api, signal), readProducts(api, signal)]);
  return { ...products, sellers };
}

async function readProducts(api: Sampan, signal: AbortSignal): Promise<{ products: Product[]; isCut: boolean }> {
  const products: Product[] = [];
  let token = "";
  do {
    const query = { status: "active", page_size: PAGE_SIZE, ...(token === "" ? {} : { page_token: token }) } as const;
    const page = unwrap(await api.GET("/v1/products", { params: { query }, signal }));
    products.push(...page.products);
    token = "next_page_token" in page ? page.next_page_token : "";
  } while (token !== "" && products.length < PRODUCTS_MAX);
  return { products, isCut: token !== "" };
}

async function readSellers(api: Sampan, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const page = unwrap(await api.GET("/v1/merchants", { params: { query: { page_size: PAGE_SIZE } }, signal }));
  return new Map(page.merchants.map((merchant) => [merchant.merchant_id, merchant.display_name]));
}

/** What can be sent to a country, by SKU. */
export async function readAvailability(
  api: Sampan,
  skus: readonly string[],
  country: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Availability>> {
  if (skus.length === 0) {
    return new Map();
  }
  const body = { skus: skus.slice(0, SKUS_MAX), region_code: country };
  const batch = unwrap(await api.POST("/v1/availability:batchGet", { body, signal }));
  return new Map(batch.availabilities.map((one) => [one.sku, one]));
}

export interface Spoken {
  text: string;
  /** The language that the text is in: not always the one that was wished for. */
  language: string;
}

/** A product's text in a language, else in English, else in whatever there is. */
export function spoken(texts: Record<string, string> | undefined, language: Language): Spoken {
  const known = texts ?? {};
  const tag = [language, "en", ...Object.keys(known)].find((one) => known[one]);
  return tag === undefined ? { text: "", language } : { text: known[tag] ?? "", language: tag };
}

export function priceOf(variant: Variant, currency: string): Money | undefined {
  return variant.prices?.find((price) => price.currency_code === currency);
}

/** The least price of a product, and whether others are higher. */
export function priceFrom(product: Product, currency: string): { price: Money; isLeast: boolean } | undefined {
  const prices = (product.variants ?? []).flatMap((variant) => priceOf(variant, currency) ?? []);
  const sorted = prices.sort((one, other) => Number(one.amount) - Number(other.amount));
  const [price] = sorted;
  return price && { price, isLeast: sorted.at(-1)?.amount !== price.amount };
}

/** The quickest way to a country in days, of those warehouses that have some. */
export function transitOf(availability: Availability | undefined): [least: number, most: number] | undefined {
  const ways = (availability?.warehouses ?? []).filter((one) => one.available > 0 && one.transit_days_max != null);
  const quickest = ways.sort((one, other) => (one.transit_days_max ?? 0) - (other.transit_days_max ?? 0))[0];
  return quickest && [quickest.transit_days_min ?? 0, quickest.transit_days_max ?? 0];
}

/** Of a category's path the first step: `hair` of `hair/wigs`. */
export function departmentOf(product: Product): string {
  return product.category?.split("/")[0] ?? "";
}

/** The products of a department in which every word is found, whatever language it is in, accents aside. */
export function found(products: readonly Product[], words: string, department: string): Product[] {
  const wanted = folded(words).split(/\s+/).filter((word) => word !== "");
  return products.filter((product) => {
    if (department !== "" && departmentOf(product) !== department) {
      return false;
    }
    const text = folded(
      [
        ...Object.values(product.titles ?? {}),
        product.category ?? "",
        ...(product.variants ?? []).flatMap((variant) => [variant.sku, ...Object.values(variant.options ?? {})]),
      ].join(" "),
    );
    return wanted.every((word) => text.includes(word));
  });
}

function folded(text: string): string {
  // Only Latin accents: in Thai, marks are letters.
  return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize("NFC").toLowerCase();
}

/** One of some grounds for a product's picture, always the same one. */
export function toneOf(productId: string): number {
  let sum = 0;
  for (const character of productId) {
    sum = (sum * 31 + character.charCodeAt(0)) % 997;
  }
  return sum % 6;
}
