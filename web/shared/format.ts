/** Money, times and names of countries, as a language writes them. */
import type { Money } from "@sampan/client";

/** An amount with as many decimal places as its currency has; the text is exact, no number in between rounds it. */
export function formatMoney(money: Money, language: string): string {
  // Intl takes decimal strings exactly; TypeScript's type wants them to look like numbers.
  return new Intl.NumberFormat(language, {
    style: "currency",
    currency: money.currency_code,
    currencyDisplay: "narrowSymbol",
  }).format(money.amount as `${number}`);
}

export function formatTime(time: string, language: string): string {
  // Thai dates are those of the Buddhist calendar, as `th` has them.
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;
const SECOND = ["second", 1] as const;

/** How long ago it was, in the largest unit that is full. */
export function formatAge(time: string, language: string): string {
  const ageS = Math.max(0, (Date.now() - Date.parse(time)) / 1_000);
  const [unit, seconds] = UNITS.find(([, least]) => ageS >= least) ?? SECOND;
  return new Intl.RelativeTimeFormat(language).format(-Math.floor(ageS / seconds), unit);
}

export function formatNumber(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}

export function countryName(code: string, language: string): string {
  return new Intl.DisplayNames([language], { type: "region" }).of(code) ?? code;
}
