/** The areas, in the order of the menu; one file each. */
import type { Area } from "./area";
import { books, money, prices, spending } from "./finance";
import { operator } from "./operator";
import { tenant } from "./tenant";
import { you } from "./you";

export const AREAS: readonly Area[] = [operator, tenant, money, spending, prices, books, you];
