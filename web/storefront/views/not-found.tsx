import type { JSX } from "preact";

import { Empty, Heading } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { useTexts } from "../i18n";

export function NotFoundView(): JSX.Element {
  const { t } = useTexts();
  useArrival();
  useTitle(t("notFound"), t("site"));
  return (
    <>
      <Heading>{t("notFound")}</Heading>
      <Empty title={t("notFound.lead")}>
        <a class="button" href="#/">
          {t("search.all")}
        </a>
      </Empty>
    </>
  );
}
