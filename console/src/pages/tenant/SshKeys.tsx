/** SSH keys of a project: whose owners may log in to its clusters. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMayBuild } from "../../api/session";
import { Button, Card, Empty, Loading, Page, Time } from "../../ui/basics";
import { TextArea, TextField } from "../../ui/fields";
import { Ending } from "../../ui/form";
import { ProblemNote } from "../../ui/problem";
import { InProject } from "../../ui/project";
import { type Column, Table } from "../../ui/table";

type SshKey = Schemas["SshKey"];

const PATHS = ["/gw/v1/projects/{project_id}/ssh-keys"];

export default function SshKeys() {
  return (
    <Page
      title="SSH keys"
      lead="Public keys of people and programs that may log in to the hosts of a project's clusters."
    >
      <InProject>{(project) => <Keys key={project.id} projectId={project.id} />}</InProject>
    </Page>
  );
}

function Keys({ projectId }: { projectId: string }) {
  const mayBuild = useMayBuild();
  const [ending, setEnding] = useState<SshKey | null>(null);
  const keys = api.useQuery("get", "/gw/v1/projects/{project_id}/ssh-keys", {
    params: { path: { project_id: projectId }, query: { limit: 500 } },
  });
  if (keys.isPending) return <Loading what="SSH keys" />;
  if (keys.error) return <ProblemNote error={keys.error} retry={() => void keys.refetch()} />;
  const columns: Column<SshKey>[] = [
    { head: "Name", cell: (key) => key.name, sortBy: (key) => key.name },
    { head: "Kind", cell: (key) => key.public_key.split(" ")[0] },
    { head: "Ends in", cell: (key) => <code>…{key.public_key.split(" ")[1]?.slice(-12)}</code> },
    {
      head: "Added",
      cell: (key) => <Time iso={key.created_at} />,
      sortBy: (key) => key.created_at,
    },
  ];
  if (mayBuild) {
    columns.push({
      head: "Action",
      cell: (key) => (
        <Button onClick={() => setEnding(key)} aria-label={`Remove ${key.name}`}>
          Remove
        </Button>
      ),
    });
  }
  return (
    <>
      <Card>
        <Table
          label="SSH keys"
          columns={columns}
          rows={keys.data.items}
          rowKey={(key) => key.id}
          empty={
            <Empty title="No SSH key yet">
              Add the public half of your key: usually the file <code>~/.ssh/id_ed25519.pub</code>.
              Then choose it when you launch a cluster.
            </Empty>
          }
        />
      </Card>
      {mayBuild && <Add projectId={projectId} />}
      <Remove sshKey={ending} onClose={() => setEnding(null)} />
    </>
  );
}

function Add({ projectId }: { projectId: string }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const add = api.useMutation("post", "/gw/v1/projects/{project_id}/ssh-keys", {
    onSuccess: () => {
      setName("");
      setText("");
      refresh(queries, PATHS);
    },
  });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const public_key = text.trim();
    // A key ends with whose it is; that names it where nothing else does.
    const named = name.trim() || public_key.split(/\s+/)[2] || "key";
    add.mutate({ params: { path: { project_id: projectId } }, body: { name: named, public_key } });
  };
  const isPrivate = text.includes("PRIVATE KEY");
  return (
    <Card title="Add a key">
      <form onSubmit={submit}>
        <TextArea
          label="Public key"
          value={text}
          onChange={setText}
          error={
            isPrivate
              ? "This is the private half: keep it to yourself, and paste the .pub file."
              : null
          }
          hint="One line that begins with ssh-ed25519, ssh-rsa, ecdsa or sk."
        />
        <TextField
          label="Name"
          value={name}
          onChange={setName}
          autoComplete="off"
          hint="If left empty, the key's own comment."
        />
        {add.error && <ProblemNote error={add.error} />}
        <Button
          type="submit"
          kind="primary"
          disabled={text.trim() === "" || isPrivate}
          busy={add.isPending && "Adding …"}
        >
          Add the key
        </Button>
      </form>
    </Card>
  );
}

function Remove({ sshKey, onClose }: { sshKey: SshKey | null; onClose: () => void }) {
  const queries = useQueryClient();
  const remove = api.useMutation("delete", "/gw/v1/ssh-keys/{ssh_key_id}", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <Ending
      of={sshKey}
      onClose={onClose}
      verb="Remove"
      doing="Removing …"
      mutation={remove}
      onConfirm={(one) => remove.mutate({ params: { path: { ssh_key_id: one.id } } })}
    >
      <p>New clusters cannot choose it any more. Clusters that have it keep it.</p>
    </Ending>
  );
}
