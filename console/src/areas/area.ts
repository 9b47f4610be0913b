/** What an area of the console is: pages of one kind of reader. */
import type { LucideIcon } from "lucide-react";
import type { ComponentType } from "react";
import type { Role } from "../api/session";

export interface AreaPage {
  /** Below the root, with `:name` for parameters. */
  path: string;
  /** In the menu; pages without one are reached by links. */
  menu?: { label: string; icon: LucideIcon };
  page: ComponentType;
}

export interface Area {
  name: string;
  roles: readonly Role[];
  pages: readonly AreaPage[];
}

export const EVERYBODY: readonly Role[] = ["owner", "operator", "member", "billing", "read_only"];
