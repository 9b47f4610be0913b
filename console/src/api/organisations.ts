/** Organisations that the caller sees: all of them for operators. */
import { api } from "./client";

/** The organisations. */
export function useOrganisations() {
  return api.useQuery(
    "get",
    "/gw/v1/organisations",
    { params: { query: { limit: 500 } } },
    { staleTime: 60_000 },
  );
}

/** Name of an organisation, its id while that is not known. */
export function useOrganisationName(): (id: string) => string {
  const found = useOrganisations();
  return (id) => found.data?.items.find((one) => one.id === id)?.name ?? id;
}
