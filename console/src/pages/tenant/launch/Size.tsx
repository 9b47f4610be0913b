/** Which GPUs, and how many. */
import { answering } from "../../../api/card";
import { api, type Schemas } from "../../../api/client";
import { useMe } from "../../../api/session";
import { CountField, SelectField } from "../../../ui/fields";
import { count, usdExact } from "../../../ui/format";
import type { PartProps, Wish } from "./wish";

const GPU_COUNT_MAX = 4_000;

const USUAL = [8, 64, 256, 1_024, 4_000];

/** What a GPU-hour costs by the card, for so many and so held; the plan's price is what binds. */
function usePrice(wish: Wish): (type: Schemas["GpuTypeSummary"]) => string {
  const { organisation_id } = useMe();
  const rates = api.useQuery("get", "/gw/v1/rates", { params: { query: { limit: 500 } } });
  const term = wish.term ?? "on_demand";
  return ({ gpu_type, price_micro_usd_per_gpu_hour }) => {
    if (term === "reserved") return "paid by a reservation";
    const good = { gpu_type, term, organisation_id, site_id: null, month_count_min: 0 };
    const rate = answering(
      rates.data?.items ?? [],
      { ...good, gpu_count_min: wish.gpu_count },
      Date.now(),
    );
    const price = rate?.price_micro_usd_per_gpu_hour ?? price_micro_usd_per_gpu_hour;
    const words = `${usdExact(price)} per GPU and hour`;
    return term === "spot" ? (rate ? `from ${words}` : "no spot is sold") : words;
  };
}

interface SizeProps extends PartProps {
  types: readonly Schemas["GpuTypeSummary"][];
}

export function TypeAndCount({ wish, types, change }: SizeProps) {
  const priceOf = usePrice(wish);
  return (
    <>
      {/* A reservation is of one type. */}
      {wish.reservation_id == null && (
        <SelectField
          label="GPU type"
          value={wish.gpu_type ?? ""}
          onChange={(gpu_type) => change({ gpu_type })}
          options={types.map((type) => ({
            value: type.gpu_type,
            label: `${type.gpu_type}: ${priceOf(type)}, ${count(type.free_gpu_count)} free`,
          }))}
        />
      )}
      <CountField
        label="GPUs"
        value={wish.gpu_count}
        min={1}
        max={GPU_COUNT_MAX}
        onChange={(gpu_count) => change({ gpu_count })}
        hint={`1 to ${count(GPU_COUNT_MAX)}; whole nodes have 8.`}
      />
      <fieldset className="chips">
        <legend className="hidden">Usual sizes</legend>
        {USUAL.map((size) => (
          <button
            key={size}
            type="button"
            className="chip"
            aria-pressed={wish.gpu_count === size}
            onClick={() => change({ gpu_count: size })}
          >
            {count(size)}
          </button>
        ))}
      </fieldset>
    </>
  );
}
