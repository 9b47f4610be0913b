/** What roles are called and mean. */
import type { Schemas } from "../../../api/client";

export type RoleName = Schemas["Account"]["role"];

/** Paths whose answers a change of members touches. */
export const PATHS = ["/gw/v1/organisations", "/gw/v1/accounts", "/gw/v1/api-keys"];

export const ROLES = [
  { value: "member", label: "Member: launches and releases clusters" },
  { value: "owner", label: "Owner: also manages people" },
  { value: "billing", label: "Billing: sees what it costs" },
  { value: "read_only", label: "Read only: sees everything, changes nothing" },
];
