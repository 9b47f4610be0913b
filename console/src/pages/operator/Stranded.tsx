/** Free and of no use: which sizes still fit, what is stranded for them, and what would free it. */
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import {
  Card,
  Empty,
  Figure,
  LinkButton,
  Loading,
  Note,
  Page,
  StateOf,
  Status,
} from "../../ui/basics";
import { SelectField } from "../../ui/fields";
import { count, counted } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";

type Room = Schemas["TypeRoom"];
type Size = Schemas["SizeRoom"];

export default function Stranded() {
  const asked = api.useQuery("get", "/gw/v1/fleet/stranded", {}, { refetchInterval: 30_000 });
  const [chosen, choose] = useState("");
  const types = asked.data?.types ?? [];
  const room = types.find((one) => nameOf(one) === chosen) ?? types[0];
  return (
    <Page
      title="Stranded"
      lead="Free GPUs that a request cannot have: how many, for which sizes, and what would free them."
      actions={<LinkButton href="/utilisation">What it cost: utilisation</LinkButton>}
    >
      {asked.error ? (
        <ProblemNote error={asked.error} retry={() => void asked.refetch()} />
      ) : asked.isPending ? (
        <Loading what="what is free" />
      ) : !room ? (
        <Empty title="The fleet has no nodes">Import one: gw fleet import FILE.</Empty>
      ) : (
        <>
          {types.length > 1 && (
            <div className="form-row">
              <SelectField
                label="Type and site"
                value={nameOf(room)}
                options={types.map((one) => ({ value: nameOf(one), label: nameOf(one) }))}
                onChange={choose}
              />
            </div>
          )}
          <Parts room={room} />
          <Card title="What fits now">
            <p className="faint">
              Each size by itself. A size above a node's takes whole nodes of one fabric; smaller
              ones take an aligned part of one node.
            </p>
            <Sizes room={room} />
          </Card>
          <Freeing room={room} />
        </>
      )}
    </Page>
  );
}

const nameOf = (one: Room): string => `${one.gpu_type} (${one.node_type}) at ${one.site_id}`;

/** All GPUs in five parts, as one bar and in numbers. */
function Parts({ room }: { room: Room }) {
  const parts = [
    { name: "Held", gpus: room.held_gpu_count, token: "series-1" },
    { name: "Can be given", gpus: room.placeable_gpu_count, token: "series-3" },
    { name: "Kept for reservations", gpus: room.promised_gpu_count, token: "series-6" },
    { name: "On the way back", gpus: room.leaving_gpu_count, token: "series-5" },
    { name: "Out of service", gpus: room.out_gpu_count, token: "series-2" },
  ];
  return (
    <Card title={nameOf(room)}>
      <div className="parted" aria-hidden>
        {parts.map(({ name, gpus, token }) =>
          gpus > 0 ? (
            <span key={name} style={{ flexGrow: gpus, background: `var(--${token})` }} />
          ) : null,
        )}
      </div>
      <div className="figures">
        {parts.map(({ name, gpus, token }) => (
          <Figure
            key={name}
            name={
              <>
                <span
                  className="swatch inline"
                  style={{ background: `var(--${token})` }}
                  aria-hidden
                />{" "}
                {name}
              </>
            }
            value={count(gpus)}
            more={`${((100 * gpus) / Math.max(1, room.gpu_count)).toFixed(1)}% of ${count(room.gpu_count)}`}
          />
        ))}
      </div>
      <p>
        Of the {count(room.placeable_gpu_count)} that can be given,{" "}
        <strong>{count(room.part_gpu_count)}</strong> lie on nodes of which another part is taken:
        they are of no use to whoever needs whole nodes.
      </p>
    </Card>
  );
}

function Sizes({ room }: { room: Room }) {
  const columns: Column<Size>[] = [
    {
      head: "Size",
      isNumber: true,
      cell: (one) => counted(one.gpu_count, "GPU"),
      sortBy: (one) => one.gpu_count,
    },
    {
      head: "Fits now",
      cell: (one) =>
        one.fit_count > 0 ? (
          <Status kind="good">{counted(one.fit_count, "time")}</Status>
        ) : (
          <Status kind={one.asked_count > 0 ? "bad" : "warn"}>not at all</Status>
        ),
      sortBy: (one) => one.fit_count,
    },
    {
      head: "Stranded in parts of nodes",
      isNumber: true,
      cell: (one) => count(one.in_part_gpu_count),
      sortBy: (one) => one.in_part_gpu_count,
    },
    {
      head: "Too few together",
      isNumber: true,
      cell: (one) => count(one.too_few_gpu_count),
      sortBy: (one) => one.too_few_gpu_count,
    },
    {
      head: "Asked in vain, 7 days",
      isNumber: true,
      cell: (one) => count(one.asked_count),
      sortBy: (one) => one.asked_count,
    },
  ];
  return (
    <Table label="Sizes" columns={columns} rows={room.sizes} rowKey={(one) => one.gpu_count} />
  );
}

