/** Small forms with one button, and asking back before something of a list ends. */
import type { ReactNode } from "react";
import { Button } from "./basics";
import { Confirm } from "./dialog";
import { ProblemNote } from "./problem";

interface SaveProps {
  children: ReactNode;
  /** What the button says. */
  doIt: string;
  /** What it says while it works. */
  doing: string;
  isBusy: boolean;
  isReady?: boolean;
  error?: unknown;
  /** Further buttons, beside the one. */
  beside?: ReactNode;
  onSave: () => void;
}

/** A form with one button; what went wrong stands above it. */
export function SaveForm({ children, isReady = true, error, ...props }: SaveProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady && !props.isBusy) props.onSave();
      }}
    >
      {children}
      {error != null && <ProblemNote error={error} />}
      <div className="actions">
        <Button type="submit" kind="primary" disabled={!isReady} busy={props.isBusy && props.doing}>
          {props.doIt}
        </Button>
        {props.beside}
      </div>
    </form>
  );
}

interface EndingProps<T> {
  /** What shall end; null while nobody asked for it. */
  of: T | null;
  onClose: () => void;
  /** "Revoke", which the title says, and the button if it has no words of its own. */
  verb: string;
  doIt?: string;
  doing: string;
  /** Its name has to be typed. */
  isTyped?: boolean;
  mutation: { isPending: boolean; error: unknown; reset: () => void };
  onConfirm: (one: T) => void;
  /** What is lost. */
  children: ReactNode;
}

/** Asks back before something with a name ends. */
export function Ending<T extends { name: string }>({
  of,
  verb,
  isTyped,
  ...props
}: EndingProps<T>) {
  return (
    <Confirm
      open={of !== null}
      onClose={() => {
        props.mutation.reset();
        props.onClose();
      }}
      title={`${verb} ${of?.name ?? ""}?`}
      typeName={isTyped ? (of?.name ?? "") : undefined}
      doIt={props.doIt ?? `${verb} it`}
      doing={props.doing}
      isBusy={props.mutation.isPending}
      error={props.mutation.error}
      onConfirm={() => of && props.onConfirm(of)}
    >
      {props.children}
    </Confirm>
  );
}
