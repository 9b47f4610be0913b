/** Lists that several pages need. */
import { useState } from "react";
import { api, type Schemas } from "./client";

const MOST = { params: { query: { limit: 500 } } };

/** Projects that the caller sees. */
export function useProjects() {
  return api.useQuery("get", "/gw/v1/projects", MOST, { staleTime: 60_000 });
}

/** Clusters that the caller sees. */
export function useClusters() {
  return api.useQuery("get", "/gw/v1/clusters", MOST, { staleTime: 15_000 });
}

/** What the site offers, in numbers. */
export function useFleet() {
  return api.useQuery("get", "/gw/v1/fleet", {}, { staleTime: 15_000 });
}

const KEY = "gigawatt.project";

/** The project that pages work in: chosen before, else the first one. */
export function useProject() {
  const projects = useProjects();
  const [chosen, setChosen] = useState(() => localStorage.getItem(KEY) ?? "");
  const items: readonly Schemas["Project"][] = projects.data?.items ?? [];
  const project = items.find((one) => one.id === chosen) ?? items[0];
  const choose = (id: string): void => {
    localStorage.setItem(KEY, id);
    setChosen(id);
  };
  return { project, projects: items, choose, isPending: projects.isPending, error: projects.error };
}

/** Name of a project, its id while that is not known. */
export function useProjectName(): (id: string) => string {
  const projects = useProjects();
  return (id) => projects.data?.items.find((one) => one.id === id)?.name ?? id;
}

/** Name of a cluster, its id while that is not known. */
export function useClusterName(): (id: string) => string {
  const clusters = useClusters();
  return (id) => clusters.data?.items.find((one) => one.id === id)?.name ?? id;
}
