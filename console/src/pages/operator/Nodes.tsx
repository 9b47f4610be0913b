/** Nodes: found by text and filters that stand in the address; who holds which. */
import { useEffect, useRef, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useFleet, useProjects } from "../../api/lists";
import { Button, Card, Empty, Loading, Page, StateOf } from "../../ui/basics";
import { Check, SelectField, TextField } from "../../ui/fields";
import { counted } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Node = Schemas["Node"];

const STATES = [
  { value: "", label: "Every state" },
  { value: "available", label: "Available" },
  { value: "drained", label: "Drained" },
  { value: "quarantined", label: "Quarantined" },
];

function whyOf({ state_reason, state_by }: Node): string {
  if (!state_by) return state_reason || "in service";
  return `${state_reason} (by ${state_by.name || state_by.account_id})`;
}

function columnsOf(): Column<Node>[] {
  return [
    {
      head: "Node",
      isTight: true,
      cell: (one) => <Link href={`/nodes/${one.id}`}>{one.id}</Link>,
      sortBy: (one) => one.id,
    },
    { head: "State", cell: (one) => <StateOf state={one.state} />, sortBy: (one) => one.state },
    { head: "Why", cell: (one) => whyOf(one) },
    {
      head: "Held by",
      cell: (one) =>
        one.status.holders.length === 0
          ? "nobody"
          : one.status.holders.map(({ cluster_id, cluster_name }) => (
              <span key={cluster_id}>
                <Link href={`/clusters/${cluster_id}`}>{cluster_name || cluster_id}</Link>{" "}
              </span>
            )),
    },
    {
      head: "Free GPUs",
      isNumber: true,
      cell: (one) => `${one.status.free_gpu_count} of ${one.config.gpu_count}`,
      sortBy: (one) => one.status.free_gpu_count,
    },
    {
      head: "Type",
      isTight: true,
      cell: (one) => one.config.gpu_type,
      sortBy: (one) => one.config.gpu_type,
    },
    {
      head: "Place",
      isTight: true,
      cell: (one) => `${one.config.hall_id}, ${one.config.rack_id}`,
      sortBy: (one) => one.config.rack_id,
    },
  ];
}

/** Filters of the list, as they stand in the address. */
const FILTERS = ["text", "state", "type", "tenant", "rack", "free", "after"] as const;
type Filter = (typeof FILTERS)[number];

/** Pause of the typist after which the list is asked. */
const TYPING_MS = 300;

function useFilters() {
  const [path, go] = useLocation();
  const search = useSearch();
  const asked = new URLSearchParams(search);
  const found = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) ?? ""]));
  const choose = (changes: Partial<Record<Filter, string>>): void => {
    // Another filter begins with the first page again.
    const next = new URLSearchParams({ ...Object.fromEntries(asked), after: "", ...changes });
    for (const [name, value] of [...next]) if (!value) next.delete(name);
    go(next.size > 0 ? `${path}?${next}` : path, { replace: "text" in changes });
  };
  return { filters: found as Record<Filter, string>, choose };
}

export default function Nodes() {
  const { filters, choose } = useFilters();
  const { text, state, type, tenant, rack, free, after } = filters;
  const nodes = api.useQuery(
    "get",
    "/gw/v1/nodes",
    {
      params: {
        query: {
          limit: 200,
          ...(text ? { text } : {}),
          ...(state ? { state: state as Node["state"] } : {}),
          ...(type ? { gpu_type: type } : {}),
          ...(tenant ? { project_id: tenant } : {}),
          ...(rack ? { rack_id: rack } : {}),
          ...(free ? { only_free: true } : {}),
          ...(after ? { cursor: after } : {}),
        },
      },
    },
    // While the next answer is on its way, the last one stays.
    { placeholderData: (before) => before },
  );
  const next = nodes.data?.next_cursor;
  return (
    <Page title="Nodes" lead="Take one out of service, give it back, and see who holds it.">
      <Card>
        <Filters filters={filters} choose={choose} />
        {nodes.isPending ? (
          <Loading what="nodes" />
        ) : nodes.error ? (
          <ProblemNote error={nodes.error} retry={() => void nodes.refetch()} />
        ) : (
          <>
            <p className="faint" role="status">
              {foundWords(nodes.data.items.length, after !== "", next != null)}
            </p>
            <Table
              label="Nodes"
              columns={columnsOf()}
              rows={nodes.data.items}
              rowKey={(one) => one.id}
              shown={50}
              empty={
                <Empty title="No node is so">
                  Clear a filter or search for something else to see the nodes of the fleet.
                </Empty>
              }
            />
          </>
        )}
        <div className="actions">
          {after && <Button onClick={() => choose({ after: "" })}>To the first nodes</Button>}
          {next && <Button onClick={() => choose({ after: next })}>The next 200 nodes</Button>}
        </div>
      </Card>
    </Page>
  );
}

function foundWords(shown: number, isLater: boolean, hasMore: boolean): string {
  if (isLater) return `${counted(shown, "node")} on this page${hasMore ? ", more follow" : ""}.`;
  return hasMore ? `The first ${shown} nodes; more follow.` : `${counted(shown, "node")} found.`;
}

interface FiltersProps {
  filters: Record<Filter, string>;
  choose: (changes: Partial<Record<Filter, string>>) => void;
}

function Filters({ filters, choose }: FiltersProps) {
  const fleet = useFleet();
  const projects = useProjects();
  const types = [...new Set((fleet.data?.gpu_types ?? []).map((one) => one.gpu_type))];
  const isFiltered = FILTERS.some((name) => name !== "after" && filters[name] !== "");
  return (
    <div className="form-row">
      <Search text={filters.text} onSearch={(text) => choose({ text })} />
      <SelectField
        label="State"
        value={filters.state}
        options={STATES}
        onChange={(state) => choose({ state })}
      />
      <SelectField
        label="GPU type"
        value={filters.type}
        options={[{ value: "", label: "Every type" }, ...types.map(own)]}
        onChange={(type) => choose({ type })}
      />
      <SelectField
        label="Tenant"
        value={filters.tenant}
        options={[
          { value: "", label: "Every tenant" },
          ...(projects.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name })),
        ]}
        onChange={(tenant) => choose({ tenant })}
      />
      <div className="filter-more">
        <Check
          label="With free GPUs"
          checked={filters.free !== ""}
          onChange={(free) => choose({ free: free ? "yes" : "" })}
        />
        {filters.rack && (
          <Button onClick={() => choose({ rack: "" })}>Rack {filters.rack} ✕</Button>
        )}
        {isFiltered && (
          <Button
            kind="quiet"
            onClick={() => choose(Object.fromEntries(FILTERS.map((name) => [name, ""])))}
          >
            Clear all
          </Button>
        )}
      </div>
    </div>
  );
}

const own = (value: string) => ({ value, label: value });

/** What is typed is asked for after a pause; the address follows, and so does Back. */
function Search({ text, onSearch }: { text: string; onSearch: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const sent = useRef(text);
  const latest = useRef(onSearch);
  latest.current = onSearch;
  useEffect(() => {
    // Back, or a link: what was typed here comes back as it was sent, and is not put in its place.
    if (text !== sent.current) setTyped(text);
    sent.current = text;
  }, [text]);
  useEffect(() => {
    if (typed.trim() === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed.trim();
      latest.current(sent.current);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <TextField
      label="Search"
      type="search"
      value={typed}
      onChange={setTyped}
      maxLength={100}
      autoComplete="off"
      placeholder="Name, rack, tenant, reason, BMC, GUID"
    />
  );
}
