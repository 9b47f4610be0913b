/** The tenant's area: clusters and what belongs to them. */
import { Boxes, Gauge, HardDrive, KeyRound, Rocket, Users } from "lucide-react";
import { lazy } from "react";
import { type Area, EVERYBODY } from "./area";

export const tenant: Area = {
  name: "Your clusters",
  roles: EVERYBODY,
  pages: [
    {
      path: "/clusters",
      menu: { label: "Clusters", icon: Boxes },
      page: lazy(() => import("../pages/tenant/Clusters")),
    },
    {
      path: "/launch",
      menu: { label: "Launch", icon: Rocket },
      page: lazy(() => import("../pages/tenant/Launch")),
    },
    { path: "/clusters/:id", page: lazy(() => import("../pages/tenant/Cluster")) },
    { path: "/operations/:id", page: lazy(() => import("../pages/tenant/Operation")) },
    {
      path: "/file-systems",
      menu: { label: "File systems", icon: HardDrive },
      page: lazy(() => import("../pages/tenant/FileSystems")),
    },
    {
      path: "/ssh-keys",
      menu: { label: "SSH keys", icon: KeyRound },
      page: lazy(() => import("../pages/tenant/SshKeys")),
    },
    {
      path: "/members",
      menu: { label: "Members", icon: Users },
      page: lazy(() => import("../pages/tenant/Members")),
    },
    {
      path: "/quotas",
      menu: { label: "Quotas", icon: Gauge },
      page: lazy(() => import("../pages/tenant/Quotas")),
    },
  ],
};
