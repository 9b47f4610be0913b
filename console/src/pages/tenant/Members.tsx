/** People and programs of an organisation: roles, invitations, API keys. */
import { useMayManage } from "../../api/session";
import { Page } from "../../ui/basics";
import { ApiKeys } from "./members/ApiKeys";
import { Invitations } from "./members/Invitations";
import { People } from "./members/People";

export default function Members() {
  const mayManage = useMayManage();
  return (
    <Page title="Members" lead="Who belongs to your organisation, and the keys that programs use.">
      {mayManage && <People />}
      {mayManage && <Invitations />}
      <ApiKeys />
    </Page>
  );
}
