/** Where a login in a second tab ends: the first one goes on by itself. */
import { useMe } from "../../api/session";
import { Empty, LinkButton, Page } from "../../ui/basics";

export default function SignedIn() {
  const me = useMe();
  return (
    <Page title="Signed in">
      <Empty
        title={`You are signed in as ${me.name}`}
        action={<LinkButton href="/">Or go on here</LinkButton>}
      >
        Close this tab: the one that you came from goes on where it was.
      </Empty>
    </Page>
  );
}
