/** Where the nodes stand: pods, leaf groups and racks as a drawing, and the health of each. */
import { useId, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { api, type Schemas } from "../../../api/client";
import { useMayBuild } from "../../../api/session";
import { Button, Card, Facts, Loading, Note, StateOf, Status } from "../../../ui/basics";
import { Confirm } from "../../../ui/dialog";
import { count, counted } from "../../../ui/format";
import { ProblemNote, sentence } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";

type Node = Schemas["ClusterNode"];

export function Topology({ id }: { id: string }) {
  const topology = api.useQuery("get", "/gw/v1/clusters/{cluster_id}/topology", {
    params: { path: { cluster_id: id } },
  });
  if (topology.isPending) return <Loading what="the topology" />;
  if (topology.error) return <ProblemNote error={topology.error} />;
  return <Shown topology={topology.data} />;
}

function Shown({ topology }: { topology: Schemas["ClusterTopology"] }) {
  const [chosen, setChosen] = useState<string | null>(null);
  const node = topology.nodes.find((one) => one.node_id === chosen);
  return (
    <>
      <Health clusterId={topology.cluster_id} nodes={topology.nodes} />
      <Card title="Fabric, from the spine down to the nodes">
        <Drawing topology={topology} chosen={chosen} onChoose={setChosen} />
        <Legend />
        {node ? (
          <NodeFacts node={node} />
        ) : (
          <p className="faint">Choose a node to see its place and its rails.</p>
        )}
      </Card>
      <details>
        <summary>All nodes as a table</summary>
        <Table
          label="Nodes of the cluster"
          columns={COLUMNS}
          rows={topology.nodes}
          rowKey={(one) => one.node_id}
          shown={100}
        />
      </details>
    </>
  );
}

const COLUMNS: Column<Node>[] = [
  { head: "Host", cell: (one) => one.hostname, sortBy: (one) => one.hostname },
  { head: "Node", cell: (one) => <code>{one.node_id}</code>, sortBy: (one) => one.node_id },
  { head: "Role", cell: (one) => one.role, sortBy: (one) => one.role },
  { head: "Health", cell: (one) => <NodeHealth node={one} />, sortBy: (one) => one.state },
  { head: "Rack", cell: (one) => one.rack_id, sortBy: (one) => one.rack_id },
  { head: "Leaf group", cell: (one) => one.leaf_group_id, sortBy: (one) => one.leaf_group_id },
];

function NodeHealth({ node }: { node: Node }) {
  if (node.state === "available") return <Status kind="good">healthy</Status>;
  return <StateOf state={node.state} />;
}

interface HealthProps {
  clusterId: string;
  nodes: readonly Node[];
}

/** Puts spares or other nodes in the place of those that failed. */
function Replace({ clusterId, nodes }: HealthProps) {
  const [, go] = useLocation();
  const [asks, setAsks] = useState(false);
  const mayBuild = useMayBuild();
  const replace = api.useMutation("post", "/gw/v1/clusters/{cluster_id}:replace", {
    onSuccess: (changed) => go(`/operations/${changed.operation_id}`),
  });
  if (!mayBuild) return null;
  return (
    <>
      <Button onClick={() => setAsks(true)}>Replace them</Button>
      <Confirm
        open={asks}
        onClose={() => setAsks(false)}
        title={`Replace ${counted(nodes.length, "node")}?`}
        doIt="Replace them"
        doing="Planning …"
        isBusy={replace.isPending}
        error={replace.error}
        onConfirm={() =>
          replace.mutate({
            params: { path: { cluster_id: clusterId } },
            body: { node_ids: nodes.map((node) => node.node_id) },
          })
        }
      >
        <p>What runs on them ends. Spares come first, then the nearest free nodes.</p>
      </Confirm>
    </>
  );
}

function Health({ clusterId, nodes }: HealthProps) {
  const ill = nodes.filter((node) => node.state !== "available");
  if (ill.length === 0) {
    return (
      <Note kind="good" title="All nodes are healthy">
        <p>{counted(nodes.length, "node")} in service.</p>
      </Note>
    );
  }
  return (
    <Note
      kind="warn"
      title={`${counted(ill.length, "node")} of ${count(nodes.length)} not healthy`}
    >
      <ul>
        {ill.slice(0, 10).map((node) => (
          <li key={node.node_id}>
            {node.hostname} ({node.node_id}) is {node.state}: {sentence(node.state_reason)}
          </li>
        ))}
      </ul>
      <Replace clusterId={clusterId} nodes={ill} />
    </Note>
  );
}

function NodeFacts({ node }: { node: Node }) {
  return (
    <Facts
      facts={[
        ["Host", node.hostname],
        ["Node", <code key="n">{node.node_id}</code>],
        ["Health", <NodeHealth key="h" node={node} />],
        ["GPUs", count(node.gpu_count)],
        ["Rack", node.rack_id],
        ["Leaf group", node.leaf_group_id],
        ["Pod", node.pod_id],
        ["NVLink domain", node.nvlink_domain_id],
        [
          "Rails",
          <ol key="r" className="rails">
            {node.leaf_switch_ids.map((leaf, rail) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the place is the rail
              <li key={rail}>
                rail {rail}: <code>{leaf}</code>
              </li>
            ))}
          </ol>,
        ],
      ]}
    />
  );
}

