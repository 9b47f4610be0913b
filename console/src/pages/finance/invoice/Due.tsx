/** Until when an invoice is to be paid, and whether it was. */
import type { Schemas } from "../../../api/client";
import { Status } from "../../../ui/basics";
import { counted } from "../../../ui/format";

export function Due({ invoice }: { invoice: Schemas["Invoice"] }) {
  if (invoice.corrects) return null;
  if ((invoice.open_micro_usd ?? 0) <= 0) return <Status kind="good">settled</Status>;
  const late = invoice.overdue_day_count ?? 0;
  if (late > 0) return <Status kind="warn">{counted(late, "day")} late</Status>;
  return <>{invoice.due_on ?? "at once"}</>;
}
