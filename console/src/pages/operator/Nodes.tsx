/** Nodes: which are out of service, who holds which. */
import { Link, useLocation, useSearch } from "wouter";
import { api, type Schemas } from "../../api/client";
import { Button, Card, Empty, Loading, Page, StateOf } from "../../ui/basics";
import { SelectField } from "../../ui/fields";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Node = Schemas["Node"];

const STATES = [
  { value: "", label: "Every state" },
  { value: "available", label: "Available" },
  { value: "drained", label: "Drained" },
  { value: "quarantined", label: "Quarantined" },
];

function columnsOf(): Column<Node>[] {
  return [
    {
      head: "Node",
      cell: (one) => <Link href={`/nodes/${one.id}`}>{one.id}</Link>,
      sortBy: (one) => one.id,
    },
    { head: "State", cell: (one) => <StateOf state={one.state} />, sortBy: (one) => one.state },
    { head: "Why", cell: (one) => one.state_reason || "in service" },
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
    { head: "Type", cell: (one) => one.config.gpu_type, sortBy: (one) => one.config.gpu_type },
    {
      head: "Place",
      cell: (one) => `${one.config.hall_id}, ${one.config.rack_id}`,
      sortBy: (one) => one.config.rack_id,
    },
  ];
}

export default function Nodes() {
  const [path, go] = useLocation();
  const asked = new URLSearchParams(useSearch());
  const [state, rack, cursor] = ["state", "rack", "after"].map((name) => asked.get(name) ?? "");
  const nodes = api.useQuery("get", "/gw/v1/nodes", {
    params: {
      query: {
        limit: 200,
        ...(state ? { state: state as Node["state"] } : {}),
        ...(rack ? { rack_id: rack } : {}),
        ...(cursor ? { cursor } : {}),
      },
    },
  });
  const choose = (changes: Record<string, string>): void => {
    const next = new URLSearchParams({ ...Object.fromEntries(asked), ...changes });
    for (const [name, value] of [...next]) if (!value) next.delete(name);
    go(`${path}?${next}`);
  };
  const next = nodes.data?.next_cursor;
  return (
    <Page title="Nodes" lead="Take one out of service, give it back, and see who holds it.">
      <Card>
        <div className="form-row">
          <SelectField
            label="State"
            value={state ?? ""}
            options={STATES}
            onChange={(value) => choose({ state: value, after: "" })}
          />
          {rack && <Button onClick={() => choose({ rack: "", after: "" })}>Rack {rack} ✕</Button>}
        </div>
        {nodes.isPending ? (
          <Loading what="nodes" />
        ) : nodes.error ? (
          <ProblemNote error={nodes.error} retry={() => void nodes.refetch()} />
        ) : (
          <Table
            label="Nodes"
            columns={columnsOf()}
            rows={nodes.data.items}
            rowKey={(one) => one.id}
            shown={50}
            empty={
              <Empty title="No node is so">
                Choose another state to see the nodes of the fleet.
              </Empty>
            }
          />
        )}
        <div className="actions">
          {cursor && <Button onClick={() => choose({ after: "" })}>To the first nodes</Button>}
          {next && <Button onClick={() => choose({ after: next })}>The next 200 nodes</Button>}
        </div>
      </Card>
    </Page>
  );
}
