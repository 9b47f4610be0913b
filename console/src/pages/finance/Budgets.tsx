/** Budgets: what may be spent this month, what was, and what the month will have cost. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../../api/client";
import { refresh } from "../../api/live";
import { useMayManage, useMe } from "../../api/session";
import { Answer } from "../../ui/answer";
import { Bar, Button, Card, Facts, Page, Time } from "../../ui/basics";
import { Check, TextField } from "../../ui/fields";
import { SaveForm } from "../../ui/form";
import { usd, usdPerHour } from "../../ui/format";
import { dollarsOf, isAmount, microUsd, UsdField } from "../../ui/money";
import { InProject } from "../../ui/project";

const PATHS = [
  "/gw/v1/projects/{project_id}/budget",
  "/gw/v1/organisations/{organisation_id}/budget",
];

export default function Budgets() {
  const paysOrRuns = ["owner", "operator", "billing"].includes(useMe().role);
  return (
    <Page
      title="Budgets"
      lead="Who has one is told before it is spent; a cap also refuses launches."
    >
      {paysOrRuns && <OfOrganisation />}
      <InProject>{(project) => <OfProject key={project.id} project={project} />}</InProject>
    </Page>
  );
}

function OfOrganisation() {
  const params = { path: { organisation_id: useMe().organisation_id } };
  const budget = api.useQuery("get", "/gw/v1/organisations/{organisation_id}/budget", { params });
  const put = api.useMutation("put", "/gw/v1/organisations/{organisation_id}/budget");
  const end = api.useMutation("delete", "/gw/v1/organisations/{organisation_id}/budget");
  return (
    <Card title="Your organisation">
      <Answer query={budget} what="the budget">
        {(found) => (
          <Shown
            budget={found}
            error={put.error ?? end.error}
            isBusy={put.isPending || end.isPending}
            save={(body) => put.mutateAsync({ params, body })}
            remove={() => end.mutateAsync({ params })}
          />
        )}
      </Answer>
    </Card>
  );
}

function OfProject({ project }: { project: Schemas["Project"] }) {
  const params = { path: { project_id: project.id } };
  const budget = api.useQuery("get", "/gw/v1/projects/{project_id}/budget", { params });
  const put = api.useMutation("put", "/gw/v1/projects/{project_id}/budget");
  const end = api.useMutation("delete", "/gw/v1/projects/{project_id}/budget");
  return (
    <Card title={`Project ${project.name}`}>
      <Answer query={budget} what="the budget">
        {(found) => (
          <Shown
            budget={found}
            error={put.error ?? end.error}
            isBusy={put.isPending || end.isPending}
            save={(body) => put.mutateAsync({ params, body })}
            remove={() => end.mutateAsync({ params })}
          />
        )}
      </Answer>
    </Card>
  );
}

interface ShownProps {
  budget: Schemas["Budget"];
  error: unknown;
  isBusy: boolean;
  save: (body: Schemas["SetBudget"]) => Promise<unknown>;
  remove: () => Promise<unknown>;
}

function Shown({ budget, error, isBusy, save, remove }: ShownProps) {
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
      <Edit budget={budget} error={error} isBusy={isBusy} save={save} remove={remove} />
    </>
  );
}

function Edit({ budget, error, isBusy, save, remove }: ShownProps) {
  const queries = useQueryClient();
  const mayManage = useMayManage();
  const [text, setText] = useState(
    budget.amount_micro_usd == null ? "" : dollarsOf(budget.amount_micro_usd),
  );
  const [percents, setPercents] = useState(
    (budget.percents.length ? budget.percents : USUAL).join(", "),
  );
  const [is_cap, setCap] = useState(budget.is_cap);
  if (!mayManage) {
    return <p className="faint">The owner of your organisation sets it.</p>;
  }
  const told = percentsOf(percents);
  const submit = async (): Promise<void> => {
    const amount_micro_usd = microUsd(text);
    if (amount_micro_usd === null || told === null) return;
    await save({ amount_micro_usd, is_cap, percents: told });
    refresh(queries, PATHS);
  };
  const forget = async (): Promise<void> => {
    await remove();
    setText("");
    refresh(queries, PATHS);
  };
  return (
    <SaveForm
      doIt="Set the budget"
      doing="Saving …"
      isBusy={isBusy}
      isReady={isAmount(text) && told !== null}
      error={error}
      // What goes wrong is shown by the call itself.
      beside={
        budget.amount_micro_usd != null && (
          <Button onClick={() => void forget().catch(() => undefined)}>Have no budget</Button>
        )
      }
      onSave={() => void submit().catch(() => undefined)}
    >
      <div className="form-row even">
        <UsdField label="Budget of each month" value={text} onChange={setText} />
        <TextField
          label="Tell at these percents"
          value={percents}
          onChange={setPercents}
          autoComplete="off"
          error={told === null ? "Whole percents from 1 to 1000 with commas: 50, 80, 100." : null}
          hint="Each is told once a month, as an event of the projects concerned."
        />
      </div>
      <Check label="Refuse launches that would pass it" checked={is_cap} onChange={setCap} />
    </SaveForm>
  );
}

const USUAL = [50, 80, 100];

/** "50, 80" → [50, 80]; null for what are no percents. */
function percentsOf(text: string): number[] | null {
  const found = text.split(",").map((part) => part.trim());
  if (text.trim() === "") return [];
  if (found.length > 10 || !found.every((part) => /^[1-9]\d{0,3}$/.test(part))) return null;
  const percents = [...new Set(found.map(Number))].sort((a, b) => a - b);
  return percents.every((one) => one <= 1_000) ? percents : null;
}
