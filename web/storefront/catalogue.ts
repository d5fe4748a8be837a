/** Products as a storefront shows them. */
import { unwrap, type Availability, type Money, type Product, type Sampan, type Variant } from "@sampan/client";

import type { Page } from "../shared/paging";
import type { Language } from "./settings";

const PAGE_SIZE = 48;
const SELLERS_MAX = 200;
const SKUS_MAX = 5_000;
// What has neither asks for nothing, which the API refuses.
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

/** The names of sellers by their ids. */
export type Sellers = ReadonlyMap<string, string>;

export interface Wanted {
  /** Found in a product's titles, category, SKUs and options, in whatever language; empty for all. */
  words: string;
  /** The first step of a category; empty for all. */
  department: string;
}

/** A page of what is on sale, in the API's order; an empty token stands for the first. */
export async function readShelf(
  api: Sampan,
  { words, department }: Wanted,
  token: string,
  signal?: AbortSignal,
): Promise<Page<Product>> {
  if (words !== "" && !LETTER_OR_DIGIT.test(words)) {
    return { items: [], next: "" };
  }
  const query = {
    status: "active",
    page_size: PAGE_SIZE,
    ...(words === "" ? {} : { q: words }),
    ...(department === "" ? {} : { category: department }),
    ...(token === "" ? {} : { page_token: token }),
  } as const;
  const page = unwrap(await api.GET("/v1/products", { params: { query }, ...(signal && { signal }) }));
  return { items: page.products, next: "next_page_token" in page ? page.next_page_token : "" };
}

/** Those of some products that there are, by id. */
export async function readProducts(
  api: Sampan,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Product>> {
  if (ids.length === 0) {
    return new Map();
  }
  const batch = unwrap(await api.POST("/v1/products:batchGet", { body: { ids: [...ids] }, signal }));
  return new Map(batch.products.map((product) => [product.product_id ?? "", product]));
}

export async function readSellers(api: Sampan, signal: AbortSignal): Promise<Sellers> {
  const page = unwrap(await api.GET("/v1/merchants", { params: { query: { page_size: SELLERS_MAX } }, signal }));
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

/** One of some grounds for a product's picture, always the same one. */
export function toneOf(productId: string): number {
  let sum = 0;
  for (const character of productId) {
    sum = (sum * 31 + character.charCodeAt(0)) % 997;
  }
  return sum % 6;
}
