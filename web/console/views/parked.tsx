/** Parked events by consumer group: what is parked, why and since when; replayed, or given up for good. */
import { unwrap, type ParkedEvent, type ParkedGroup } from "@sampan/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useApi } from "../../shared/api";
import { formatAge, formatNumber, formatTime } from "../../shared/format";
import { useRefusedKey } from "../../shared/key-context";
import { useAction, useLoaded } from "../../shared/load";
import { usePaged } from "../../shared/paging";
import { Badge, BusyButton, Choice, Loading, Notice } from "../../shared/parts";
import { useArrival, useTitle } from "../../shared/router";
import { Failed, ListBody, ListHead, StateTabs } from "../listing";
import { replay, type Replayed } from "../replaying";
import { LANGUAGE, PARK_CAUSES, SITE, toneOfCause } from "../words";

const FAILURES_SHOWN_MAX = 20;

/** What came of something that was done, for people. */
interface Outcome {
  tone: "good" | "warm";
  title: string;
  details: readonly string[];
}

export function ParkedView({ query }: { query: URLSearchParams }): JSX.Element {
  const api = useApi();
  useArrival();
  useTitle("Parked events", SITE);
  const [loaded, again] = useLoaded("groups", async (signal) => unwrap(await api.GET("/v1/parked-groups", { signal })));
  useRefusedKey(loaded.state === "failed" ? loaded.error : null);
  const groups = loaded.value?.parked_groups ?? [];
  const away = loaded.value?.unreachable_services ?? [];
  // What was shown stays, also once nothing is parked in it any more.
  const shown = useRef("");
  const wanted = query.get("group") ?? shown.current;
  const chosen = groups.find((one) => one.group === wanted) ?? groups.find((one) => one.events > 0) ?? groups[0];
  shown.current = chosen?.group ?? "";
  return (
    <>
      <ListHead title="Parked events" again={again} />
      {loaded.state === "failed" && <Failed error={loaded.error} again={again} />}
      {loaded.value === undefined && loaded.state === "loading" && (
        <Loading label="Loading" shapes={4} shape="row" />
      )}
      {away.length > 0 && (
        <Notice tone="warm" title={`No answer from ${away.join(", ")}`} detail="What is parked there is not known." />
      )}
      {chosen !== undefined && (
        <>
          <StateTabs label="Consumer group" base="#/parked" name="group" current={chosen.group} tabs={groups.map(tabOf)} />
          <Group key={chosen.group} group={chosen} round={loaded.value} again={again} />
        </>
      )}
    </>
  );
}

function tabOf({ group, events }: ParkedGroup): readonly [string, string] {
  return [group, events === 0 ? group : `${group} (${formatNumber(events, LANGUAGE)})`];
}

interface GroupProps {
  group: ParkedGroup;
  /** Another value is another look at everything. */
  round: unknown;
  again(): void;
}

function Group({ group: { group, oldest_park_time: since }, round, again }: GroupProps): JSX.Element {
  const api = useApi();
  const [gaps, setGaps] = useState<"wait" | "give-up">("wait");
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const leaving = useRef(new AbortController());
  useEffect(() => () => leaving.current.abort(), []);
  const parked = usePaged(group, async (token, signal) => {
    const wanted = { group, page_size: 50, ...(token === "" ? {} : { page_token: token }) };
    const page = unwrap(await api.GET("/v1/parked-events", { params: { query: wanted }, ...(signal && { signal }) }));
    return { items: page.parked_events, next: page.next_page_token };
  });
  const first = useRef(round);
  useEffect(() => {
    if (first.current !== round) {
      first.current = round;
      parked.again();
    }
  }, [round]);
  const replaying = async (aggregateId: string): Promise<void> => {
    const acrossGaps = gaps === "give-up";
    if (acrossGaps && !confirm("Give up what is missing? Should it come later, it is dropped.")) {
      return;
    }
    setOutcome(null);
    try {
      const wanted = { group, aggregateId, acrossGaps };
      await replay(api, wanted, (sofar) => setOutcome(outcomeOf(sofar)), leaving.current.signal);
    } finally {
      again();
    }
  };
  const all = useAction(() => replaying(""));
  const onDiscarded = (count: number): void => {
    setOutcome(
      count === 0
        ? { tone: "warm", title: "It was not parked any more", details: [] }
        : { tone: "good", title: "The event was given up", details: ["Replay what is parked behind it."] },
    );
    again();
  };
  const isEmpty = parked.loaded.value?.items.length === 0;
  return (
    <>
      {outcome !== null && <OutcomeNotice outcome={outcome} />}
      {all.error !== null && <Failed error={all.error} />}
      {since !== null && !isEmpty && (
        <section class="card block replay" aria-label={group}>
          <p>
            The first was parked {formatAge(since, LANGUAGE)}. A replay hands them to their group again, those of each
            aggregate in their order up to the first that fails.
          </p>
          <div class="list-tools">
            <Choice
              label="Where earlier events are missing"
              value={gaps}
              options={[
                ["wait", "Wait for them"],
                ["give-up", "Give them up"],
              ]}
              onChange={(value) => setGaps(value === "give-up" ? "give-up" : "wait")}
            />
            <BusyButton
              kind="primary"
              label="Replay all"
              busyLabel="Replaying…"
              isBusy={all.isBusy}
              onClick={all.run}
            />
          </div>
        </section>
      )}
      <ListBody paged={parked} empty="Nothing is parked" noun="parked events">
        {(items) => (
          <ul class="parcel-list">
            {items.map((event) => (
              <EventCard
                key={event.parked_event_id}
                group={group}
                event={event}
                onReplay={() => replaying(event.aggregate_id)}
                onDiscarded={onDiscarded}
              />
            ))}
          </ul>
        )}
      </ListBody>
    </>
  );
}

