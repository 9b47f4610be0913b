/** The area of who is signed in: their own sessions. */
import { MonitorSmartphone } from "lucide-react";
import { lazy } from "react";
import { SIGNED_IN_PATH } from "../SignIn";
import { type Area, EVERYBODY } from "./area";

export const you: Area = {
  name: "You",
  roles: EVERYBODY,
  pages: [
    {
      path: "/sessions",
      menu: { label: "Sessions", icon: MonitorSmartphone },
      page: lazy(() => import("../pages/you/Sessions")),
    },
    { path: SIGNED_IN_PATH, page: lazy(() => import("../pages/you/SignedIn")) },
  ],
};
