/** The five planes in words, and how far each of them is. */
import { Check, LoaderCircle, LockKeyhole, LockKeyholeOpen } from "lucide-react";
import type { Schemas } from "../api/client";
import { count } from "./format";

export interface PlaneWords {
  key: string;
  name: string;
  /** What closing it means for the tenant. */
  means: string;
}

export const PLANES: readonly PlaneWords[] = [
  { key: "fabric", name: "Compute fabric", means: "GPU traffic reaches only your own nodes" },
  { key: "in_band", name: "Network", means: "Your hosts see your hosts, and what you let in" },
  { key: "out_of_band", name: "Management", means: "Nobody else powers or reimages your nodes" },
  { key: "storage", name: "Storage", means: "Your files are exported to your nodes alone" },
  { key: "host", name: "Hosts", means: "Nodes boot clean and belong to you alone" },
];

/** Name of a plane. */
export const planeName = (key: string): string =>
  PLANES.find((plane) => plane.key === key)?.name ?? key;

interface Done {
  done: number;
  total: number;
}

/** Steps of every plane over all stages. */
export function byPlane(stages: readonly Schemas["StageProgress"][]): Map<string, Done> {
  const found = new Map<string, Done>();
  for (const stage of stages) {
    for (const [plane, progress] of Object.entries(stage.planes)) {
      const sum = found.get(plane) ?? { done: 0, total: 0 };
      sum.done += progress.done_count;
      sum.total += progress.step_count;
      found.set(plane, sum);
    }
  }
  return found;
}

interface PlanesProps {
  stages: readonly Schemas["StageProgress"][];
  /** Planes close in a launch and open in a release. */
  isOpening: boolean;
  isOver: boolean;
}

/** The planes one below the other, each with how far it is. */
export function Planes({ stages, isOpening, isOver }: PlanesProps) {
  const sums = byPlane(stages);
  return (
    <ol className="planes">
      {PLANES.map((plane) => {
        const sum = sums.get(plane.key);
        return (
          <li key={plane.key} className={planeState(sum)}>
            <PlaneIcon sum={sum} isOpening={isOpening} isOver={isOver} />
            <div>
              <div className="plane-name">{plane.name}</div>
              <div className="faint small">{plane.means}</div>
            </div>
            <div className="plane-count">{planeWords(sum, isOpening)}</div>
            {sum && (
              <progress aria-label={plane.name} value={sum.done} max={Math.max(1, sum.total)} />
            )}
          </li>
        );
      })}
    </ol>
  );
}

function planeState(sum: Done | undefined): string {
  if (!sum) return "untouched";
  if (sum.done === sum.total) return "closed";
  return sum.done > 0 ? "under-way" : "open";
}

function planeWords(sum: Done | undefined, isOpening: boolean): string {
  if (!sum) return "not used";
  if (sum.done === sum.total) return isOpening ? "given back" : "closed";
  return `${count(sum.done)} of ${count(sum.total)} steps`;
}

function PlaneIcon({ sum, isOpening, isOver }: { sum?: Done } & Omit<PlanesProps, "stages">) {
  if (sum && sum.done === sum.total) {
    return isOpening ? <Check aria-hidden size={20} /> : <LockKeyhole aria-hidden size={20} />;
  }
  if (sum && sum.done > 0 && !isOver)
    return <LoaderCircle aria-hidden size={20} className="turning" />;
  return <LockKeyholeOpen aria-hidden size={20} />;
}
