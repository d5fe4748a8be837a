/** Parcels by state: what is to pack, to ship, on its way. */
import { unwrap, type Parcel } from "@sampan/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { countryName, formatTime } from "../../shared/format";
import { useAction } from "../../shared/load";
import { usePaged } from "../../shared/paging";
import { Badge, BusyButton } from "../../shared/parts";
import { goTo, linkTo, useArrival, useTitle } from "../../shared/router";
import { Failed, ListBody, ListHead, StateTabs } from "../listing";
import { useWarehouses, WarehouseChoice } from "../warehouses";
import { LANGUAGE, PARCEL_STATES, shortId, SITE, toneOfParcel } from "../words";

type StateWord = Exclude<Parcel["state"], "unspecified">;

const TABS: readonly (readonly [StateWord, string])[] = [
  ["allocated", "To pack"],
  ["packed", "To ship"],
  ["shipped", "On the way"],
  ["delivered", "Delivered"],
];

export function ParcelsView({ query }: { query: URLSearchParams }): JSX.Element {
  const api = useApi();
  const warehouses = useWarehouses();
  const state = TABS.find(([word]) => word === query.get("state"))?.[0] ?? "allocated";
  const warehouse = query.get("warehouse") ?? "";
  useArrival();
  useTitle("Parcels", SITE);
  const parcels = usePaged(`${state} ${warehouse}`, async (token, signal) => {
    const wanted = {
      state,
      page_size: 50,
      ...(warehouse === "" ? {} : { warehouse_id: warehouse }),
      ...(token === "" ? {} : { page_token: token }),
    };
    const page = unwrap(await api.GET("/v1/parcels", { params: { query: wanted }, ...(signal && { signal }) }));
    return { items: page.parcels, next: page.next_page_token };
  });
  const choose = (value: string): void => {
    goTo(`#/parcels?${new URLSearchParams({ state, warehouse: value }).toString()}`);
  };
  return (
    <>
      <ListHead title="Parcels" again={parcels.again}>
        <WarehouseChoice warehouses={warehouses} value={warehouse} onChange={choose} />
      </ListHead>
      <StateTabs
        label="State"
        base="#/parcels"
        current={state}
        tabs={TABS}
        kept={new URLSearchParams({ warehouse })}
      />
      <ListBody paged={parcels} empty={`Nothing is ${PARCEL_STATES[state].toLowerCase()}`} noun="parcels">
        {(items) => (
          <ul class="parcel-list">
            {items.map((parcel) => (
              <ParcelCard key={parcel.parcel_id} parcel={parcel} />
            ))}
          </ul>
        )}
      </ListBody>
    </>
  );
}

/** A parcel stays where it is after its move, so that the eye does not lose it; the next look sorts it away. */
function ParcelCard({ parcel }: { parcel: Parcel }): JSX.Element {
  const [moved, setMoved] = useState<Parcel | null>(null);
  const shown = moved !== null && moved.state !== parcel.state ? moved : parcel;
  return (
    <li class="card block parcel" aria-label={`Parcel ${shortId(shown.parcel_id)}`}>
      <div class="parcel-head">
        <h2>Parcel {shortId(shown.parcel_id)}</h2>
        <span role="status">
          {shown.state !== "unspecified" && (
            <Badge tone={toneOfParcel(shown.state)}>{PARCEL_STATES[shown.state]}</Badge>
          )}
        </span>
      </div>
      <ul class="rows">
        {shown.items.map((item) => (
          <li key={item.sku}>
            <span class="id">{item.sku}</span>
            <strong>× {item.quantity}</strong>
          </li>
        ))}
      </ul>
      <p class="hint">
        {shown.warehouse_id} → {countryName(shown.region_code, LANGUAGE)} · order{" "}
        <a href={linkTo("orders", shown.order_id)}>{shortId(shown.order_id)}</a>
        {shown.create_time !== null && ` · ${formatTime(shown.create_time, LANGUAGE)}`}
        {shown.tracking_number !== "" && ` · ${shown.carrier} ${shown.tracking_number}`}
      </p>
      <Move parcel={shown} onMoved={setMoved} />
    </li>
  );
}

interface MoveProps {
  parcel: Parcel;
  onMoved(parcel: Parcel): void;
}

/** The one thing that can be done next. */
function Move({ parcel, onMoved }: MoveProps): JSX.Element | null {
  switch (parcel.state) {
    case "allocated":
      return <SimpleMove parcel={parcel} onMoved={onMoved} verb="pack" label="Packed" busyLabel="Packing…" />;
    case "packed":
      return <Ship parcel={parcel} onMoved={onMoved} />;
    case "shipped":
      return <SimpleMove parcel={parcel} onMoved={onMoved} verb="deliver" label="Delivered" busyLabel="Noting…" />;
    default:
      return null;
  }
}

interface SimpleMoveProps extends MoveProps {
  verb: "pack" | "deliver";
  label: string;
  busyLabel: string;
}

function SimpleMove({ parcel, onMoved, verb, label, busyLabel }: SimpleMoveProps): JSX.Element {
  const api = useApi();
  const moving = useAction(async () => {
    const params = { path: { parcel_id: parcel.parcel_id } };
    const answer =
      verb === "pack"
        ? await api.POST("/v1/parcels/{parcel_id}:pack", { params })
        : await api.POST("/v1/parcels/{parcel_id}:deliver", { params });
    onMoved(unwrap(answer));
  });
  return (
    <>
      {moving.error !== null && <Failed error={moving.error} />}
      <BusyButton kind="primary" label={label} busyLabel={busyLabel} isBusy={moving.isBusy} onClick={moving.run} />
    </>
  );
}

function Ship({ parcel, onMoved }: MoveProps): JSX.Element {
  const api = useApi();
  const [carrier, setCarrier] = useState("");
  const [tracking, setTracking] = useState("");
  const shipping = useAction(async () => {
    const answer = await api.POST("/v1/parcels/{parcel_id}:ship", {
      params: { path: { parcel_id: parcel.parcel_id } },
      body: { carrier, tracking_number: tracking },
    });
    onMoved(unwrap(answer));
  });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    shipping.run();
  };
  return (
    <form class="ship" onSubmit={submit}>
      <label class="field">
        <span class="label">Carrier</span>
        <input
          name="carrier"
          value={carrier}
          required
          maxLength={64}
          onInput={(event) => setCarrier(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span class="label">Tracking number</span>
        <input
          name="tracking"
          value={tracking}
          required
          maxLength={64}
          autocomplete="off"
          onInput={(event) => setTracking(event.currentTarget.value)}
        />
      </label>
      <BusyButton type="submit" kind="primary" label="Shipped" busyLabel="Noting…" isBusy={shipping.isBusy} />
      {shipping.error !== null && <Failed error={shipping.error} />}
    </form>
  );
}
