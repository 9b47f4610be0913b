/** One reservation: its terms, who uses it, and giving it up with what that costs. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParams } from "wouter";
import { api, type Schemas } from "../../api/client";
import { useClusters, useProjectName } from "../../api/lists";
import { refresh } from "../../api/live";
import { useMayBuild, useMayManage } from "../../api/session";
import { Answer } from "../../ui/answer";
import {
  Bar,
  Button,
  Card,
  Empty,
  LinkButton,
  Loading,
  Note,
  Page,
  StateOf,
} from "../../ui/basics";
import { Ending } from "../../ui/form";
import { at, count, duration, usd } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { type Column, Table } from "../../ui/table";
import { Book, Terms } from "./reservations/ReservationPlan";
import { ReservationState } from "./reservations/ReservationState";
import { begin, end, type Reservation } from "./reservations/span";

export default function ReservationPage() {
  const { id = "" } = useParams();
  const found = api.useQuery("get", "/gw/v1/reservations/{reservation_id}", {
    params: { path: { reservation_id: id } },
  });
  if (found.isPending) return <Loading what="the reservation" />;
  if (found.error) {
    return (
      <Page title="Reservation">
        <ProblemNote error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  return <Shown one={found.data} />;
}

function Shown({ one }: { one: Reservation }) {
  const projectName = useProjectName();
  const mayBuild = useMayBuild();
  const isLive = one.state === "booked" || one.state === "running";
  return (
    <Page
      title={one.name}
      lead={
        <>
          <ReservationState one={one} /> · project {projectName(one.project_id)} ·{" "}
          <code>{one.id}</code>
        </>
      }
      actions={
        one.state === "running" &&
        mayBuild && (
          <LinkButton href={`/launch?reservation=${one.id}`} kind="primary">
            Launch on it
          </LinkButton>
        )
      }
    >
      <Card title={one.state === "planned" ? "What would be promised" : "What is promised"}>
        <When one={one} />
        <Terms one={one} />
        {one.state === "planned" && <Book plan={one} />}
      </Card>
      {one.cancelled_at && (
        <Note kind="warn" title={`It was given up ${at(one.cancelled_at)}`}>
          <p>
            {one.charged_micro_usd > 0
              ? `${usd(one.charged_micro_usd)} is billed for that.`
              : "That cost nothing."}
          </p>
        </Note>
      )}
      {isLive && <Users one={one} />}
      {one.state === "booked" && <GiveUp one={one} />}
    </Page>
  );
}

function When({ one }: { one: Reservation }) {
  const now = Date.now();
  const whole = end(one) - begin(one);
  if (one.state === "running") {
    return (
      <Bar
        name="Passed"
        done={now - begin(one)}
        total={whole}
        words={`${duration((end(one) - now) / 1000)} left, until ${at(one.to_at)}`}
      />
    );
  }
  if (one.state === "booked") {
    return <p>It begins in {duration((begin(one) - now) / 1000)}.</p>;
  }
  return null;
}

const COLUMNS: Column<Schemas["Cluster"]>[] = [
  { head: "Name", cell: (one) => <Link href={`/clusters/${one.id}`}>{one.name}</Link> },
  { head: "State", cell: (one) => <StateOf state={one.state} /> },
  { head: "GPUs", isNumber: true, cell: (one) => count(one.config?.gpu_count ?? 0) },
];

function Users({ one }: { one: Reservation }) {
  const clusters = useClusters();
  return (
    <Card title="Clusters that run on it">
      <Answer query={clusters} what="clusters">
        {({ items }) => (
          <Table
            label="Clusters of the reservation"
            columns={COLUMNS}
            rows={items.filter((cluster) => cluster.config?.reservation_id === one.id)}
            rowKey={(cluster) => cluster.id}
            empty={
              <Empty title="None">
                Clusters of a reservation cost nothing themselves, and end with it. It is paid for
                whether they run or not.
              </Empty>
            }
          />
        )}
      </Answer>
    </Card>
  );
}

function GiveUp({ one }: { one: Reservation }) {
  const queries = useQueryClient();
  const mayManage = useMayManage();
  const [ending, setEnding] = useState<Reservation | null>(null);
  const cancel = api.useMutation("post", "/gw/v1/reservations/{reservation_id}:cancel", {
    onSuccess: () => {
      setEnding(null);
      refresh(queries, ["/gw/v1/reservations", "/gw/v1/capacity"]);
    },
  });
  const { free_until, charge_micro_usd } = one.cancellation;
  const isFree = Date.parse(free_until) > Date.now();
  const cost = isFree ? "nothing" : usd(charge_micro_usd);
  return (
    <Card title="Give it up">
      <p>
        Its nodes go to others. Now that costs <strong>{cost}</strong>
        {isFree ? `, from ${at(free_until)} on ${usd(charge_micro_usd)}` : ""}, in place of{" "}
        {usd(one.amount_micro_usd)} for all of it.
      </p>
      {mayManage ? (
        <div>
          <Button kind="danger" onClick={() => setEnding(one)}>
            Give it up
          </Button>
        </div>
      ) : (
        <p className="faint">The owner of your organisation can do that.</p>
      )}
      <Ending
        of={ending}
        onClose={() => setEnding(null)}
        verb="Give up"
        doIt="Give it up"
        doing="Giving it up …"
        isTyped
        mutation={cancel}
        onConfirm={() => cancel.mutate({ params: { path: { reservation_id: one.id } } })}
      >
        <p>
          {count(one.gpu_count)} GPUs are no longer promised from {at(one.from_at)} to{" "}
          {at(one.to_at)}. That costs {cost}. They may be gone, or dearer, when you want them again.
        </p>
      </Ending>
    </Card>
  );
}