function Freeing({ room }: { room: Room }) {
  const gained = room.emptied.reduce((all, one) => all + one.gained_gpu_count, 0);
  const heldOut = room.out_gpu_count - room.out_node_count * room.gpus_per_node;
  const moved = room.emptied.reduce((all, one) => all + one.moved_gpu_count, 0);
  return (
    <>
      <Card title="Put parts together">
        {room.emptied.length === 0 ? (
          <p className="faint">
            {room.part_gpu_count === 0
              ? "No node is used in part."
              : "No part that is held fits into the free part of another node."}
          </p>
        ) : (
          <>
            <Note>
              <p>
                If {counted(moved, "GPU")} in small parts moved,{" "}
                {counted(room.emptied.length, "node")} would be whole again and{" "}
                {counted(gained, "GPU")} that lie idle would be of use. The least to move comes
                first; each line takes those before it as done. Drain the node, then its clusters
                can be given other nodes from its page.
              </p>
            </Note>
            <Table
              label="Nodes to empty"
              columns={EMPTIED}
              rows={room.emptied}
              rowKey={(one) => one.node_id}
              shown={25}
            />
          </>
        )}
      </Card>
      <Card title="Bring back what is out of service">
        {heldOut > 0 && (
          <p>
            {counted(heldOut, "free GPU")} lie on nodes that are out of service and held in part:{" "}
            <Link href="/nodes?state=drained">drained</Link>,{" "}
            <Link href="/nodes?state=quarantined">quarantined</Link>.
          </p>
        )}
        {room.out_node_count === 0 ? (
          <p className="faint">Every node that nobody holds is in service.</p>
        ) : (
          <>
            <p>
              {counted(room.out_node_count, "node")} that nobody holds would give{" "}
              {counted(room.out_node_count * room.gpus_per_node, "GPU")}.
            </p>
            <Table
              label="Nodes out of service"
              columns={OUT}
              rows={room.out_nodes}
              rowKey={(one) => one.node_id}
              shown={25}
            />
          </>
        )}
      </Card>
      <Card title="Whole free nodes by fabric">
        <p className="faint">A request of several nodes lies on one fabric.</p>
        <Table
          label="Fabrics"
          columns={FABRICS}
          rows={room.fabrics}
          rowKey={(one) => one.fabric_id}
        />
      </Card>
    </>
  );
}

const node = (id: string) => <Link href={`/nodes/${id}`}>{id}</Link>;

const EMPTIED: Column<Schemas["NodeEmptied"]>[] = [
  { head: "Node", isTight: true, cell: (one) => node(one.node_id) },
  { head: "To move", isNumber: true, cell: (one) => counted(one.moved_gpu_count, "GPU") },
  {
    head: "Held by",
    cell: (one) =>
      one.cluster_ids.map((id, row) => (
        <span key={id}>
          <Link href={`/clusters/${id}`}>{one.cluster_names[row] || id}</Link>{" "}
        </span>
      )),
  },
  { head: "Gains", isNumber: true, cell: (one) => counted(one.gained_gpu_count, "GPU") },
  {
    head: "There is room on",
    cell: (one) => one.to_node_ids.map((id) => <span key={id}>{node(id)} </span>),
  },
];

const OUT: Column<Schemas["NodeOut"]>[] = [
  { head: "Node", isTight: true, cell: (one) => node(one.node_id) },
  { head: "State", cell: (one) => <StateOf state={one.state} /> },
  { head: "Why", cell: (one) => one.state_reason },
];

const FABRICS: Column<Schemas["FabricRoom"]>[] = [
  { head: "Fabric", cell: (one) => one.fabric_id },
  { head: "Whole free nodes", isNumber: true, cell: (one) => count(one.whole_node_count) },
];
