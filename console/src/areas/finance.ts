/** The areas of money: what one owes, and the books of who runs the site. */
import { BookCheck, CalendarRange, FileText, Tags, WalletCards } from "lucide-react";
import { lazy } from "react";
import { type Area, EVERYBODY } from "./area";

export const money: Area = {
  name: "Money",
  roles: ["owner", "operator", "billing"],
  pages: [
    {
      path: "/invoices",
      menu: { label: "Invoices", icon: FileText },
      page: lazy(() => import("../pages/finance/Invoices")),
    },
    { path: "/invoices/:id", page: lazy(() => import("../pages/finance/Invoice")) },
    {
      path: "/budgets",
      menu: { label: "Budgets", icon: WalletCards },
      page: lazy(() => import("../pages/finance/Budgets")),
    },
  ],
};

export const prices: Area = {
  name: "Prices",
  roles: EVERYBODY,
  pages: [
    {
      path: "/rates",
      menu: { label: "Rates", icon: Tags },
      page: lazy(() => import("../pages/finance/Rates")),
    },
    {
      path: "/reservations",
      menu: { label: "Reservations", icon: CalendarRange },
      page: lazy(() => import("../pages/finance/Reservations")),
    },
  ],
};

export const books: Area = {
  name: "Books",
  roles: ["operator"],
  pages: [
    {
      path: "/months",
      menu: { label: "Months and ledger", icon: BookCheck },
      page: lazy(() => import("../pages/finance/Months")),
    },
  ],
};
