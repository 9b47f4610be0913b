/** The launch page: choose, see the plan appear, apply exactly that plan. */
import { useState } from "react";
import { useSearch } from "wouter";
import type { Schemas } from "../../api/client";
import { api } from "../../api/client";
import { useClusters, useFleet, useProjects } from "../../api/lists";
import { useMayBuild } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Card, Note, Page } from "../../ui/basics";
import { BytesField, TextField } from "../../ui/fields";
import { isAmount } from "../../ui/money";
import { InProject } from "../../ui/project";
import { Bid } from "./launch/Bid";
import { Keys, More } from "./launch/More";
import { TypeAndCount } from "./launch/Size";
import { TermChoice } from "./launch/Term";
import { unused, type Wish } from "./launch/wish";
import { PlanPreview } from "./PlanPreview";

type Project = Schemas["Project"];
type Reservation = Schemas["Reservation"];

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export default function Launch() {
  const mayBuild = useMayBuild();
  const on = new URLSearchParams(useSearch()).get("reservation");
  return (
    <Page
      title="Launch a cluster"
      lead="The plan appears as you choose. Nothing is reserved or billed until you confirm it."
    >
      {!mayBuild ? (
        <Note kind="warn" title="Your role cannot launch clusters">
          <p>Ask the owner of your organisation for the role member.</p>
        </Note>
      ) : on !== null ? (
        <OnReservation id={on} />
      ) : (
        <InProject>{(project) => <Chooser key={project.id} project={project} />}</InProject>
      )}
    </Page>
  );
}

/** The page of who comes from a reservation: in its project, and of its type. */
function OnReservation({ id }: { id: string }) {
  const projects = useProjects();
  const found = api.useQuery("get", "/gw/v1/reservations/{reservation_id}", {
    params: { path: { reservation_id: id } },
  });
  return (
    <Answer query={found} what="the reservation">
      {(reservation) => (
        <Answer query={projects} what="your projects">
          {({ items }) => {
            const project = items.find((one) => one.id === reservation.project_id);
            return project && <Chooser project={project} reservation={reservation} />;
          }}
        </Answer>
      )}
    </Answer>
  );
}

interface ChooserProps {
  project: Project;
  reservation?: Reservation;
}

function Chooser({ project, reservation }: ChooserProps) {
  const fleet = useFleet();
  const clusters = useClusters();
  return (
    <Answer query={fleet} what="what the site offers">
      {({ gpu_types, sites }) => (
        <Answer query={clusters} what="your clusters">
          {({ items }) => (
            <Form
              project={project}
              types={gpu_types}
              sites={sites}
              name={freeName(new Set(items.map((one) => one.name)))}
              reservation={reservation}
              room={reservation && unused(reservation, items)}
            />
          )}
        </Answer>
      )}
    </Answer>
  );
}

/** A name that no live cluster has. */
function freeName(taken: ReadonlySet<string>): string {
  if (!taken.has("train")) return "train";
  let number = 2;
  while (taken.has(`train-${number}`)) number += 1;
  return `train-${number}`;
}

interface FormProps extends ChooserProps {
  types: readonly Schemas["GpuTypeSummary"][];
  sites: readonly Schemas["SiteSummary"][];
  name: string;
  /** GPUs of the reservation that no cluster has. */
  room?: number;
}

function Form({ project, types, sites, name, reservation, room }: FormProps) {
  const [wish, setWish] = useState<Wish>({
    project_id: project.id,
    name,
    gpu_count: room || 64,
    gpu_type: reservation?.gpu_type ?? types[0]?.gpu_type ?? null,
    term: reservation ? "reserved" : "on_demand",
    reservation_id: reservation?.id ?? null,
    storage_bytes: 0,
    image: "debian-12-gpu",
    ssh_key_ids: [],
    file_system_mounts: [],
    spare_count: 0,
    site_ids: [],
  });
  const [mostText, setMostText] = useState("");
  const change = (part: Partial<Wish>): void => setWish((before) => ({ ...before, ...part }));
  const nameError = NAME.test(wish.name)
    ? null
    : "Small letters, digits and hyphens, up to 63, beginning and ending with a letter or digit.";
  const lacksReservation = wish.term === "reserved" && wish.reservation_id == null;
  return (
    <div className="launch">
      <Card title="What you want">
        <form onSubmit={(event) => event.preventDefault()}>
          <TextField
            label="Name"
            value={wish.name}
            onChange={(name) => change({ name })}
            error={nameError}
            hint="Hosts are called NAME-0000, NAME-0001 and so on."
            autoComplete="off"
          />
          <TypeAndCount wish={wish} types={types} change={change} />
          <TermChoice wish={wish} change={change} mostText={mostText} setMostText={setMostText} />
          <BytesField
            label="Storage"
            value={wish.storage_bytes ?? 0}
            onChange={(storage_bytes) => change({ storage_bytes })}
            hint="A file system that lives and ends with the cluster; 0 for none."
          />
          <Keys project={project} wish={wish} change={change} />
          <details>
            <summary>More: image, file systems, site, nearness, spare nodes</summary>
            <div className="stack more">
              <More project={project} wish={wish} sites={sites} change={change} />
            </div>
          </details>
        </form>
      </Card>
      {wish.term === "spot" ? (
        <Bid wish={wish} isReady={nameError === null && isAmount(mostText)} />
      ) : (
        <PlanPreview wish={wish} isReady={nameError === null && !lacksReservation} />
      )}
    </div>
  );
}
