/** How to use a cluster: the files that the service generates, by what one wants to do. */
import { useQuery } from "@tanstack/react-query";
import { Download, FileText } from "lucide-react";
import { useState } from "react";
import { api, type Schemas } from "../../../api/client";
import { save } from "../../../api/save";
import { Answer } from "../../../ui/answer";
import { Button, Card } from "../../../ui/basics";
import { FormDialog } from "../../../ui/dialog";
import { bytes } from "../../../ui/format";
import { ProblemNote } from "../../../ui/problem";
import type { Cluster } from "../Cluster";
import { LogIn } from "./LogIn";
import { PURPOSE, WAYS, type Way } from "./ways";

type File = Schemas["File"];

function url(clusterId: string, name: string): string {
  return `/gw/v1/clusters/${clusterId}/files/${encodeURIComponent(name)}`;
}

export function Connect({ cluster }: { cluster: Cluster }) {
  const [shown, setShown] = useState<string | null>(null);
  const files = api.useQuery("get", "/gw/v1/clusters/{cluster_id}/files", {
    params: { path: { cluster_id: cluster.id } },
  });
  const named = new Set(WAYS.flatMap((way) => way.files));
  return (
    <>
      <LogIn cluster={cluster} />
      <Answer query={files} what="the files">
        {({ items }) => (
          <>
            {WAYS.map((way) => (
              <WayCard key={way.key} way={way} cluster={cluster} files={items} onRead={setShown} />
            ))}
            <Rest
              cluster={cluster}
              files={items.filter((file) => !named.has(file.name))}
              onRead={setShown}
            />
          </>
        )}
      </Answer>
      <FormDialog open={shown !== null} onClose={() => setShown(null)} title={shown ?? ""}>
        {shown && <Content clusterId={cluster.id} name={shown} />}
      </FormDialog>
    </>
  );
}

interface FilesProps {
  cluster: Cluster;
  files: readonly File[];
  onRead: (name: string) => void;
}

function WayCard({ way, ...props }: FilesProps & { way: Way }) {
  const mine = props.files.filter((file) => way.files.includes(file.name));
  // In the order in which the way names them.
  mine.sort((a, b) => way.files.indexOf(a.name) - way.files.indexOf(b.name));
  if (mine.length === 0) return null;
  return (
    <Card title={way.title}>
      <ol className="plain-list">
        {way.steps(props.cluster.name).map((step, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps never change places
          <li key={place}>{step}</li>
        ))}
      </ol>
      <Files {...props} files={mine} label={`Files: ${way.title}`} />
    </Card>
  );
}

function Rest(props: FilesProps) {
  if (props.files.length === 0) return null;
  return (
    <Card title="Further files">
      <Files {...props} label="Further files" />
    </Card>
  );
}

function Files({ cluster, files, onRead, label }: FilesProps & { label: string }) {
  const [error, setError] = useState<unknown>(null);
  const take = (name: string): void => {
    setError(null);
    save(url(cluster.id, name), name).catch(setError);
  };
  return (
    <>
      {error !== null && <ProblemNote error={error} />}
      <ul className="file-list" aria-label={label}>
        {files.map((file) => (
          <li key={file.name}>
            <span>
              <code>{file.name}</code>{" "}
              <span className="faint small">
                {PURPOSE[file.name] ?? "Generated from the plan"}, {bytes(file.size_bytes)}
              </span>
            </span>
            <span className="actions">
              <Button onClick={() => onRead(file.name)} aria-label={`Read ${file.name}`}>
                <FileText aria-hidden size={16} /> Read
              </Button>
              <a
                className="button"
                href={url(cluster.id, file.name)}
                download={file.name}
                onClick={(event) => {
                  event.preventDefault();
                  take(file.name);
                }}
                aria-label={`Download ${file.name}`}
              >
                <Download aria-hidden size={16} /> Download
              </a>
            </span>
          </li>
        ))}
      </ul>
    </>
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
  return (
    <Answer query={text} what={name}>
      {(shown) => (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: long text is scrolled by keyboard
        <section tabIndex={0} aria-label={name} className="scrolled">
          <pre>{shown}</pre>
        </section>
      )}
    </Answer>
  );
}
