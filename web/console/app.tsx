/** The console: its frame and its views. */
import type { JSX } from "preact";
import { useContext } from "preact/hooks";

import { KeyContext } from "../shared/key-context";
import { KeyGate } from "../shared/key-gate";
import { Empty, Heading, Icon } from "../shared/parts";
import { usePlace, type Place } from "../shared/router";
import { ImportView } from "./views/imports";
import { OrderView } from "./views/order";
import { OrdersView } from "./views/orders";
import { ParcelsView } from "./views/parcels";
import { ParkedView } from "./views/parked";
import { StockView } from "./views/stock";

const GATE = {
  title: "Operator console",
  why: "Orders, parcels, stock and imports of your marketplace. It shows what your key may see.",
  label: "Operator key",
  hint: "It is kept for this tab only, and forgotten when you close it.",
  enter: "Open the console",
  refused: "This key is not known, or it has ended.",
};

const VIEWS = [
  ["orders", "Orders"],
  ["parcels", "Parcels"],
  ["stock", "Stock"],
  ["imports", "Imports"],
  ["parked", "Parked"],
] as const;

export function App(): JSX.Element {
  return (
    <KeyGate texts={GATE}>
      <Console />
    </KeyGate>
  );
}

function Console(): JSX.Element {
  const place = usePlace();
  const { forget } = useContext(KeyContext);
  const current = place.steps[0] ?? "orders";
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the content
      </a>
      <header class="bar">
        <a class="bar-brand" href="#/">
          <Icon name="boat" />
          <span>Sampan</span>
        </a>
        <nav class="bar-tabs" aria-label="Console">
          {VIEWS.map(([name, label]) => (
            <a key={name} href={`#/${name}`} aria-current={name === current ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <button type="button" class="bar-leave" onClick={forget}>
          Leave
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        <View key={place.steps.join("/")} place={place} />
      </main>
    </>
  );
}

function View({ place }: { place: Place }): JSX.Element {
  const [name = "orders", id] = place.steps;
  switch (name) {
    case "orders":
      return id === undefined ? <OrdersView query={place.query} /> : <OrderView orderId={id} />;
    case "parcels":
      return <ParcelsView query={place.query} />;
    case "stock":
      return <StockView query={place.query} />;
    case "imports":
      return <ImportView />;
    case "parked":
      return <ParkedView query={place.query} />;
    default:
      return (
        <>
          <Heading>Nothing here</Heading>
          <Empty title="There is no such page." />
        </>
      );
  }
}

/** The fragment is the view's: the jump is made by hand. */
function toMain(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
