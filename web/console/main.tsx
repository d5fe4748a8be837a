import { render } from "preact";

import { takeKeyFromAddress } from "../shared/key";
import { App } from "./app";

takeKeyFromAddress();
const root = document.getElementById("root");
if (root !== null) {
  render(<App />, root);
}
