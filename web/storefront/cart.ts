/** The cart: what and how many; prices are always the API's. */
import { stored } from "../shared/store";

export interface CartLine {
  sku: string;
  productId: string;
  merchantId: string;
  quantity: number;
}

export const QUANTITY_MAX = 20;
const LINES_MAX = 100;

const lines = stored<CartLine[]>("cart", [], isCart);

export function useCart(): CartLine[] {
  return lines.use();
}

/** Puts so many more of a SKU into the cart. */
export function addToCart(line: CartLine): void {
  const present = lines.get().find((one) => one.sku === line.sku);
  if (present !== undefined) {
    setQuantity(line.sku, present.quantity + line.quantity);
  } else {
    lines.set([...lines.get(), line].slice(-LINES_MAX));
  }
}

export function setQuantity(sku: string, quantity: number): void {
  const bounded = Math.min(Math.max(quantity, 1), QUANTITY_MAX);
  lines.set(lines.get().map((line) => (line.sku === sku ? { ...line, quantity: bounded } : line)));
}

export function removeFromCart(sku: string): void {
  lines.set(lines.get().filter((line) => line.sku !== sku));
}

/** What was ordered of a seller is no longer in the cart. */
export function emptyOf(merchantId: string): void {
  lines.set(lines.get().filter((line) => line.merchantId !== merchantId));
}

export function unitsIn(cart: readonly CartLine[]): number {
  return cart.reduce((sum, line) => sum + line.quantity, 0);
}

/** An order is of one seller: the cart by seller, in the order in which each came in. */
export function bySeller(cart: readonly CartLine[]): [merchantId: string, lines: CartLine[]][] {
  const groups = new Map<string, CartLine[]>();
  for (const line of cart) {
    groups.set(line.merchantId, [...(groups.get(line.merchantId) ?? []), line]);
  }
  return [...groups];
}

function isCart(value: unknown): value is CartLine[] {
  return (
    Array.isArray(value) &&
    value.every(
      (line: Partial<CartLine> | null) =>
        typeof line?.sku === "string" &&
        typeof line.productId === "string" &&
        typeof line.merchantId === "string" &&
        Number.isInteger(line.quantity),
    )
  );
}
