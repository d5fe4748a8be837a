/** The storefront: its frame and its views. */
import type { JSX } from "preact";
import { useContext, useEffect } from "preact/hooks";

import { useApi } from "../shared/api";
import { KeyContext, useRefusedKey } from "../shared/key-context";
import { KeyGate } from "../shared/key-gate";
import { useLoaded } from "../shared/load";
import { usePlace, type Place } from "../shared/router";
import { readSellers, type Sellers } from "./catalogue";
import { Header } from "./header";
import { useTexts } from "./i18n";
import { CartView } from "./views/cart";
import { CheckoutView } from "./views/checkout";
import { HomeView } from "./views/home";
import { NotFoundView } from "./views/not-found";
import { OrderView } from "./views/order";
import { OrdersView } from "./views/orders";
import { ProductView } from "./views/product";

export function App(): JSX.Element {
  const { t, language } = useTexts();
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = t("site");
  }, [language]);
  const texts = {
    title: t("gate.title"),
    why: t("gate.why"),
    label: t("gate.label"),
    hint: t("gate.hint"),
    enter: t("gate.enter"),
    refused: t("gate.refused"),
  };
  return (
    <KeyGate texts={texts}>
      <Shop />
    </KeyGate>
  );
}

function Shop(): JSX.Element {
  const api = useApi();
  const { t } = useTexts();
  const place = usePlace();
  const { forget } = useContext(KeyContext);
  // Without their names sellers go by their ids: no reason to keep the shop shut.
  const [sellers] = useLoaded("sellers", (signal) => readSellers(api, signal));
  useRefusedKey(sellers.state === "failed" ? sellers.error : null);
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        {t("skip")}
      </a>
      <Header place={place} />
      <main id="main" tabIndex={-1}>
        <View key={place.steps.join("/")} place={place} sellers={sellers.value} />
      </main>
      <footer class="footer">
        <p>{t("footer.about")}</p>
        <button type="button" class="button button-quiet" onClick={forget}>
          {t("footer.forget")}
        </button>
      </footer>
    </>
  );
}

interface ViewProps {
  place: Place;
  sellers: Sellers | undefined;
}

function View({ place, sellers }: ViewProps): JSX.Element {
  const [name, id] = place.steps;
  if (name === undefined) {
    return <HomeView query={place.query} />;
  }
  if (name === "products" && id !== undefined) {
    return <ProductView productId={id} sellers={sellers} />;
  }
  if (name === "cart") {
    return <CartView sellers={sellers} />;
  }
  if (name === "checkout" && id !== undefined) {
    return <CheckoutView merchantId={id} sellers={sellers} />;
  }
  if (name === "orders") {
    return id === undefined ? <OrdersView /> : <OrderView orderId={id} />;
  }
  return <NotFoundView />;
}

/** The fragment is the view's: the jump is made by hand. */
function toMain(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
