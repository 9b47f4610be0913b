/** The operator's area: the floor, its nodes, and how well it is used. */
import {
  ChartArea,
  ListChecks,
  Map as MapIcon,
  Puzzle,
  ScrollText,
  Server,
  ShieldCheck,
  Wrench,
  Zap,
} from "lucide-react";
import { lazy } from "react";
import type { Area } from "./area";

export const operator: Area = {
  name: "The site",
  roles: ["operator"],
  pages: [
    {
      path: "/fleet",
      menu: { label: "Fleet map", icon: MapIcon },
      page: lazy(() => import("../pages/operator/FleetMap")),
    },
    {
      path: "/nodes",
      menu: { label: "Nodes", icon: Server },
      page: lazy(() => import("../pages/operator/Nodes")),
    },
    { path: "/nodes/:id", page: lazy(() => import("../pages/operator/Node")) },
    {
      path: "/utilisation",
      menu: { label: "Utilisation", icon: ChartArea },
      page: lazy(() => import("../pages/operator/Utilisation")),
    },
    {
      path: "/stranded",
      menu: { label: "Stranded", icon: Puzzle },
      page: lazy(() => import("../pages/operator/Stranded")),
    },
    {
      path: "/power",
      menu: { label: "Power", icon: Zap },
      page: lazy(() => import("../pages/operator/Power")),
    },
    {
      path: "/demand",
      menu: { label: "Demand", icon: ListChecks },
      page: lazy(() => import("../pages/operator/Demand")),
    },
    {
      path: "/proofs",
      menu: { label: "Proofs", icon: ShieldCheck },
      page: lazy(() => import("../pages/operator/Proofs")),
    },
    {
      path: "/reconciler",
      menu: { label: "Reconciler", icon: Wrench },
      page: lazy(() => import("../pages/operator/Reconciler")),
    },
    {
      path: "/audit",
      menu: { label: "Audit", icon: ScrollText },
      page: lazy(() => import("../pages/operator/Audit")),
    },
  ],
};
