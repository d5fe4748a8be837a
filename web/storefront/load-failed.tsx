import type { JSX } from "preact";

import { Notice } from "../shared/parts";
import { useRefusedKey } from "../shared/key-context";
import { useTexts } from "./i18n";
import { problemText } from "./problems";

/** What could not be loaded, why, and a way to try again. */
export function LoadFailed({ error, again }: { error: unknown; again(): void }): JSX.Element {
  const texts = useTexts();
  useRefusedKey(error);
  return (
    <Notice
      tone="bad"
      title={texts.t("load.failed")}
      detail={problemText(texts, error)}
      action={{ label: texts.t("load.again"), run: again }}
    />
  );
}
