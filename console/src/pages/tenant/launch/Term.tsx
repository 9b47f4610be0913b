/** How GPUs are held: until one gives them back, by a reservation, or until others need them. */
import { Link } from "wouter";
import { api, type Schemas } from "../../../api/client";
import { useClusters } from "../../../api/lists";
import { Answer } from "../../../ui/answer";
import { Note } from "../../../ui/basics";
import { Check, CountField, SelectField } from "../../../ui/fields";
import { at, count } from "../../../ui/format";
import { microUsd, UsdField } from "../../../ui/money";
import { type PartProps, unused, type Wish } from "./wish";

type Reservation = Schemas["Reservation"];
type Cluster = Schemas["Cluster"];

const TERMS = [
  { value: "on_demand", label: "On demand: runs until you release it" },
  { value: "reserved", label: "Reserved: paid by a reservation of yours" },
  { value: "spot", label: "Spot: cheaper, may be taken back after a notice" },
];

/** What else changes with the term. */
function withTerm(term: Wish["term"]): Partial<Wish> {
  return {
    term,
    reservation_id: null,
    price_micro_usd_per_gpu_hour_max: null,
    gpu_count_min: 0,
    returns_to_queue: false,
  };
}

interface TermProps extends PartProps {
  mostText: string;
  setMostText: (text: string) => void;
}

export function TermChoice({ wish, change, mostText, setMostText }: TermProps) {
  const setMost = (text: string): void => {
    setMostText(text);
    change({ price_micro_usd_per_gpu_hour_max: microUsd(text) });
  };
  return (
    <>
      <SelectField
        label="Term"
        value={wish.term ?? "on_demand"}
        options={TERMS}
        onChange={(term) => {
          setMostText("");
          change(withTerm(term as Wish["term"]));
        }}
        hint={
          wish.term === "on_demand" ? (
            <>
              For a month or longer, <Link href="/reservations/new">reserving a term</Link> holds
              nodes at a price that stays.
            </>
          ) : undefined
        }
      />
      {wish.term === "reserved" && <OnReservation wish={wish} change={change} />}
      {wish.term === "spot" && (
        <>
          <UsdField
            label="Most that you pay for a GPU-hour"
            value={mostText}
            onChange={setMost}
            hint="You pay what the round says, never more than this."
          />
          <CountField
            label="GPUs that it needs at least"
            value={wish.gpu_count_min ?? 0}
            min={0}
            max={wish.gpu_count}
            onChange={(gpu_count_min) => change({ gpu_count_min })}
            hint="If fewer would be left, all are given back. 0: it goes on with whatever is left."
          />
          <Check
            label="Bid again by itself after all was taken back"
            checked={wish.returns_to_queue ?? false}
            onChange={(returns_to_queue) => change({ returns_to_queue })}
          />
        </>
      )}
    </>
  );
}

function OnReservation({ wish, change }: PartProps) {
  const found = api.useQuery("get", "/gw/v1/reservations", { params: { query: { limit: 200 } } });
  const clusters = useClusters();
  return (
    <Answer query={found} what="reservations">
      {({ items }) => (
        <Choice
          wish={wish}
          change={change}
          mine={items.filter((one) => one.project_id === wish.project_id)}
          clusters={clusters.data?.items ?? []}
        />
      )}
    </Answer>
  );
}

interface ChoiceProps extends PartProps {
  mine: readonly Reservation[];
  clusters: readonly Cluster[];
}

function Choice({ wish, change, mine, clusters }: ChoiceProps) {
  const running = mine.filter((one) => one.state === "running");
  const next = mine
    .filter((one) => one.state === "booked")
    .sort((a, b) => Date.parse(a.from_at) - Date.parse(b.from_at))[0];
  if (running.length === 0) {
    return (
      <Note title="No reservation of this project runs now">
        <p>
          {next
            ? `${next.name} begins ${at(next.from_at)}; its clusters are launched from then on. `
            : "A reservation holds nodes from one moment to another, at a price that stays. "}
          <Link href="/reservations/new">Reserve GPUs</Link>
        </p>
      </Note>
    );
  }
  const choose = (id: string): void => {
    const chosen = running.find((one) => one.id === id);
    if (!chosen) return;
    change({
      reservation_id: id,
      gpu_type: chosen.gpu_type,
      gpu_count: unused(chosen, clusters) || chosen.gpu_count,
    });
  };
  return (
    <SelectField
      label="Reservation"
      value={wish.reservation_id ?? ""}
      options={[
        ...(wish.reservation_id == null ? [{ value: "", label: "Choose one" }] : []),
        ...running.map((one) => ({
          value: one.id,
          label: `${one.name}: ${count(unused(one, clusters))} of ${count(one.gpu_count)} ${one.gpu_type} unused`,
        })),
      ]}
      onChange={choose}
      hint="Its clusters cost nothing themselves, and end with it; the notice comes a day before."
    />
  );
}
