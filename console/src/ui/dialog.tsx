/** Dialogs: asking back before what cannot be undone, and small forms. */
import { AlertDialog } from "@base-ui/react/alert-dialog";
import { Dialog } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { type ReactNode, useId, useState } from "react";
import { isSessionOver } from "../api/session";
import { Button } from "./basics";
import { ProblemNote } from "./problem";

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  /** What will happen, and what is lost. */
  children: ReactNode;
  /** What to type; without it one press is enough. */
  typeName?: string;
  doIt: string;
  doing: string;
  isBusy: boolean;
  error?: unknown;
  onConfirm: () => void;
}

/** Asks back; what destroys is confirmed by typing its name. */
export function Confirm(props: ConfirmProps) {
  const [typed, setTyped] = useState("");
  const id = useId();
  const isReady = props.typeName === undefined || typed === props.typeName;
  const onOpenChange = (open: boolean) => {
    if (!open && !props.isBusy && !isSessionOver()) {
      setTyped("");
      props.onClose();
    }
  };
  return (
    <AlertDialog.Root open={props.open} onOpenChange={onOpenChange}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog">
          <AlertDialog.Title className="dialog-title">{props.title}</AlertDialog.Title>
          <AlertDialog.Description render={<div />}>{props.children}</AlertDialog.Description>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (isReady) props.onConfirm();
            }}
          >
            {props.typeName !== undefined && (
              <div className="field">
                <label htmlFor={id}>
                  Type <code>{props.typeName}</code> to confirm
                </label>
                <input
                  id={id}
                  value={typed}
                  autoComplete="off"
                  spellCheck={false}
                  onChange={(event) => setTyped(event.target.value)}
                />
              </div>
            )}
            {props.error !== undefined && props.error !== null && (
              <ProblemNote error={props.error} />
            )}
            <div className="actions end">
              <AlertDialog.Close render={<Button>Keep it</Button>} />
              <Button
                type="submit"
                kind="danger"
                disabled={!isReady}
                busy={props.isBusy && props.doing}
              >
                {props.doIt}
              </Button>
            </div>
          </form>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}

interface FormDialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
}

/** A dialog around a small form. */
export function FormDialog({ open, onClose, title, children }: FormDialogProps) {
  return (
    <Dialog.Root open={open} onOpenChange={(isOpen) => !isOpen && !isSessionOver() && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog">
          <Dialog.Title className="dialog-title">{title}</Dialog.Title>
          <Dialog.Close className="button quiet dialog-close" aria-label="Close">
            <X aria-hidden size={18} />
          </Dialog.Close>
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