function Legend() {
  return (
    <ul className="legend" aria-label="Legend">
      <li>
        <span className="swatch held" /> node in use
      </li>
      <li>
        <span className="swatch spare" /> spare
      </li>
      <li>
        <span className="swatch ill" /> not healthy
      </li>
    </ul>
  );
}

interface Placed {
  node: Node;
  x: number;
  y: number;
}

interface Group {
  id: string;
  x: number;
  y: number;
  width: number;
  height: number;
  railCount: number;
  nodes: Placed[];
}

const CELL = 22;
const GAP = 4;
const PAD = 10;
const ROW = 8;
const HEAD = 40;
/** Four leaf groups a row; the trunk runs in the gap in the middle. */
const WIDTH = 944;

/** Leaf groups as boxes that flow into rows; nodes as cells in them. */
function laidOut(nodes: readonly Node[]): { groups: Group[]; height: number } {
  const byLeaf = new Map<string, Node[]>();
  for (const node of nodes) {
    const held = byLeaf.get(node.leaf_group_id);
    if (held) held.push(node);
    else byLeaf.set(node.leaf_group_id, [node]);
  }
  const groups: Group[] = [];
  const width = ROW * (CELL + GAP) - GAP + 2 * PAD;
  let [x, y, rowHeight] = [0, HEAD + 24, 0];
  for (const [id, members] of byLeaf) {
    const rows = Math.ceil(members.length / ROW);
    const height = rows * (CELL + GAP) - GAP + PAD + HEAD;
    if (x + width > WIDTH) [x, y, rowHeight] = [0, y + rowHeight + 24, 0];
    groups.push({
      id,
      x,
      y,
      width,
      height,
      railCount: new Set(members.flatMap((node) => node.leaf_switch_ids)).size,
      nodes: members.map((node, place) => ({
        node,
        x: x + PAD + (place % ROW) * (CELL + GAP),
        y: y + HEAD + Math.floor(place / ROW) * (CELL + GAP),
      })),
    });
    x += width + 16;
    rowHeight = Math.max(rowHeight, height);
  }
  return { groups, height: y + rowHeight };
}

interface DrawingProps {
  topology: Schemas["ClusterTopology"];
  chosen: string | null;
  onChoose: (id: string) => void;
}

function Drawing({ topology, chosen, onChoose }: DrawingProps) {
  const title = useId();
  const { groups, height } = useMemo(() => laidOut(topology.nodes), [topology.nodes]);
  const spine = WIDTH / 2;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide drawing is scrolled by keyboard
    <section className="drawing" tabIndex={0} aria-label="Drawing of the fabric">
      <svg viewBox={`0 0 ${WIDTH} ${height + 4}`} role="group" aria-labelledby={title}>
        <title id={title}>
          {`${counted(topology.nodes.length, "node")} in ${counted(groups.length, "leaf group")}`}
        </title>
        {groups.map((group) => (
          <path
            key={group.id}
            className="wire"
            d={`M ${spine} ${HEAD - 8} V ${group.y - 12} H ${group.x + group.width / 2} V ${group.y}`}
          />
        ))}
        <rect className="switch" x={spine - 110} y={2} width={220} height={HEAD - 10} rx={6} />
        <text className="switch-name" x={spine} y={22} textAnchor="middle">
          {`spines of ${topology.fabric_id}`}
        </text>
        {groups.map((group) => (
          <LeafGroup key={group.id} group={group} chosen={chosen} onChoose={onChoose} />
        ))}
      </svg>
    </section>
  );
}

interface LeafGroupProps {
  group: Group;
  chosen: string | null;
  onChoose: (id: string) => void;
}

function LeafGroup({ group, chosen, onChoose }: LeafGroupProps) {
  return (
    <g>
      <rect
        className="leaf-group"
        x={group.x}
        y={group.y}
        width={group.width}
        height={group.height}
        rx={8}
      />
      <text className="leaf-name" x={group.x + PAD} y={group.y + 17}>
        {group.id}
      </text>
      <text className="leaf-rails" x={group.x + PAD} y={group.y + 32}>
        {`${counted(group.nodes.length, "node")}, ${counted(group.railCount, "rail")}`}
      </text>
      {group.nodes.map(({ node, x, y }) => (
        <rect
          key={node.node_id}
          className={`cell ${cellKind(node)}`}
          x={x}
          y={y}
          width={CELL}
          height={CELL}
          rx={4}
          role="button"
          tabIndex={0}
          aria-pressed={chosen === node.node_id}
          aria-label={`${node.hostname}, ${node.role}, ${node.state}, rack ${node.rack_id}`}
          onClick={() => onChoose(node.node_id)}
          onKeyDown={(event) => {
            if (event.key === "Enter" || event.key === " ") {
              event.preventDefault();
              onChoose(node.node_id);
            }
          }}
        />
      ))}
    </g>
  );
}

function cellKind(node: Node): string {
  if (node.state !== "available") return "ill";
  return node.role === "spare" ? "spare" : "held";
}
