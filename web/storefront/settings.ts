/** What a buyer has chosen, kept in this browser. */
import { newId } from "../shared/ids";
import { oneOf, stored } from "../shared/store";

export const LANGUAGES = ["en", "th", "es"] as const;
export type Language = (typeof LANGUAGES)[number];
/** What each language is called by those who speak it. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", th: "ไทย", es: "Español" };

export const CURRENCIES = ["EUR", "USD", "THB"] as const;
export type Currency = (typeof CURRENCIES)[number];

/** The countries that can be chosen as a destination; whether anything can be sent there is for the API to say. */
export const COUNTRIES = (
  "AE AT AU BE BR CA CH CL CN CO CZ DE DK ES FI FR GB GR ID IE IT JP KH KR LA MX MY NL NO NZ PE PH PL PT SA SE SG TH " +
  "US VN ZA"
).split(" ");

/** The shop's departments: first steps of categories, each with a text `department.<name>` and perhaps a drawing. */
export const DEPARTMENTS = ["audio", "hair", "home", "toys"] as const;

const DEFAULTS: Record<Language, { currency: Currency; country: string }> = {
  en: { currency: "USD", country: "US" },
  th: { currency: "THB", country: "TH" },
  es: { currency: "EUR", country: "ES" },
};

const isLanguage = oneOf(LANGUAGES);

function preferred(): Language {
  const found = navigator.languages.map((tag) => tag.slice(0, 2)).find(isLanguage);
  return found ?? "en";
}

export const language = stored<Language>("language", preferred(), isLanguage);

const currency = stored<Currency | "">("currency", "", oneOf([...CURRENCIES, ""]));
const country = stored<string>("country", "", oneOf([...COUNTRIES, ""]));

/** The chosen currency; until one was chosen, that of the language. */
export function useCurrency(): [Currency, (value: string) => void] {
  const spoken = language.use();
  const chosen = currency.use();
  return [chosen === "" ? DEFAULTS[spoken].currency : chosen, (value) => currency.set(value as Currency)];
}

/** The chosen destination; until one was chosen, that of the language. */
export function useCountry(): [string, (value: string) => void] {
  const spoken = language.use();
  const chosen = country.use();
  return [chosen === "" ? DEFAULTS[spoken].country : chosen, country.set];
}

/** Names this browser's buyer to the API: no account, no personal data. */
export function buyerRef(): string {
  return buyer.get();
}

const buyer = stored<string>("buyer", `web-${newId()}`, (value): value is string => typeof value === "string");
buyer.set(buyer.get());
