/** An address without a page: what was asked for, what may be meant, and all that there is. */
import { Link, useLocation } from "wouter";
import { useMe } from "./api/session";
import { AREAS } from "./areas";
import { useAreas } from "./Layout";
import { Card, Note, Page } from "./ui/basics";
import { words } from "./ui/format";

export function NoPage() {
  const me = useMe();
  const areas = useAreas();
  const [location] = useLocation();
  const first = beginning(location);
  const isOfOthers = AREAS.some(
    (area) => !areas.includes(area) && area.pages.some((one) => beginning(one.path) === first),
  );
  return (
    <Page title="No such page">
      <Note kind="warn" title={`Nothing is at ${location}`}>
        <p>
          {isOfOthers
            ? `That page belongs to another role; you are signed in as ${me.name} (${words(me.role)}).`
            : "The address may be mistyped, or a link is older than this version."}
        </p>
      </Note>
      <Card title="Pages that you have">
        <div className="columns">
          {areas.map((area) => (
            <div key={area.name}>
              <h3>{area.name}</h3>
              <ul className="plain-list">
                {area.pages.map(
                  ({ path, menu }) =>
                    menu && (
                      <li key={path}>
                        <Link href={path}>{menu.label}</Link>
                        {isNear(beginning(path), first) && " (this one?)"}
                      </li>
                    ),
                )}
              </ul>
            </div>
          ))}
        </div>
      </Card>
    </Page>
  );
}

/** "/clusters/clu_1" → "clusters". */
const beginning = (path: string): string => path.split("/")[1] ?? "";

/** Whether one of two words begins as the other does. */
function isNear(one: string, other: string): boolean {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return short.length >= 3 && long.startsWith(short.slice(0, Math.max(4, short.length - 2)));
}
