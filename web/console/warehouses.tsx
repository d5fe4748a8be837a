import { unwrap, type Warehouse } from "@sampan/client";
import type { JSX } from "preact";

import { useApi } from "../shared/api";
import { useLoaded } from "../shared/load";
import { Choice } from "../shared/parts";

/** The warehouses that the key may see; none until they are known. */
export function useWarehouses(): Warehouse[] {
  const api = useApi();
  const [loaded] = useLoaded("warehouses", async (signal) => {
    const query = { page_size: 200 };
    return unwrap(await api.GET("/v1/warehouses", { params: { query }, signal })).warehouses;
  });
  return loaded.value ?? [];
}

interface WarehouseChoiceProps {
  warehouses: readonly Warehouse[];
  value: string;
  onChange(value: string): void;
}

export function WarehouseChoice({ warehouses, value, onChange }: WarehouseChoiceProps): JSX.Element {
  const options = warehouses.map((one) => [one.warehouse_id ?? "", one.display_name || (one.warehouse_id ?? "")] as const);
  return <Choice label="Warehouse" value={value} options={[["", "All warehouses"], ...options]} onChange={onChange} />;
}
