/** Ways to use a cluster: which files each needs, and what to do with them. */
import type { ReactNode } from "react";

export interface Way {
  key: string;
  title: string;
  files: readonly string[];
  /** Steps in their order, for a cluster of this name. */
  steps: (name: string) => ReactNode[];
}

const one = (text: string): ReactNode => <code>{text}</code>;

export const WAYS: readonly Way[] = [
  {
    key: "ssh",
    title: "Log in by SSH",
    files: ["ssh_config", "hosts"],
    steps: (name) => [
      <>Download {one("ssh_config")} into a folder of this cluster.</>,
      <>Log in to the first host: {one(`ssh -F ssh_config ${name}-0000`)}</>,
      <>
        Or begin {one("~/.ssh/config")} with {one("Include ~/FOLDER/ssh_config")}, and{" "}
        {one(`ssh ${name}-0000`)} is enough.
      </>,
    ],
  },
  {
    key: "slurm",
    title: "Run Slurm on it",
    files: [
      "slurm.sh",
      "slurm.conf",
      "gres.conf",
      "cgroup.conf",
      "topology.conf",
      "topology.yaml",
      "topology-block.conf",
    ],
    steps: (name) => [
      <>
        Put these files and {one("ssh_config")}, {one("hosts")} into one folder:{" "}
        {one(`gw cluster files ${name} --to .`)} does it at once.
      </>,
      <>
        Start Slurm on all hosts: {one("bash slurm.sh -i ~/.ssh/id_ed25519")}. Run it again after
        the cluster grew or a node was replaced; jobs go on.
      </>,
      <>See them: {one(`ssh -F ssh_config ${name}-0000 sinfo`)}</>,
    ],
  },
  {
    key: "torchrun",
    title: "Start a PyTorch job",
    files: ["torchrun.sh"],
    steps: () => [
      <>
        Put {one("torchrun.sh")} and {one("nccl.env")} on every host, into one folder.
      </>,
      <>With Slurm: {one("srun --ntasks-per-node=1 ./torchrun.sh train.py --epochs 3")}</>,
      <>
        Without it, run {one("./torchrun.sh train.py")} on every host; the rank follows from the
        host's name.
      </>,
    ],
  },
  {
    key: "nccl",
    title: "NCCL and MPI",
    files: ["nccl.env", "nccl-topo.xml", "hostfile"],
    steps: () => [
      <>Take the settings over before a job: {one("set -a; . ./nccl.env; set +a")}</>,
      <>
        With Open MPI: {one("mpirun --hostfile hostfile -x NCCL_IB_HCA -x NCCL_IB_PKEY PROGRAM")}
      </>,
      <>
        {one("nccl-topo.xml")} belongs to {one("/etc/gigawatt/nccl-topo.xml")}, where the image does
        not have it yet.
      </>,
    ],
  },
  {
    key: "kubernetes",
    title: "Kubernetes",
    files: ["kubernetes-labels.yaml"],
    steps: () => [
      <>
        Tell a cluster of Kubernetes on these hosts where each of them stands:{" "}
        {one("kubectl apply --server-side -f kubernetes-labels.yaml")}
      </>,
      <>Kueue, KAI and Volcano read these labels and keep jobs near to each other.</>,
    ],
  },
];

/** What a file is for. */
export const PURPOSE: Record<string, string> = {
  ssh_config: "Names every host for ssh",
  hosts: "Names and addresses for /etc/hosts",
  hostfile: "Hosts and slots for mpirun",
  "nccl.env": "Which adapters and P_Key NCCL uses",
  "nccl-topo.xml": "How GPUs and adapters hang together",
  "slurm.conf": "Nodes and partitions",
  "gres.conf": "GPUs of each host",
  "cgroup.conf": "Limits for jobs",
  "topology.conf": "Leaf groups and pods as a tree",
  "topology.yaml": "The same for newer Slurm",
  "topology-block.conf": "NVLink domains as blocks",
  "slurm.sh": "Starts Slurm on all hosts",
  "torchrun.sh": "Starts a job on all hosts",
  "kubernetes-labels.yaml": "Where each node stands",
  fstab: "What is mounted where",
};
