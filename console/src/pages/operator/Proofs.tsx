/** A pass over the whole fleet: is every tenant fenced? */
import { api, type Schemas } from "../../api/client";
import { Button, Card, Facts, LinkButton, Loading, Note, Page } from "../../ui/basics";
import { count, counted } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";

/** The server answers when the pass is done, or after so long. */
const WAIT_S = 10;

export default function Proofs() {
  return (
    <Page
      title="Proofs"
      lead="Read every device back, and decide whether tenants are apart."
      actions={<LinkButton href="/reconciler">What differs: the reconciler</LinkButton>}
    >
      <Isolation />
    </Page>
  );
}

function Isolation() {
  const begin = api.useMutation("post", "/gw/v1/proofs");
  const id = begin.data?.id ?? "";
  const proof = api.useQuery(
    "get",
    "/gw/v1/proofs/{proof_id}",
    { params: { path: { proof_id: id }, query: { wait_s: WAIT_S } } },
    {
      enabled: id !== "",
      refetchInterval: (q) => (q.state.data?.state === "running" ? 500 : false),
    },
  );
  const isBusy = begin.isPending || (id !== "" && (proof.data?.state ?? "running") === "running");
  return (
    <Card title="Isolation of all tenants">
      <p>
        Asks every device of every plane what it holds, and decides for each pair of tenants and
        each pair of clusters whether one can reach the other.
      </p>
      <div className="actions">
        <Button
          kind="primary"
          busy={isBusy && "Proving …"}
          onClick={() => begin.mutate({ body: { scope: "read_back" } })}
        >
          Prove it now
        </Button>
      </div>
      {isBusy && <Loading what="what the devices hold" />}
      {(begin.error ?? proof.error) && <ProblemNote error={begin.error ?? proof.error} />}
      {proof.data?.state === "failed" && <Note kind="bad">{proof.data.state_reason}</Note>}
      {proof.data?.result && <Proven result={proof.data.result} />}
    </Card>
  );
}

const sum = (pairs: Record<string, number>): number =>
  Object.values(pairs).reduce((all, one) => all + one, 0);

function Proven({ result }: { result: Schemas["ProofResult"] }) {
  return (
    <>
      {result.is_proven ? (
        <Note kind="good" title="Proven">
          <p>No tenant can reach another on any plane.</p>
        </Note>
      ) : (
        <Note kind="bad" title={`Not proven: ${counted(result.violation_count, "finding")}`}>
          <ul>
            {result.violations.map((one) => (
              <li key={one.sentence}>{one.sentence}</li>
            ))}
            {result.silent_devices.map((device) => (
              <li key={device}>{device} did not answer</li>
            ))}
          </ul>
        </Note>
      )}
      <Facts
        facts={[
          ["Clusters", count(result.cluster_count)],
          ["Pairs of clusters", count(sum(result.cluster_pairs))],
          ["Pairs of tenants", count(sum(result.tenant_pairs))],
          ["Devices read", count(result.device_count)],
          ["Entries compared", count(result.entry_count)],
        ]}
      />
    </>
  );
}
