/** Small pieces that both pages are made of. */
import type { ComponentChildren, JSX } from "preact";

/** A view's heading: it takes the focus when the view is come to. */
export function Heading({ children }: { children: ComponentChildren }): JSX.Element {
  return <h1 tabIndex={-1}>{children}</h1>;
}

export type Tone = "plain" | "good" | "warm" | "bad" | "busy";

/** A short word on a tinted ground. Its meaning is in the word, never in the colour alone. */
export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }): JSX.Element {
  return <span class={`badge badge-${tone}`}>{children}</span>;
}

interface NoticeProps {
  tone: "good" | "warm" | "bad";
  title: string;
  detail?: string | undefined;
  action?: { label: string; run(): void } | undefined;
}

/** Something that the reader has to know now: it is read out when it appears. */
export function Notice({ tone, title, detail, action }: NoticeProps): JSX.Element {
  return (
    <div class={`notice notice-${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <div>
        <strong>{title}</strong>
        {detail !== undefined && <p>{detail}</p>}
      </div>
      {action !== undefined && (
        <button type="button" class="button" onClick={action.run}>
          {action.label}
        </button>
      )}
    </div>
  );
}

/** Grey shapes where content is about to be; those who do not see them are told so. */
export function Loading({ label, shapes, shape }: { label: string; shapes: number; shape: string }): JSX.Element {
  return (
    <div class={`loading ${shape}`} role="status">
      <span class="unseen">{label}</span>
      {Array.from({ length: shapes }, (_, index) => (
        <div key={index} class="shape" aria-hidden="true" />
      ))}
    </div>
  );
}

/** Nothing here, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <Icon name="boat" />
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

interface BusyButtonProps {
  label: string;
  busyLabel: string;
  isBusy: boolean;
  kind?: "primary" | "quiet" | "danger";
  onClick?: () => void;
  type?: "button" | "submit";
}

/** A button that keeps its focus while it works. */
export function BusyButton({ label, busyLabel, isBusy, kind, onClick, type = "button" }: BusyButtonProps): JSX.Element {
  return (
    <button
      type={type}
      class={kind === undefined ? "button" : `button button-${kind}`}
      aria-disabled={isBusy}
      onClick={isBusy ? (event) => event.preventDefault() : onClick}
    >
      {isBusy && <span class="spinner" aria-hidden="true" />}
      {isBusy ? busyLabel : label}
    </button>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly (readonly [value: string, label: string])[];
  onChange(value: string): void;
  isLabelUnseen?: boolean;
}

/** A labelled list to choose from. */
export function Choice({ label, value, options, onChange, isLabelUnseen = false }: ChoiceProps): JSX.Element {
  return (
    <label class="choice">
      <span class={isLabelUnseen ? "unseen" : "label"}>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

const ICONS = {
  boat: "M3 15.5h18c-.8 3-2.6 4.5-5 4.5H8c-2.4 0-4.2-1.5-5-4.5z M12 15.5V3 M12 4c3.5 2 5.5 5 6 8.5h-6 M9.5 7c-1.5 1.5-2.7 3.3-3.2 5.5h3.2",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z M15.5 15.5 21 21",
  cart: "M3 4h2l2.4 11h10.2L20 7.5H6 M9 20h.01 M17 20h.01",
  orders: "M6 3h12v18l-3-2-3 2-3-2-3 2z M9 8h6 M9 12h6",
  hair: "M5 21V11a7 7 0 0 1 14 0v10 M8.5 21v-8c3 0 5.5-1.5 6.5-3.5 0 2 .5 3 .5 3.5V21 M5 21h3.5 M15.5 21H19",
  home: "M7 3h10v18H7z M7 10h10 M9.5 6v1.5 M9.5 13v3",
  audio: "M4 16v-4a8 8 0 0 1 16 0v4 M4 14h3v6H4z M17 14h3v6h-3z",
  toys: "M4 12h7v8H4z M13 12h7v8h-7z M8.5 4h7v8h-7z",
  box: "M4 8l8-4 8 4v8l-8 4-8-4z M4 8l8 4 8-4 M12 12v8",
} as const;

export type IconName = keyof typeof ICONS;

export function isIcon(name: string): name is IconName {
  return name in ICONS;
}

/** A drawing beside words that say the same. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={ICONS[name]} />
    </svg>
  );
}
