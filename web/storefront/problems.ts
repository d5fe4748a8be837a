/** What went wrong, in the buyer's words. */
import { reasonOf } from "../shared/api";
import { isName, type Texts } from "./i18n";

export function problemText(texts: Texts, error: unknown): string {
  const name = `problem.${reasonOf(error)}`;
  return isName(name) ? texts.t(name) : texts.t("problem.other");
}
