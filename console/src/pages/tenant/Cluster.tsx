/** One cluster: what it is, where it stands, how it is closed, how to use, change and end it. */
import { Tabs } from "@base-ui/react/tabs";
import type { ReactNode } from "react";
import { Link, useLocation, useParams, useSearch } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useProjectName } from "../../api/lists";
import { useMayBuild, useMe } from "../../api/session";
import {
  Card,
  Facts,
  Figure,
  LinkButton,
  Loading,
  Note,
  Page,
  StateOf,
  Time,
} from "../../ui/basics";
import { at, bytes, count, counted, usd, usdPerHour, words } from "../../ui/format";
import { ProblemNote, sentence } from "../../ui/problem";
import { Changes } from "./cluster/Changes";
import { Connect } from "./cluster/Connect";
import { Events } from "./cluster/Events";
import { Isolation } from "./cluster/Isolation";
import { Topology } from "./cluster/Topology";

export type Cluster = Schemas["Cluster"];

export default function ClusterPage() {
  const { id = "" } = useParams();
  const cluster = api.useQuery(
    "get",
    "/gw/v1/clusters/{cluster_id}",
    { params: { path: { cluster_id: id } } },
    // What it cost so far grows without any event.
    { refetchInterval: 60_000 },
  );
  if (cluster.isPending) return <Loading what="the cluster" />;
  if (cluster.error) {
    return (
      <Page title="Cluster">
        <ProblemNote error={cluster.error} retry={() => void cluster.refetch()} />
      </Page>
    );
  }
  return <Shown cluster={cluster.data} />;
}

function Shown({ cluster }: { cluster: Cluster }) {
  const projectName = useProjectName();
  return (
    <Page
      title={cluster.name}
      lead={
        <>
          <StateOf state={cluster.state} /> since <Time iso={cluster.state_since} /> · project{" "}
          {projectName(cluster.project_id)} · <code>{cluster.id}</code>
        </>
      }
    >
      <Notices notices={cluster.notices} />
      <UnderWay cluster={cluster} />
      {cluster.status === null || cluster.config === null ? (
        <Gone cluster={cluster} />
      ) : (
        <Parts cluster={cluster} />
      )}
    </Page>
  );
}

function UnderWay({ cluster }: { cluster: Cluster }) {
  if (!cluster.operation_id) return null;
  return (
    <Note title={`It is ${cluster.state}`}>
      <LinkButton href={`/operations/${cluster.operation_id}`}>See how far it is</LinkButton>
    </Note>
  );
}

function Gone({ cluster }: { cluster: Cluster }) {
  return (
    <>
      <Card title="It holds nothing any more">
        <p>
          {cluster.state_reason
            ? sentence(cluster.state_reason)
            : "Its nodes were given back and are not billed. Its events stay."}
        </p>
        <p>
          <Link href="/launch">Launch another cluster</Link>
        </p>
      </Card>
      <Events clusterId={cluster.id} />
    </>
  );
}

interface Tab {
  key: string;
  name: string;
  panel: ReactNode;
}

function Parts({ cluster }: { cluster: Cluster }) {
  const mayBuild = useMayBuild();
  // Who only pays sees what it costs; the rest is for those who work with it.
  const paysOnly = useMe().role === "billing";
  const tabs: Tab[] = [
    { key: "overview", name: "Overview", panel: <Overview cluster={cluster} /> },
  ];
  if (!paysOnly) {
    tabs.push(
      { key: "topology", name: "Topology and health", panel: <Topology id={cluster.id} /> },
      { key: "isolation", name: "Isolation", panel: <Isolation id={cluster.id} /> },
      { key: "connect", name: "Connect", panel: <Connect cluster={cluster} /> },
    );
    if (mayBuild)
      tabs.push({ key: "change", name: "Change", panel: <Changes cluster={cluster} /> });
    tabs.push({ key: "events", name: "Events", panel: <Events clusterId={cluster.id} /> });
  }
  return <TabBar tabs={tabs} />;
}

/** Tabs whose choice stands in the address, so that a link leads to it. */
function TabBar({ tabs }: { tabs: readonly Tab[] }) {
  const [path, go] = useLocation();
  const wanted = new URLSearchParams(useSearch()).get("tab");
  const shown = tabs.find((tab) => tab.key === wanted) ?? tabs[0];
  return (
    <Tabs.Root
      value={shown?.key ?? ""}
      onValueChange={(key) => go(`${path}?tab=${String(key)}`, { replace: true })}
    >
      <Tabs.List className="tabs">
        {tabs.map((tab) => (
          <Tabs.Tab key={tab.key} value={tab.key} className="tab">
            {tab.name}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {tabs.map((tab) => (
        <Tabs.Panel key={tab.key} value={tab.key} className="tab-panel">
          {tab.panel}
        </Tabs.Panel>
      ))}
    </Tabs.Root>
  );
}

function Overview({ cluster }: { cluster: Cluster }) {
  const { config, status } = cluster;
  if (!config || !status) return null;
  // What is billed now, which is nothing before it is handed over.
  const perHour = cluster.cost_micro_usd_per_hour ?? status.price_micro_usd_per_hour;
  const isCovered = config.term === "reserved" && perHour === 0;
  return (
    <>
      <div className="figures">
        <Figure name="GPUs" value={count(config.gpu_count)} more={status.gpu_type} />
        <Figure
          name="Costs now"
          value={isCovered ? "nothing" : usdPerHour(perHour)}
          more={
            isCovered
              ? "its reservation pays for it"
              : perHour < status.price_micro_usd_per_hour
                ? "nodes that are not ready cost nothing"
                : `${usd(perHour * 24)} a day`
          }
        />
        <Figure
          name="Cost so far"
          value={usd(cluster.cost_micro_usd ?? 0)}
          more={
            <>
              launched <Time iso={cluster.created_at} />
            </>
          }
        />
        <Figure
          name="Farthest way"
          value={counted(status.spread.hop_count_max, "hop")}
          more={counted(status.spread.leaf_group_count, "leaf group")}
        />
      </div>
      <Card title="What it is">
        <Facts
          facts={[
            ["Site", status.site_id],
            ["Fabric", status.fabric_id],
            [
              "Nodes",
              counted(status.node_count, "node") +
                (config.spare_node_count ? `, ${counted(config.spare_node_count, "spare")}` : ""),
            ],
            ["Term", <Term key="term" config={config} />],
            ["Image", config.image],
            ["Storage", config.storage_bytes ? bytes(config.storage_bytes) : "none"],
            ["SSH keys", count(config.ssh_public_keys.length)],
            [
              "File systems",
              config.file_system_mounts?.map((m) => m.mount_point).join(", ") || "none",
            ],
            ["Way out", config.egress_cidrs.join(", ") || "none"],
          ]}
        />
      </Card>
    </>
  );
}

function Term({ config }: { config: Schemas["ClusterConfig"] }) {
  const term = words(config.term ?? "on_demand");
  if (config.reservation_id == null) return <>{term}</>;
  return (
    <>
      {term}, <Link href={`/reservations/${config.reservation_id}`}>its reservation</Link>
    </>
  );
}

/** Nodes that it has to give back, and when: what a tenant must not overlook. */
function Notices({ notices }: { notices: Cluster["notices"] }) {
  return (notices ?? []).map((notice) => (
    <Note
      key={notice.id}
      kind="warn"
      title={`${counted(notice.nodes.length, "node")} will be taken ${at(notice.deadline_at)}`}
    >
      <p>
        {sentence(notice.reason)} Save what has to be saved: {notice.nodes.join(", ")}.
      </p>
    </Note>
  ));
}
