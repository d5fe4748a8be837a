/** The storefront's words in its three languages. A text's name is the same in all: the type and a test hold that. */
import type { Money } from "@sampan/client";

import { formatMoney, formatTime } from "../shared/format";
import { language, type Language } from "./settings";
import en from "./texts/en.json";
import es from "./texts/es.json";
import th from "./texts/th.json";

export type TextName = keyof typeof en;
type Values = Record<string, string | number>;

const TEXTS: Record<Language, Record<TextName, string>> = { en, es, th };

/** The names of texts that come in the plural forms `<name>.one` and `<name>.other`. */
type PluralName = TextName extends infer Name ? (Name extends `${infer Base}.other` ? Base : never) : never;

export interface Texts {
  language: Language;
  t(name: TextName, values?: Values): string;
  plural(name: PluralName, count: number): string;
  /** The text of a word that may be none of ours, such as a category; else the word as it is. */
  word(prefix: string, word: string): string;
  money(amount: Money): string;
  time(moment: string): string;
}

export function textsOf(chosen: Language): Texts {
  const texts = TEXTS[chosen];
  const t = (name: TextName, values: Values = {}): string =>
    texts[name].replace(/\{(\w+)\}/g, (_, value: string) => String(values[value] ?? ""));
  return {
    language: chosen,
    t,
    plural(name, count) {
      const form = new Intl.PluralRules(chosen).select(count) === "one" ? "one" : "other";
      return t(`${name}.${form}` as TextName, { count: new Intl.NumberFormat(chosen).format(count) });
    },
    word(prefix, word) {
      const name = `${prefix}.${word}`;
      return isName(name) ? t(name) : word;
    },
    money: (amount) => formatMoney(amount, chosen),
    time: (moment) => formatTime(moment, chosen),
  };
}

export function isName(name: string): name is TextName {
  return Object.hasOwn(en, name);
}

export function useTexts(): Texts {
  return textsOf(language.use());
}
