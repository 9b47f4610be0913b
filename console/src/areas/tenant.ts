/** The tenant's area: clusters and what belongs to them. */
import { Boxes, Rocket } from "lucide-react";
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
    { path: "/operations/:id", page: lazy(() => import("../pages/tenant/Operation")) },
  ],
};
