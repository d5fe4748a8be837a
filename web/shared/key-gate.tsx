/** Asks for a key before anything else, and again when the one that is there is refused. */
import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";

import { ApiContext, makeApi } from "./api";
import { forgetKey, savedKey, saveKey } from "./key";
import { Icon, Notice } from "./parts";
import { KeyContext } from "./key-context";

export interface KeyGateTexts {
  title: string;
  why: string;
  label: string;
  hint: string;
  enter: string;
  refused: string;
}

interface KeyGateProps {
  texts: KeyGateTexts;
  children: ComponentChildren;
}

export function KeyGate({ texts, children }: KeyGateProps): JSX.Element {
  const [key, setKey] = useState(savedKey());
  const [isRefused, setRefused] = useState(false);
  const api = useMemo(() => (key === null ? null : makeApi(key)), [key]);
  const doors = useMemo(() => {
    const close = (refused: boolean): void => {
      forgetKey();
      setRefused(refused);
      setKey(null);
    };
    return { refuse: () => close(true), forget: () => close(false) };
  }, []);
  if (api === null) {
    const enter = (given: string): void => {
      saveKey(given);
      setRefused(false);
      setKey(savedKey());
    };
    return <KeyForm texts={texts} isRefused={isRefused} onEnter={enter} />;
  }
  return (
    <ApiContext.Provider value={api}>
      <KeyContext.Provider value={doors}>{children}</KeyContext.Provider>
    </ApiContext.Provider>
  );
}

interface KeyFormProps {
  texts: KeyGateTexts;
  isRefused: boolean;
  onEnter(key: string): void;
}

function KeyForm({ texts, isRefused, onEnter }: KeyFormProps): JSX.Element {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement).get("key");
    if (typeof given === "string" && given.trim() !== "") {
      onEnter(given);
    }
  };
  return (
    <main class="gate" id="main">
      <form class="card gate-card" onSubmit={submit}>
        <span class="gate-mark">
          <Icon name="boat" />
        </span>
        <h1 tabIndex={-1}>{texts.title}</h1>
        <p>{texts.why}</p>
        {isRefused && <Notice tone="bad" title={texts.refused} />}
        <label class="field">
          <span class="label">{texts.label}</span>
          <input name="key" type="password" autocomplete="off" spellcheck={false} required maxLength={512} />
        </label>
        <button type="submit" class="button button-primary">
          {texts.enter}
        </button>
        <p class="hint">{texts.hint}</p>
      </form>
    </main>
  );
}
