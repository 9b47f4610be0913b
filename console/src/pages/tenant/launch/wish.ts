/** What somebody wants who launches a cluster, and how its parts change it. */
import type { Schemas } from "../../../api/client";

export type Wish = Schemas["ClusterRequest"];

/** GPUs of a reservation that no cluster has. */
export function unused(
  one: Schemas["Reservation"],
  clusters: readonly Schemas["Cluster"][],
): number {
  const taken = clusters
    .filter((cluster) => cluster.config?.reservation_id === one.id)
    .reduce((sum, cluster) => sum + (cluster.config?.gpu_count ?? 0), 0);
  return Math.max(0, one.gpu_count - taken);
}

export interface PartProps {
  wish: Wish;
  change: (part: Partial<Wish>) => void;
}
