/** What a price changes, for whom, and whom it leaves alone. */

import { answering, exceptions, type Good, later, type Rate, whom } from "../../../api/card";
import { api, type Schemas } from "../../../api/client";
import { useClusters, useProjects } from "../../../api/lists";
import { useOrganisationName } from "../../../api/organisations";
import { Answer } from "../../../ui/answer";
import { Card, Facts, Note } from "../../../ui/basics";
import { at, counted, usdExact, usdPerHour, words } from "../../../ui/format";

/** A price that somebody is about to set. */
export interface Wish extends Good {
  /** null while it is not typed yet. */
  price_micro_usd_per_gpu_hour: number | null;
  /** null for at once. */
  valid_from: string | null;
  valid_to: string | null;
}

/** Every row that has to do with a wish, those of the past too. */
export function useRatesOf(good: Pick<Good, "gpu_type" | "term">) {
  const term = good.term as Schemas["NewRate"]["term"];
  return api.useQuery("get", "/gw/v1/rates", {
    params: { query: { gpu_type: good.gpu_type, term, with_past: true, limit: 500 } },
  });
}

export function Effect({ wish }: { wish: Wish }) {
  const rates = useRatesOf(wish);
  return (
    <Card title="What changes" className="plan-card">
      <div aria-live="polite" className="stack">
        <Answer query={rates} what="the rate card">
          {({ items }) => <Shown wish={wish} rates={items} />}
        </Answer>
      </div>
    </Card>
  );
}

function Shown({ wish, rates }: { wish: Wish; rates: readonly Rate[] }) {
  const organisation = useOrganisationName();
  const fromMs = wish.valid_from === null ? Date.now() : Date.parse(wish.valid_from);
  const before = answering(rates, wish, fromMs);
  const next = later(rates, wish, fromMs)[0];
  const others = exceptions(rates, wish, fromMs);
  const price = wish.price_micro_usd_per_gpu_hour;
  return (
    <>
      <Facts
        facts={[
          ["For", whom(wish, organisation)],
          ["From", wish.valid_from === null ? "at once" : at(wish.valid_from)],
          [
            "Until",
            wish.valid_to !== null
              ? at(wish.valid_to)
              : next
                ? at(next.valid_from)
                : "it is followed",
          ],
          [
            "Before",
            before
              ? `${usdExact(before.price_micro_usd_per_gpu_hour)}, ${before.id}`
              : "the list price of the type",
          ],
          [
            "After",
            price === null ? "type a price" : <strong key="then">{usdExact(price)}</strong>,
          ],
          ["Difference", difference(before, price)],
        ]}
      />
      {next && (
        <Note kind="warn">
          <p>
            {next.id} of the same kind follows on {at(next.valid_from)} with{" "}
            {usdExact(next.price_micro_usd_per_gpu_hour)}; this price ends there.
          </p>
        </Note>
      )}
      {others.length > 0 && (
        <div>
          <h3>Who keeps another price</h3>
          <ul className="plain-list">
            {others.map((rate) => (
              <li key={rate.id}>
                {whom(rate, organisation)}: {usdExact(rate.price_micro_usd_per_gpu_hour)}
              </li>
            ))}
          </ul>
        </div>
      )}
      <Kept wish={wish} />
    </>
  );
}

function difference(before: Rate | null, price: number | null): string {
  if (before === null || price === null) return "none known";
  const old = before.price_micro_usd_per_gpu_hour;
  if (old === price) return "the same price";
  const percent = old === 0 ? "" : ` (${((100 * Math.abs(price - old)) / old).toFixed(1)}%)`;
  return `${usdExact(Math.abs(price - old))} ${price > old ? "more" : "less"}${percent}`;
}

/** What runs now, and why it is left alone. */
function Kept({ wish }: { wish: Wish }) {
  const clusters = useClusters();
  const projects = useProjects();
  if (wish.term === "reserved") {
    return <p className="faint">Reservations that are booked keep the price of their plan.</p>;
  }
  const owner = new Map(projects.data?.items.map((one) => [one.id, one.organisation_id]));
  const kept = (clusters.data?.items ?? []).filter(
    ({ status, config, project_id }) =>
      status?.gpu_type === wish.gpu_type &&
      config?.term === wish.term &&
      config.gpu_count >= wish.gpu_count_min &&
      (wish.site_id === null || status.site_id === wish.site_id) &&
      (wish.organisation_id === null || owner.get(project_id) === wish.organisation_id),
  );
  const gpus = kept.reduce((sum, one) => sum + (one.config?.gpu_count ?? 0), 0);
  const paid = kept.reduce((sum, one) => sum + (one.status?.price_micro_usd_per_hour ?? 0), 0);
  return (
    <p className="faint">
      {kept.length === 0
        ? `No cluster runs ${words(wish.term)} on these GPUs now. `
        : `${counted(kept.length, "cluster")} with ${counted(gpus, "GPU")} ${kept.length === 1 ? "runs so now and keeps its price" : "run so now and keep their prices"}, ${usdPerHour(paid)} together. `}
      {wish.term === "spot"
        ? "For spot this is the floor of the rounds that come."
        : "Plans that were shown before keep their price too, until they lapse."}
    </p>
  );
}
