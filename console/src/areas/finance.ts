/** The areas of money: what one owes, and the books of who runs the site. */
import {
  Banknote,
  BookCheck,
  CalendarRange,
  ChartNoAxesColumn,
  FileText,
  Tags,
  WalletCards,
} from "lucide-react";
import { lazy } from "react";
import { type Area, type AreaPage, EVERYBODY } from "./area";

const BUDGETS: AreaPage = {
  path: "/budgets",
  menu: { label: "Budgets", icon: WalletCards },
  page: lazy(() => import("../pages/finance/Budgets")),
};

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
    BUDGETS,
  ],
};

/** Who works in a project sees its budget, and no invoice. */
export const spending: Area = { name: "Money", roles: ["member", "read_only"], pages: [BUDGETS] };

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
    { path: "/reservations/new", page: lazy(() => import("../pages/finance/Reserve")) },
    { path: "/reservations/:id", page: lazy(() => import("../pages/finance/Reservation")) },
  ],
};

export const books: Area = {
  name: "Books",
  roles: ["operator"],
  pages: [
    {
      path: "/margin",
      menu: { label: "Margin", icon: ChartNoAxesColumn },
      page: lazy(() => import("../pages/finance/Margin")),
    },
    {
      path: "/payments",
      menu: { label: "Payments", icon: Banknote },
      page: lazy(() => import("../pages/finance/Payments")),
    },
    {
      path: "/months",
      menu: { label: "Months and ledger", icon: BookCheck },
      page: lazy(() => import("../pages/finance/Months")),
    },
    { path: "/rates/new", page: lazy(() => import("../pages/finance/SetRate")) },
  ],
};
