/** Evidence of isolation in plain words: what was read back, proven and probed, and when. */
import { LockKeyhole, OctagonX } from "lucide-react";
import { api, type Schemas } from "../../../api/client";
import { Card, Facts, Loading, Note, Time } from "../../../ui/basics";
import { count, counted } from "../../../ui/format";
import { PLANES } from "../../../ui/plane";
import { ProblemNote, sentence } from "../../../ui/problem";

interface Probe {
  inside: number;
  outside: number;
  wrong: string[];
}

/** What the service writes down at the end of an operation. */
interface Verification {
  generation: number;
  read_back: { devices: number; silent: string[]; entries_compared: number; digest: string };
  proof: {
    ran: boolean;
    entries_read: number;
    cluster_pairs_decided: Record<string, number>;
    wrong: string[];
  };
  probes: Record<string, Probe>;
  left_behind: string[];
}

export function Isolation({ id }: { id: string }) {
  const evidence = api.useQuery("get", "/gw/v1/clusters/{cluster_id}/evidence", {
    params: { path: { cluster_id: id }, query: { limit: 500 } },
  });
  if (evidence.isPending) return <Loading what="the evidence" />;
  if (evidence.error) return <ProblemNote error={evidence.error} />;
  const found = evidence.data.items.filter((one) => one.kind === "verification");
  const newest = found.at(-1);
  if (!newest) {
    return (
      <Note>
        <p>Nothing was verified yet: that is done before the cluster is handed over.</p>
      </Note>
    );
  }
  return <Shown evidence={newest} times={found.length} />;
}

interface ShownProps {
  evidence: Schemas["Evidence"];
  times: number;
}

function Shown({ evidence, times }: ShownProps) {
  const found = evidence.document as unknown as Verification;
  const wrong = [
    ...found.proof.wrong,
    ...Object.values(found.probes).flatMap((probe) => probe.wrong),
    ...found.read_back.silent.map((device) => `${device} did not answer`),
  ];
  return (
    <>
      {wrong.length === 0 ? (
        <Note kind="good" title="Closed on all five planes">
          <p>
            {counted(found.read_back.devices, "device")} of this cluster were read back and
            compared, {counted(found.read_back.entries_compared, "entry", "entries")} in all; each
            was exactly as planned. Checked <Time iso={evidence.at} />, {counted(times, "time")} in
            its life.
          </p>
        </Note>
      ) : (
        <Note kind="bad" title="Something is not as it shall be">
          <ul>
            {wrong.slice(0, 20).map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </Note>
      )}
      <Card title="Plane by plane">
        <ol className="planes">
          {PLANES.map((plane) => (
            <PlaneEvidence
              key={plane.key}
              name={plane.name}
              means={plane.means}
              probe={found.probes[plane.key]}
              pairs={found.proof.cluster_pairs_decided[plane.key] ?? 0}
            />
          ))}
        </ol>
      </Card>
      <Card title="How it was checked">
        <Facts
          facts={[
            ["Read back", counted(found.read_back.devices, "device")],
            ["Entries compared", count(found.read_back.entries_compared)],
            ["Devices that were silent", count(found.read_back.silent.length)],
            ["Proof", found.proof.ran ? "no way in or out" : "not run"],
            ["Digest of what was read", <code key="d">{found.read_back.digest}</code>],
            ["Written", <Time key="t" iso={evidence.at} plain />],
          ]}
        />
      </Card>
    </>
  );
}

interface PlaneEvidenceProps {
  name: string;
  means: string;
  probe?: Probe;
  pairs: number;
}

function PlaneEvidence({ name, means, probe, pairs }: PlaneEvidenceProps) {
  const isGood = !probe || probe.wrong.length === 0;
  const Icon = isGood ? LockKeyhole : OctagonX;
  return (
    <li className={isGood ? "closed" : "open"}>
      <Icon aria-hidden size={20} />
      <div>
        <div className="plane-name">{name}</div>
        <div className="faint small">
          {sentence(means)} {probe && probeWords(probe)}{" "}
          {pairs > 0 && `Proven apart: ${counted(pairs, "pair")} of clusters on the site.`}
        </div>
      </div>
      <div className="plane-count">{isGood ? "closed" : "not closed"}</div>
    </li>
  );
}

/** What was tried, in plain words. */
function probeWords({ inside, outside }: Probe): string {
  const within = `Tried between your own nodes: ${counted(inside, "probe")}, all went through.`;
  if (inside + outside === 0) return "The cluster uses nothing of it, so nothing was tried.";
  if (outside === 0) return within;
  return `${within} From your nodes to others and back: ${counted(outside, "probe")}, none did.`;
}
