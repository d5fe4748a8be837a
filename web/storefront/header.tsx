/** The frame's top: search, what was chosen, cart and orders. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { countryName } from "../shared/format";
import { Choice, Icon } from "../shared/parts";
import { goTo, replaceBy, type Place } from "../shared/router";
import { unitsIn, useCart } from "./cart";
import { useTexts } from "./i18n";
import {
  COUNTRIES,
  CURRENCIES,
  language,
  LANGUAGE_NAMES,
  LANGUAGES,
  useCountry,
  useCurrency,
  type Language,
} from "./settings";

const TYPING_PAUSE_MS = 300;

export function Header({ place }: { place: Place }): JSX.Element {
  const { t, plural } = useTexts();
  const units = unitsIn(useCart());
  return (
    <header class="header">
      <div class="header-bar">
        <a class="brand" href="#/">
          <Icon name="boat" />
          <span>{t("site")}</span>
        </a>
        <Search place={place} />
        <nav class="header-links" aria-label={t("nav")}>
          <a href="#/orders" aria-current={place.steps[0] === "orders" ? "page" : undefined}>
            <Icon name="orders" />
            <span class="header-word">{t("orders")}</span>
          </a>
          <a href="#/cart" aria-current={place.steps[0] === "cart" ? "page" : undefined}>
            <Icon name="cart" />
            <span class="header-word">{t("cart")}</span>
            {units > 0 && (
              <span class="count">
                <span aria-hidden="true">{units}</span>
                <span class="unseen">{plural("cart.units", units)}</span>
              </span>
            )}
          </a>
        </nav>
      </div>
      <Choices />
    </header>
  );
}

function Search({ place }: { place: Place }): JSX.Element {
  const { t } = useTexts();
  const words = place.query.get("q") ?? "";
  const isOnShelves = place.steps.length === 0;
  const [typed, setTyped] = useState(words);
  const asked = useRef(words);
  // The address follows what is typed; only an address from elsewhere, as by going back, is followed by the box.
  useEffect(() => {
    if (words !== asked.current) {
      asked.current = words;
      setTyped(words);
    }
  }, [words]);
  const pause = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(pause.current), [isOnShelves]);
  const ask = (text: string, go: (link: string) => void): void => {
    clearTimeout(pause.current);
    asked.current = text.trim();
    go(asked.current === "" ? "#/" : `#/?q=${encodeURIComponent(asked.current)}`);
  };
  // On the shelves a pause in typing is enough; elsewhere it would take a reader away from what they read.
  const type = (text: string): void => {
    setTyped(text);
    clearTimeout(pause.current);
    if (isOnShelves) {
      pause.current = setTimeout(() => ask(text, replaceBy), TYPING_PAUSE_MS);
    }
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    ask(typed, goTo);
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <label class="search-box">
        <span class="unseen">{t("search.label")}</span>
        <input
          type="search"
          name="q"
          value={typed}
          placeholder={t("search.placeholder")}
          maxLength={100}
          autocomplete="off"
          onInput={(event) => type(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="search-button">
        <Icon name="search" />
        <span class="unseen">{t("search.submit")}</span>
      </button>
    </form>
  );
}

function Choices(): JSX.Element {
  const texts = useTexts();
  const { t } = texts;
  const [currency, setCurrency] = useCurrency();
  const [country, setCountry] = useCountry();
  const countries = COUNTRIES.map((code) => [code, countryName(code, texts.language)] as const).sort((one, other) =>
    one[1].localeCompare(other[1], texts.language),
  );
  return (
    <div class="choices" role="group" aria-label={t("choices")}>
      <Choice
        label={t("language")}
        value={texts.language}
        options={LANGUAGES.map((tag) => [tag, LANGUAGE_NAMES[tag]])}
        onChange={(value) => language.set(value as Language)}
        isLabelUnseen
      />
      <Choice
        label={t("currency")}
        value={currency}
        options={CURRENCIES.map((code) => [code, code])}
        onChange={setCurrency}
        isLabelUnseen
      />
      <Choice label={t("destination")} value={country} options={countries} onChange={setCountry} />
    </div>
  );
}
