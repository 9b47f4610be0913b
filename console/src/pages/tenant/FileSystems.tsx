/** File systems that outlive clusters. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useClusterName, useProjectName } from "../../api/lists";
import { refresh } from "../../api/live";
import { useMayBuild } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Button, Card, Empty, Page, StateOf } from "../../ui/basics";
import { FormDialog } from "../../ui/dialog";
import { BytesField, TextField } from "../../ui/fields";
import { Ending, SaveForm } from "../../ui/form";
import { bytes, count } from "../../ui/format";
import { InProject } from "../../ui/project";
import { type Column, Table } from "../../ui/table";

type FileSystem = Schemas["FileSystem"];

const PATHS = ["/gw/v1/file-systems", "/gw/v1/projects/{project_id}/storage-quota"];
const TIB = 2 ** 40;

export default function FileSystems() {
  const mayBuild = useMayBuild();
  const found = api.useQuery("get", "/gw/v1/file-systems", { params: { query: { limit: 500 } } });
  return (
    <Page title="File systems" lead="Storage that clusters mount and that stays when they end.">
      <Card>
        <Answer query={found} what="file systems">
          {({ items }) => <List items={items} mayBuild={mayBuild} />}
        </Answer>
      </Card>
      {mayBuild && (
        <Card title="Make one">
          <InProject>{(project) => <Make key={project.id} projectId={project.id} />}</InProject>
        </Card>
      )}
    </Page>
  );
}

function List({ items, mayBuild }: { items: readonly FileSystem[]; mayBuild: boolean }) {
  const projectName = useProjectName();
  const clusterName = useClusterName();
  const [resizing, setResizing] = useState<FileSystem | null>(null);
  const [ending, setEnding] = useState<FileSystem | null>(null);
  const columns: Column<FileSystem>[] = [
    { head: "Name", cell: (one) => one.name, sortBy: (one) => one.name },
    { head: "State", cell: (one) => <StateOf state={one.state} /> },
    {
      head: "Size",
      isNumber: true,
      cell: (one) => (one.quota_bytes === null ? "none" : bytes(one.quota_bytes)),
      sortBy: (one) => one.quota_bytes ?? 0,
    },
    { head: "Mounted at", cell: (one) => <code>{one.mount_point}</code> },
    {
      head: "Clusters",
      cell: (one) =>
        one.cluster_ids.length === 0
          ? "none"
          : one.cluster_ids.map((id, place) => (
              <span key={id}>
                {place > 0 && ", "}
                <Link href={`/clusters/${id}`}>{clusterName(id)}</Link>
              </span>
            )),
    },
    { head: "Project", cell: (one) => projectName(one.project_id) },
  ];
  if (mayBuild) {
    columns.push({
      head: "Action",
      cell: (one) =>
        one.state === "active" && (
          <span className="actions">
            <Button onClick={() => setResizing(one)} aria-label={`Resize ${one.name}`}>
              Resize
            </Button>
            <Button
              onClick={() => setEnding(one)}
              disabled={one.is_in_use}
              title={one.is_in_use ? "Clusters still mount it" : undefined}
              aria-label={`Delete ${one.name}`}
            >
              Delete
            </Button>
          </span>
        ),
    });
  }
  return (
    <>
      <Table
        label="File systems"
        columns={columns}
        rows={items}
        rowKey={(one) => one.id}
        empty={
          <Empty title="No file system yet">
            Data sets, checkpoints and home folders belong into a file system: a cluster's own
            storage ends with the cluster. Make one below, then choose it when you launch.
          </Empty>
        }
      />
      <Resize found={resizing} onClose={() => setResizing(null)} />
      <Delete found={ending} onClose={() => setEnding(null)} />
    </>
  );
}

function Make({ projectId }: { projectId: string }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [size, setSize] = useState(TIB);
  const make = api.useMutation("post", "/gw/v1/file-systems", {
    onSuccess: () => {
      setName("");
      refresh(queries, PATHS);
    },
  });
  return (
    <SaveForm
      doIt="Make the file system"
      doing="Making it …"
      isBusy={make.isPending}
      isReady={name !== "" && size > 0}
      error={make.error}
      onSave={() => make.mutate({ body: { project_id: projectId, name, quota_bytes: size } })}
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        required
        autoComplete="off"
        hint="Letters, digits and hyphens; hosts mount it at /data/NAME."
      />
      <BytesField label="Size" value={size} onChange={setSize} hint="Can grow later." />
    </SaveForm>
  );
}

interface OneProps {
  found: FileSystem | null;
  onClose: () => void;
}

function Resize({ found, onClose }: OneProps) {
  return (
    <FormDialog open={found !== null} onClose={onClose} title={`Resize ${found?.name ?? ""}`}>
      {found && <ResizeForm key={found.id} found={found} onClose={onClose} />}
    </FormDialog>
  );
}

function ResizeForm({ found, onClose }: { found: FileSystem; onClose: () => void }) {
  const queries = useQueryClient();
  const [size, setSize] = useState(found.quota_bytes ?? TIB);
  const resize = api.useMutation("post", "/gw/v1/file-systems/{file_system_id}:resize", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <SaveForm
      doIt="Resize"
      doing="Resizing …"
      isBusy={resize.isPending}
      error={resize.error}
      onSave={() =>
        resize.mutate({
          params: { path: { file_system_id: found.id } },
          body: { quota_bytes: size },
        })
      }
    >
      <BytesField
        label="New size"
        value={size}
        onChange={setSize}
        hint="More, or less if what is in it still fits. Clusters keep it mounted meanwhile."
      />
    </SaveForm>
  );
}

function Delete({ found, onClose }: OneProps) {
  const queries = useQueryClient();
  const remove = api.useMutation("delete", "/gw/v1/file-systems/{file_system_id}", {
    onSuccess: () => {
      onClose();
      refresh(queries, PATHS);
    },
  });
  return (
    <Ending
      of={found}
      onClose={onClose}
      verb="Delete"
      doing="Deleting …"
      isTyped
      mutation={remove}
      onConfirm={(one) => remove.mutate({ params: { path: { file_system_id: one.id } } })}
    >
      <p>
        Everything in it is deleted and cannot be brought back
        {found?.quota_bytes ? ` (it has room for ${bytes(found.quota_bytes)})` : ""}. It is mounted
        by {count(found?.cluster_ids.length ?? 0)} clusters.
      </p>
    </Ending>
  );
}
