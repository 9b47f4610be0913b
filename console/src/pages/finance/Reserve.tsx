/** A new reservation: when there is room, what it would cost, and booking exactly that. */
import { useState } from "react";
import type { Schemas } from "../../api/client";
import { useFleet } from "../../api/lists";
import { useMayBuild } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, Note, Page } from "../../ui/basics";
import { Check, CountField, SelectField, TextField } from "../../ui/fields";
import { isoOf, MomentField, textOf } from "../../ui/moment";
import { isAmount, microUsd, UsdField } from "../../ui/money";
import { InProject } from "../../ui/project";
import { ReservationPlan } from "./reservations/ReservationPlan";

export type ReservationWish = Schemas["ReservationRequest"];

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NODE_GPU_COUNT = 8;

export default function Reserve() {
  const mayBuild = useMayBuild();
  const fleet = useFleet();
  return (
    <Page
      title="Reserve GPUs"
      lead="The plan appears as you choose. Nothing is promised or billed until it is booked."
    >
      {!mayBuild ? (
        <Note kind="warn" title="Your role cannot reserve">
          <p>Members plan reservations, and the owner of your organisation books them.</p>
        </Note>
      ) : (
        <Answer query={fleet} what="what the site offers">
          {(offer) => (
            <InProject>
              {(project) => <Form key={project.id} project={project} offer={offer} />}
            </InProject>
          )}
        </Answer>
      )}
    </Page>
  );
}

interface FormProps {
  project: Schemas["Project"];
  offer: Schemas["Fleet"];
}

function Form({ project, offer }: FormProps) {
  const [wish, setWish] = useState<ReservationWish>({
    project_id: project.id,
    name: "next-model",
    gpu_count: 64,
    gpu_type: offer.gpu_types[0]?.gpu_type ?? "",
    from_at: null,
    months: 1,
    growth_gpu_count: 0,
    is_lent: false,
    site_ids: [],
    keep_together: "fabric",
  });
  const [from, setFrom] = useState("");
  const [most, setMost] = useState("");
  const change = (part: Partial<ReservationWish>): void =>
    setWish((before) => ({ ...before, ...part }));
  const nameError = NAME.test(wish.name)
    ? null
    : "Small letters, digits and hyphens, up to 63, beginning and ending with a letter or digit.";
  const isRight = nameError === null && isAmount(most, { isOptional: true, mayBeZero: true });
  const begin = (iso: string | null): void => change({ from_at: iso });
  return (
    <div className="launch">
      <Card title="What you want">
        <form onSubmit={(event) => event.preventDefault()}>
          <TextField
            label="Name"
            value={wish.name}
            onChange={(name) => change({ name })}
            error={nameError}
            autoComplete="off"
          />
          <SelectField
            label="GPU type"
            value={wish.gpu_type}
            options={offer.gpu_types.map(({ gpu_type }) => ({ value: gpu_type, label: gpu_type }))}
            onChange={(gpu_type) => change({ gpu_type })}
          />
          <CountField
            label="GPUs"
            value={wish.gpu_count}
            min={1}
            max={32_000}
            step={NODE_GPU_COUNT}
            onChange={(gpu_count) => change({ gpu_count })}
            hint="Whole nodes: multiples of 8."
          />
          <MomentField
            label="From"
            value={from}
            onChange={(text) => {
              setFrom(text);
              begin(isoOf(text));
            }}
            hint="Empty for now."
          />
          <Length wish={wish} change={change} />
          <details>
            <summary>More: growth, lending, site, highest price</summary>
            <div className="stack more">
              <More wish={wish} change={change} sites={offer.sites} />
              <UsdField
                label="Most that a GPU-hour may cost"
                value={most}
                isOptional
                mayBeZero
                onChange={(text) => {
                  setMost(text);
                  change({ price_micro_usd_per_gpu_hour_max: microUsd(text) });
                }}
                hint="Empty for whatever the rate card says."
              />
            </div>
          </details>
        </form>
      </Card>
      <ReservationPlan
        wish={wish}
        isReady={isRight}
        beginAt={(iso) => {
          setFrom(textOf(new Date(iso)));
          begin(iso);
        }}
      />
    </div>
  );
}

interface PartProps {
  wish: ReservationWish;
  change: (part: Partial<ReservationWish>) => void;
}

function Length({ wish, change }: PartProps) {
  const isMonths = wish.months != null;
  return (
    <>
      <SelectField
        label="For"
        value={isMonths ? "months" : "hours"}
        options={[
          { value: "months", label: "Months of 30 days" },
          { value: "hours", label: "Hours" },
        ]}
        onChange={(unit) =>
          change(unit === "months" ? { months: 1, hours: null } : { months: null, hours: 24 })
        }
        hint="From a month on, the price may be that of a longer term."
      />
      <CountField
        label={isMonths ? "Months" : "Hours"}
        value={(isMonths ? wish.months : wish.hours) ?? 1}
        min={1}
        max={isMonths ? 60 : 43_920}
        onChange={(value) => change(isMonths ? { months: value } : { hours: value })}
      />
    </>
  );
}

const TOGETHER = [
  { value: "fabric", label: "Anywhere in one fabric, as near as it goes" },
  { value: "pod", label: "In one pod" },
  { value: "leaf_group", label: "In one leaf group" },
];

function More({ wish, change, sites }: PartProps & { sites: Schemas["Fleet"]["sites"] }) {
  return (
    <>
      <CountField
        label="Room for growth"
        value={wish.growth_gpu_count ?? 0}
        min={0}
        max={32_000}
        step={NODE_GPU_COUNT}
        onChange={(growth_gpu_count) => change({ growth_gpu_count })}
        hint="GPUs that are kept free beside them; they cost the price of the day, when used."
      />
      <Check
        label="Lend it to others, on call, while you do not use it"
        checked={wish.is_lent ?? false}
        onChange={(is_lent) => change({ is_lent })}
      />
      <SelectField
        label="Site"
        value={wish.site_ids?.[0] ?? ""}
        onChange={(site) => change({ site_ids: site ? [site] : [] })}
        options={[
          { value: "", label: "Any" },
          ...sites.map(({ site_id }) => ({ value: site_id, label: site_id })),
        ]}
      />
      <SelectField
        label="Nearness"
        value={wish.keep_together ?? "fabric"}
        options={TOGETHER}
        onChange={(value) => change({ keep_together: value as ReservationWish["keep_together"] })}
      />
    </>
  );
}
