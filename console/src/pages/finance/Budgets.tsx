/** Budgets: what may be spent this month, what was, and what the month will have cost. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMayManage, useMe } from "../../api/session";
import { Bar, Button, Card, Facts, Loading, Page, Time } from "../../ui/basics";
import { Check, TextField } from "../../ui/fields";
import { usd, usdPerHour } from "../../ui/format";
import { ProblemNote } from "../../ui/problem";
import { InProject } from "../../ui/project";

const PATHS = [
  "/gw/v1/projects/{project_id}/budget",
  "/gw/v1/organisations/{organisation_id}/budget",
];

export default function Budgets() {
  const { organisation_id } = useMe();
  const budget = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/budget", {
    params: { path: { organisation_id } },
  });
  const put = api.useMutation("put", "/gw/v1/organisations/{organisation_id}/budget");
  return (
    <Page
      title="Budgets"
      lead="Who has one is told before it is spent; a cap also refuses launches."
    >
      <Card title="Your organisation">
        {budget.error ? (
          <ProblemNote error={budget.error} retry={() => void budget.refetch()} />
        ) : budget.isPending ? (
          <Loading what="the budget" />
        ) : (
          <Shown
            budget={budget.data}
            error={put.error}
            isBusy={put.isPending}
            save={(body) => put.mutateAsync({ params: { path: { organisation_id } }, body })}
          />
        )}
      </Card>
      <InProject>{(project) => <OfProject key={project.id} project={project} />}</InProject>
    </Page>
  );
}

function OfProject({ project }: { project: Schemas["Project"] }) {
  const path = { project_id: project.id };
  const budget = api.useQuery("get", "/gw/v1/projects/{project_id}/budget", { params: { path } });
  const put = api.useMutation("put", "/gw/v1/projects/{project_id}/budget");
  return (
    <Card title={`Project ${project.name}`}>
      {budget.error ? (
        <ProblemNote error={budget.error} retry={() => void budget.refetch()} />
      ) : budget.isPending ? (
        <Loading what="the budget" />
      ) : (
        <Shown
          budget={budget.data}
          error={put.error}
          isBusy={put.isPending}
          save={(body) => put.mutateAsync({ params: { path }, body })}
        />
      )}
    </Card>
  );
}

interface ShownProps {
  budget: Schemas["Budget"];
  error: unknown;
  isBusy: boolean;
  save: (body: Schemas["SetBudget"]) => Promise<unknown>;
}

function Shown({ budget, error, isBusy, save }: ShownProps) {
  const amount = budget.amount_micro_usd;
  const spent = usd(budget.spent_micro_usd);
  return (
    <>
      {amount != null && (
        <Bar
          name={`Spent in ${budget.month}`}
          done={budget.spent_micro_usd}
          total={amount}
          words={`${spent} of ${usd(amount)}${budget.is_cap ? ", a cap" : ""}`}
        />
      )}
      <Facts
        facts={[
          [`Spent in ${budget.month}`, spent],
          ["Runs now at", usdPerHour(budget.rate_micro_usd_per_hour)],
          ["The month will have cost", usd(budget.forecast_micro_usd)],
          ["Told at", budget.percents.length ? `${budget.percents.join(", ")} percent` : "never"],
        ]}
      />
      {budget.alerts.length > 0 && (
        <ul className="plain-list">
          {budget.alerts.map((alert) => (
            <li key={alert.percent}>
              {alert.percent}% was reached <Time iso={alert.at} />
            </li>
          ))}
        </ul>
      )}
      <Edit budget={budget} error={error} isBusy={isBusy} save={save} />
    </>
  );
}

function Edit({ budget, error, isBusy, save }: ShownProps) {
  const queries = useQueryClient();
  const mayManage = useMayManage();
  const [text, setText] = useState(
    budget.amount_micro_usd == null ? "" : String(budget.amount_micro_usd / 1e6),
  );
  const [is_cap, setCap] = useState(budget.is_cap);
  if (!mayManage) return null;
  const dollars = Number(text);
  const isRight = text.trim() !== "" && Number.isFinite(dollars) && dollars > 0;
  const submit = async (): Promise<void> => {
    const amount_micro_usd = Math.round(dollars * 1e6);
    await save({ amount_micro_usd, is_cap, percents: [50, 80, 100] });
    refresh(queries, PATHS);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        // What goes wrong is shown below, by the call itself.
        if (isRight) submit().catch(() => undefined);
      }}
    >
      <TextField
        label={`Budget of each month of this ${budget.scope}, in dollars`}
        value={text}
        onChange={setText}
        inputMode="decimal"
        autoComplete="off"
        error={text.trim() === "" || isRight ? null : "An amount above 0."}
      />
      <Check label="Refuse launches that would pass it" checked={is_cap} onChange={setCap} />
      {error != null && <ProblemNote error={error} />}
      <Button type="submit" disabled={!isRight} busy={isBusy && "Saving …"}>
        Set the budget
      </Button>
    </form>
  );
}
