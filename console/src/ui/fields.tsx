/** Fields of forms: a label, what it is for, and what is wrong. */
import { NumberField } from "@base-ui/react/number-field";
import { Minus, Plus } from "lucide-react";
import { type InputHTMLAttributes, type ReactNode, useId, useState } from "react";

interface FrameProps {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  children: (ids: { id: string; describedBy: string }) => ReactNode;
}

/** Label, hint and error around any control. */
export function FieldFrame({ label, hint, error, children }: FrameProps) {
  const id = useId();
  return (
    <div className={`field ${error ? "wrong" : ""}`}>
      <label htmlFor={id}>{label}</label>
      {children({ id, describedBy: `${id}-hint` })}
      <div id={`${id}-hint`} className="hint">
        {error ? <span className="error">{error}</span> : hint}
      </div>
    </div>
  );
}

interface TextProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "onChange" | "value"> {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  value: string;
  onChange: (value: string) => void;
}

/** One line of text. */
export function TextField({ label, hint, error, value, onChange, ...rest }: TextProps) {
  return (
    <FieldFrame label={label} hint={hint} error={error}>
      {({ id, describedBy }) => (
        <input
          {...rest}
          id={id}
          aria-describedby={describedBy}
          aria-invalid={Boolean(error)}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </FieldFrame>
  );
}

interface AreaProps {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  value: string;
  rows?: number;
  onChange: (value: string) => void;
}

/** Several lines of text. */
export function TextArea({ label, hint, error, value, rows = 3, onChange }: AreaProps) {
  return (
    <FieldFrame label={label} hint={hint} error={error}>
      {({ id, describedBy }) => (
        <textarea
          id={id}
          rows={rows}
          spellCheck={false}
          aria-describedby={describedBy}
          aria-invalid={Boolean(error)}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </FieldFrame>
  );
}

export interface Option {
  value: string;
  label: string;
}

interface SelectProps {
  label: string;
  hint?: ReactNode;
  value: string;
  options: readonly Option[];
  onChange: (value: string) => void;
}

/** One of a few; the browser's own, which every phone shows well. */
export function SelectField({ label, hint, value, options, onChange }: SelectProps) {
  return (
    <FieldFrame label={label} hint={hint}>
      {({ id, describedBy }) => (
        <select
          id={id}
          aria-describedby={describedBy}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </FieldFrame>
  );
}

interface CountProps {
  label: string;
  hint?: ReactNode;
  value: number;
  min: number;
  max: number;
  step?: number;
  unit?: string;
  onChange: (value: number) => void;
}

/** A whole number with buttons for less and more. */
export function CountField({ label, hint, value, min, max, step = 1, unit, onChange }: CountProps) {
  return (
    <FieldFrame label={label} hint={hint}>
      {({ id, describedBy }) => (
        <NumberField.Root
          id={id}
          value={value}
          min={min}
          max={max}
          step={step}
          onValueChange={(next) => onChange(Math.round(next ?? min))}
        >
          <NumberField.Group className="count">
            <NumberField.Decrement className="button" aria-label={`Less: ${label}`}>
              <Minus aria-hidden size={16} />
            </NumberField.Decrement>
            <NumberField.Input aria-describedby={describedBy} />
            <NumberField.Increment className="button" aria-label={`More: ${label}`}>
              <Plus aria-hidden size={16} />
            </NumberField.Increment>
            {unit && <span className="unit">{unit}</span>}
          </NumberField.Group>
        </NumberField.Root>
      )}
    </FieldFrame>
  );
}

const BYTE_UNITS = { GiB: 2 ** 30, TiB: 2 ** 40, PiB: 2 ** 50 };
type ByteUnit = keyof typeof BYTE_UNITS;

interface BytesProps {
  label: string;
  hint?: ReactNode;
  value: number;
  onChange: (bytes: number) => void;
}

/** An amount of storage. */
export function BytesField({ label, hint, value, onChange }: BytesProps) {
  const [unit, setUnit] = useState<ByteUnit>(value > 0 && value < 2 ** 40 ? "GiB" : "TiB");
  const change = (amount: number, by: ByteUnit) =>
    onChange(Math.max(0, Math.round((Number.isFinite(amount) ? amount : 0) * BYTE_UNITS[by])));
  const amount = value / BYTE_UNITS[unit];
  return (
    <FieldFrame label={label} hint={hint}>
      {({ id, describedBy }) => (
        <div className="count">
          <input
            id={id}
            type="number"
            min={0}
            step="any"
            aria-describedby={describedBy}
            value={amount}
            onChange={(event) => change(event.target.valueAsNumber, unit)}
          />
          <select
            aria-label={`Unit of ${label}`}
            value={unit}
            onChange={(event) => {
              const next = event.target.value as ByteUnit;
              setUnit(next);
              change(amount, next);
            }}
          >
            {Object.keys(BYTE_UNITS).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </div>
      )}
    </FieldFrame>
  );
}

interface CheckProps {
  label: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

/** Yes or no. */
export function Check({ label, checked, onChange }: CheckProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.target.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
