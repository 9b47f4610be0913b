/** Whose keys are on the hosts, and how somebody else gets in while the cluster runs. */
import { Card, Note } from "../../../ui/basics";
import { type Column, Table } from "../../../ui/table";
import type { Cluster } from "../Cluster";

interface Key {
  /** Its place among the keys: one may be given twice. */
  place: number;
  kind: string;
  end: string;
  owner: string;
}

function keyOf(line: string, place: number): Key {
  const [kind = "", body = "", ...owner] = line.split(/\s+/);
  return { place, kind, end: body.slice(-12), owner: owner.join(" ") || "not said" };
}

const COLUMNS: Column<Key>[] = [
  { head: "Whose", cell: (key) => key.owner },
  { head: "Kind", cell: (key) => key.kind },
  { head: "Ends in", cell: (key) => <code>…{key.end}</code> },
];

const ADD = `for host in $(awk '$1 == "Host" { print $2 }' ssh_config); do
  ssh -F ssh_config "$host" 'cat >> ~/.ssh/authorized_keys' < colleague.pub
done`;

const REMOVE = `for host in $(awk '$1 == "Host" { print $2 }' ssh_config); do
  ssh -n -F ssh_config "$host" "sed -i '/END-OF-THE-KEY/d' ~/.ssh/authorized_keys"
done`;

export function LogIn({ cluster }: { cluster: Cluster }) {
  const keys = (cluster.config?.ssh_public_keys ?? []).map(keyOf);
  if (keys.length === 0) {
    return (
      <Note kind="warn" title="No SSH key is in this cluster">
        <p>
          Nobody can log in: keys are put on hosts when they boot. Add yours under SSH keys, and
          choose it at the next launch.
        </p>
      </Note>
    );
  }
  return (
    <Card title="Who can log in">
      <Table label="Keys on the hosts" columns={COLUMNS} rows={keys} rowKey={(key) => key.place} />
      <details>
        <summary>Let somebody in, or shut somebody out, while it runs</summary>
        <div className="stack more">
          <p>
            Keys are put on hosts when they boot, and the service does not log in to them. Who can
            log in adds a key on every host, from the folder of <code>ssh_config</code>:
          </p>
          <Script label="Commands that add a key" text={ADD} />
          <p>And takes one away, here by the last letters of its key without slashes:</p>
          <Script label="Commands that remove a key" text={REMOVE} />
          <p className="faint">
            Hosts that join later, by growth or in place of others, boot with the keys of the
            launch: run it again then.
          </p>
        </div>
      </details>
    </Card>
  );
}

function Script({ label, text }: { label: string; text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled by keyboard
    <section tabIndex={0} aria-label={label}>
      <pre>{text}</pre>
    </section>
  );
}
