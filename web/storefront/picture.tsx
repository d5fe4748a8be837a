import type { Product } from "@sampan/client";
import type { JSX } from "preact";

import { Icon, isIcon } from "../shared/parts";
import { departmentOf, toneOf } from "./catalogue";

/** The catalogue holds no pictures: a product's department is drawn, on a ground of its own. */
export function Picture({ product }: { product: Pick<Product, "product_id" | "category"> }): JSX.Element {
  const department = departmentOf(product as Product);
  return (
    <span class={`picture picture-${toneOf(product.product_id ?? "")}`}>
      <Icon name={isIcon(department) ? department : "box"} />
    </span>
  );
}
