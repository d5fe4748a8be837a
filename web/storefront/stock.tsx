import type { Availability } from "@sampan/client";
import type { JSX } from "preact";

import { Badge } from "../shared/parts";
import { transitOf } from "./catalogue";
import { useTexts } from "./i18n";

/** Whether any of these SKUs can be sent to the chosen country, and how soon. */
export function Stock({ availabilities }: { availabilities: (Availability | undefined)[] }): JSX.Element {
  const { t } = useTexts();
  const there = availabilities.filter((one) => (one?.available ?? 0) > 0);
  if (there.length === 0) {
    return <Badge tone="bad">{t("stock.none")}</Badge>;
  }
  const ways = there.map(transitOf).filter((way) => way !== undefined);
  const [way] = ways.sort((one, other) => one[1] - other[1]);
  return (
    <Badge tone="good">
      {way === undefined ? t("stock.some") : t("stock.days", { least: way[0], most: way[1] })}
    </Badge>
  );
}
