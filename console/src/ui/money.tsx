/** Amounts of money that people type: dollars in, whole micro-USD out, and nothing rounded. */
import type { ReactNode } from "react";
import { TextField } from "./fields";

const AMOUNT = /^\$?(\d[\d,]*)(?:\.(\d{1,6}))?$/;

/** "1,000.50" → 1_000_500_000; null for what is no amount. */
export function microUsd(text: string): number | null {
  const found = AMOUNT.exec(text.trim());
  if (!found) return null;
  const whole = Number((found[1] ?? "").replaceAll(",", ""));
  return whole * 1_000_000 + Number((found[2] ?? "").padEnd(6, "0"));
}

/** 2_490_000 → "2.49", as a field shows it. */
export function dollarsOf(amount: number): string {
  const [whole, rest = ""] = (amount / 1e6).toFixed(6).split(".");
  return `${whole}.${rest.replace(/0+$/, "").padEnd(2, "0")}`;
}

interface UsdProps {
  label: string;
  hint?: ReactNode;
  value: string;
  onChange: (text: string) => void;
  /** May be left empty. */
  isOptional?: boolean;
  /** Nothing is an amount too: a price of 0. */
  mayBeZero?: boolean;
}

/** Whether the text of a field may be sent. */
export function isAmount(text: string, { isOptional = false, mayBeZero = false } = {}): boolean {
  if (text.trim() === "") return isOptional;
  const amount = microUsd(text);
  return amount !== null && Number.isSafeInteger(amount) && (mayBeZero || amount > 0);
}

/** An amount in dollars. */
export function UsdField({ label, hint, value, onChange, isOptional, mayBeZero }: UsdProps) {
  const isRight = isAmount(value, { isOptional, mayBeZero });
  const isEmpty = value.trim() === "";
  return (
    <TextField
      label={`${label}, in dollars`}
      hint={hint}
      value={value}
      onChange={onChange}
      inputMode="decimal"
      autoComplete="off"
      error={
        isRight || isEmpty
          ? null
          : `An amount ${mayBeZero ? "of 0 or more" : "above 0"}, with at most six digits after the point: 2.49.`
      }
    />
  );
}
