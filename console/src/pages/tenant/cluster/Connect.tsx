/** How to use a cluster: the files that the service generates, to read and to keep. */
import { useQuery } from "@tanstack/react-query";
import { Download, FileText } from "lucide-react";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { Button, Card, Loading, Note } from "../../../ui/basics";
import { FormDialog } from "../../../ui/dialog";
import { bytes } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import { type Column, Table } from "../../../ui/table";
import type { Cluster } from "../Cluster";

const PURPOSE: Record<string, string> = {
  ssh_config: "Names every host for ssh; include it in your own configuration",
  hosts: "Names and addresses for /etc/hosts",
  hostfile: "Hosts and slots for mpirun",
  "nccl.env": "Which adapters and P_Key NCCL uses",
  "nccl-topo.xml": "How GPUs and adapters hang together, for NCCL",
  "slurm.conf": "Slurm's nodes and partitions",
  "gres.conf": "GPUs for Slurm",
  "cgroup.conf": "Limits for Slurm's jobs",
  "topology.conf": "Leaf groups and pods as a tree, for Slurm",
  "topology.yaml": "The same for newer Slurm",
  "slurm.sh": "Starts a Slurm on all hosts",
  "torchrun.sh": "Starts a PyTorch job on all hosts",
  "kubernetes-labels.yaml": "Where each node stands, for Kubernetes",
  fstab: "What is mounted where",
};

type File = Schemas["File"];

function url(clusterId: string, name: string): string {
  return `/gw/v1/clusters/${clusterId}/files/${encodeURIComponent(name)}`;
}

export function Connect({ cluster }: { cluster: Cluster }) {
  const [shown, setShown] = useState<string | null>(null);
  const files = api.useQuery("get", "/gw/v1/clusters/{cluster_id}/files", {
    params: { path: { cluster_id: cluster.id } },
  });
  if (files.isPending) return <Loading what="the files" />;
  if (files.error) return <ProblemNote error={files.error} />;
  const columns: Column<File>[] = [
    { head: "File", cell: (file) => <code>{file.name}</code>, sortBy: (file) => file.name },
    { head: "For", cell: (file) => PURPOSE[file.name] ?? "Generated from the plan" },
    {
      head: "Size",
      isNumber: true,
      cell: (file) => bytes(file.size_bytes),
      sortBy: (file) => file.size_bytes,
    },
    {
      head: "Take",
      cell: (file) => (
        <span className="actions">
          <Button onClick={() => setShown(file.name)} aria-label={`Read ${file.name}`}>
            <FileText aria-hidden size={16} /> Read
          </Button>
          <a
            className="button"
            href={url(cluster.id, file.name)}
            download={`${cluster.name}-${file.name}`}
            aria-label={`Download ${file.name}`}
          >
            <Download aria-hidden size={16} /> Download
          </a>
        </span>
      ),
    },
  ];
  return (
    <>
      <Card title="Log in">
        <Steps cluster={cluster} />
      </Card>
      <Card title="Files made for this cluster">
        <Table label="Files" columns={columns} rows={files.data.items} rowKey={(one) => one.name} />
      </Card>
      <FormDialog open={shown !== null} onClose={() => setShown(null)} title={shown ?? ""}>
        {shown && <Content clusterId={cluster.id} name={shown} />}
      </FormDialog>
    </>
  );
}

function Steps({ cluster }: { cluster: Cluster }) {
  if (cluster.config?.ssh_public_keys.length === 0) {
    return (
      <Note kind="warn" title="No SSH key is in this cluster">
        <p>
          Nobody can log in: keys are put in when a cluster is launched. Add yours under SSH keys,
          and choose it at the next launch.
        </p>
      </Note>
    );
  }
  const file = `${cluster.name}-ssh_config`;
  return (
    <ol className="plain-list">
      <li>
        Download <code>ssh_config</code> below.
      </li>
      <li>
        Log in to the first host:{" "}
        <code>
          ssh -F {file} {cluster.name}-0000
        </code>
      </li>
      <li>
        Or take all files at once: <code>gw cluster files {cluster.name} --to .</code>
      </li>
    </ol>
  );
}

function Content({ clusterId, name }: { clusterId: string; name: string }) {
  const text = useQuery({
    queryKey: ["file", clusterId, name],
    queryFn: async () => {
      const response = await fetch(url(clusterId, name));
      if (!response.ok) throw await response.json();
      return await response.text();
    },
  });
  if (text.isPending) return <Loading what={name} />;
  if (text.error) return <ProblemNote error={text.error} />;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long text is scrolled by keyboard
    <section tabIndex={0} aria-label={name} className="scrolled">
      <pre>{text.data}</pre>
    </section>
  );
}
