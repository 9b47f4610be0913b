/** A moment that is chosen: now, or a date and a time in the reader's own zone. */
import { TextField } from "./fields";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** What a field holds, as the service takes it; null where it is empty or none. */
export function isoOf(text: string): string | null {
  const moment = new Date(text);
  return text === "" || Number.isNaN(moment.getTime()) ? null : moment.toISOString();
}

/** What a field holds for a moment. */
export function textOf(moment: Date): string {
  const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

interface MomentProps {
  label: string;
  hint: string;
  value: string;
  onChange: (text: string) => void;
  error?: string | null;
}

/** A date and a time; what an empty one means stands in the hint. */
export function MomentField({ label, hint, value, onChange, error }: MomentProps) {
  return (
    <TextField
      label={label}
      type="datetime-local"
      hint={`${hint} Times are of ${zone}.`}
      value={value}
      onChange={onChange}
      error={error}
    />
  );
}
