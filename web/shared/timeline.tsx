/** An order's way: what has happened, where it stands, what is still to come. */
import type { Order, OrderTransition } from "@sampan/client";
import type { JSX } from "preact";

type State = Order["state"];

const WAY: readonly State[] = ["pending", "awaiting_payment", "confirmed", "fulfilling", "shipped", "delivered"];
const ENDED_BADLY: readonly State[] = ["cancelled", "expired", "rejected"];

export interface Step {
  state: State;
  time: string | null;
  kind: "done" | "now" | "ahead" | "bad";
}

export function stepsOf(order: Order, history: readonly OrderTransition[]): Step[] {
  // Some entries of a history record something else than a move, such as a payment: one step for each state is enough.
  const past = history.filter((one, index) => one.to_state !== "none" && one.to_state !== history[index - 1]?.to_state);
  const passed = past.map(({ to_state, time }, index): Step => {
    const isLast = index === past.length - 1;
    const state = to_state as State;
    if (isLast && ENDED_BADLY.includes(state)) {
      return { state, time, kind: "bad" };
    }
    return { state, time, kind: isLast && state !== "delivered" ? "now" : "done" };
  });
  const at = WAY.indexOf(order.state);
  const ahead = at < 0 ? [] : WAY.slice(at + 1);
  const isPaidBefore = order.payment_terms === "prepaid";
  return [
    ...passed,
    ...ahead
      .filter((state) => state !== "awaiting_payment" || !isPaidBefore)
      .map((state): Step => ({ state, time: null, kind: "ahead" })),
  ];
}

interface TimelineProps {
  steps: readonly Step[];
  label: string;
  wordOf(state: State): string;
  timeOf(moment: string): string;
  /** Read out for those who do not see which steps are still to come. */
  aheadWord: string;
}

export function Timeline({ steps, label, wordOf, timeOf, aheadWord }: TimelineProps): JSX.Element {
  return (
    <ol class="timeline" aria-label={label}>
      {steps.map((step, index) => (
        <li key={index} class={`step step-${step.kind}`} aria-current={step.kind === "now" ? "step" : undefined}>
          <span class="step-word">{wordOf(step.state)}</span>
          {step.kind === "ahead" && <span class="unseen"> {aheadWord}</span>}
          {step.time !== null && <time dateTime={step.time}>{timeOf(step.time)}</time>}
        </li>
      ))}
    </ol>
  );
}