function outcomeOf({ events, failures }: Replayed): Outcome {
  const applied = `${formatNumber(events, LANGUAGE)} replayed`;
  if (failures.length === 0) {
    return { tone: "good", title: applied, details: [] };
  }
  const shown = failures.slice(0, FAILURES_SHOWN_MAX).map((one) => `${one.aggregate_id}: ${one.detail}`);
  const more = failures.length - shown.length;
  return {
    tone: "warm",
    title: `${applied}; of ${formatNumber(failures.length, LANGUAGE)} the events stay parked`,
    details: more > 0 ? [...shown, `and ${formatNumber(more, LANGUAGE)} more`] : shown,
  };
}

/** What it speaks of leaves the list, and the focus with it: so it comes here. */
function OutcomeNotice({ outcome }: { outcome: Outcome }): JSX.Element {
  const here = useRef<HTMLDivElement>(null);
  useEffect(() => here.current?.focus(), [outcome]);
  return (
    <div ref={here} class="outcome" tabIndex={-1}>
      <Notice tone={outcome.tone} title={outcome.title} />
      {outcome.details.length > 0 && (
        <ul class="rows">
          {outcome.details.map((detail, index) => (
            <li key={index} class="id">
              {detail}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

interface EventCardProps {
  group: string;
  event: ParkedEvent;
  onReplay(): Promise<void>;
  onDiscarded(count: number): void;
}

function EventCard({ group, event, onReplay, onDiscarded }: EventCardProps): JSX.Element {
  const [isGivingUp, setGivingUp] = useState(false);
  const replaying = useAction(onReplay);
  const name = `Event ${event.parked_event_id}`;
  return (
    <li class="card block" aria-label={name}>
      <div class="parcel-head">
        <h2>{name}</h2>
        <Badge tone={toneOfCause(event.cause)}>{PARK_CAUSES[event.cause]}</Badge>
      </div>
      <p class="id">{event.detail}</p>
      <dl class="facts">
        <dt>Of</dt>
        <dd class="id">{event.aggregate_id}</dd>
        <dt>Event</dt>
        <dd class="id">
          {event.event_type ?? "unreadable"}
          {event.version !== null && `, version ${event.version}`}
        </dd>
        <dt>Lies in</dt>
        <dd class="id">
          {event.topic}, {event.partition} at {event.offset}
        </dd>
        {event.park_time !== null && (
          <>
            <dt>Parked</dt>
            <dd>
              {formatAge(event.park_time, LANGUAGE)}, {formatTime(event.park_time, LANGUAGE)}
            </dd>
          </>
        )}
        {event.attempts > 0 && (
          <>
            <dt>Replays that failed</dt>
            <dd>{event.attempts}</dd>
          </>
        )}
      </dl>
      {replaying.error !== null && <Failed error={replaying.error} />}
      {isGivingUp ? (
        <GivingUp group={group} event={event} onKept={() => setGivingUp(false)} onDiscarded={onDiscarded} />
      ) : (
        <div class="buttons">
          <BusyButton
            label="Replay"
            busyLabel="Replaying…"
            isBusy={replaying.isBusy}
            onClick={replaying.run}
          />
          <button type="button" class="button button-quiet" onClick={() => setGivingUp(true)}>
            Discard…
          </button>
        </div>
      )}
    </li>
  );
}

interface GivingUpProps {
  group: string;
  event: ParkedEvent;
  onKept(): void;
  onDiscarded(count: number): void;
}

/** It cannot be taken back, so it is asked for twice, and why. */
function GivingUp({ group, event, onKept, onDiscarded }: GivingUpProps): JSX.Element {
  const api = useApi();
  const [note, setNote] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const discarding = useAction(async () => {
    const body = { group, parked_event_ids: [event.parked_event_id], note };
    const report = unwrap(await api.POST("/v1/parked-events:discard", { body }));
    onDiscarded(report.discarded_ids.length);
  });
  const submit = (event_: SubmitEvent): void => {
    event_.preventDefault();
    discarding.run();
  };
  return (
    <form class="ship" onSubmit={submit}>
      <label class="field">
        <span class="label">Why it is given up</span>
        <input
          ref={field}
          name="note"
          value={note}
          required
          pattern=".*\S.*"
          maxLength={500}
          autocomplete="off"
          onInput={(event_) => setNote(event_.currentTarget.value)}
        />
        <span class="hint">Kept with your key for the record. This cannot be taken back.</span>
      </label>
      <div class="buttons">
        <BusyButton
          type="submit"
          kind="danger"
          label="Discard for good"
          busyLabel="Discarding…"
          isBusy={discarding.isBusy}
        />
        <button type="button" class="button" onClick={onKept}>
          Keep it
        </button>
      </div>
      {discarding.error !== null && <Failed error={discarding.error} />}
    </form>
  );
}
