/** The areas, in the order of the menu; one file each. */
import type { Area } from "./area";
import { tenant } from "./tenant";

export const AREAS: readonly Area[] = [tenant];
