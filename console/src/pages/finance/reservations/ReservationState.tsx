/** The state of a reservation, for the eye. */
import { Status, type StatusKind } from "../../../ui/basics";
import type { Reservation } from "./span";

const KIND: Record<Reservation["state"], StatusKind> = {
  planned: "info",
  booked: "info",
  running: "good",
  ended: "off",
  cancelled: "off",
};

export function ReservationState({ one }: { one: Reservation }) {
  return <Status kind={KIND[one.state]}>{one.state}</Status>;
}
