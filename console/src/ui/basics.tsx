/** Small parts of every page: titles, buttons, links, times, states, notes. */
import {
  AlertTriangle,
  Check,
  CircleDashed,
  CircleOff,
  Info,
  LoaderCircle,
  type LucideIcon,
  OctagonX,
} from "lucide-react";
import { type ButtonHTMLAttributes, type ReactNode, useEffect, useState } from "react";
import { Link } from "wouter";
import { ago, at, exactly } from "./format";

interface PageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A page: its title is the window's too. */
export function Page({ title, lead, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Gigawatt`;
  }, [title]);
  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {lead && <div className="lead">{lead}</div>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface CardProps {
  title?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
}

/** A framed part of a page. */
export function Card({ title, actions, children, className = "" }: CardProps) {
  return (
    <section className={`card ${className}`}>
      {(title || actions) && (
        <header className="card-head">
          {title && <h2>{title}</h2>}
          {actions && <div className="actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: "plain" | "primary" | "danger" | "quiet";
  busy?: string | false;
}

/** A button; `busy` is what it says while it works. */
export function Button({ kind = "plain", busy = false, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${kind} ${rest.className ?? ""}`}
      disabled={rest.disabled || busy !== false}
    >
      {busy === false ? (
        children
      ) : (
        <>
          <LoaderCircle className="turning" aria-hidden size={16} />
          {busy}
        </>
      )}
    </button>
  );
}

interface LinkButtonProps {
  href: string;
  kind?: "plain" | "primary";
  children: ReactNode;
}

/** A link that looks like a button. */
export function LinkButton({ href, kind = "plain", children }: LinkButtonProps) {
  return (
    <Link href={href} className={`button ${kind}`}>
      {children}
    </Link>
  );
}

export type StatusKind = "good" | "busy" | "warn" | "bad" | "off" | "info";

const ICONS: Record<StatusKind, LucideIcon> = {
  good: Check,
  busy: LoaderCircle,
  warn: AlertTriangle,
  bad: OctagonX,
  off: CircleOff,
  info: CircleDashed,
};

/** A state: always a word and an icon, so that colour only repeats it. */
export function Status({ kind, children }: { kind: StatusKind; children: ReactNode }) {
  const Icon = ICONS[kind];
  return (
    <span className={`status ${kind}`}>
      <Icon aria-hidden size={14} className={kind === "busy" ? "turning" : ""} />
      {children}
    </span>
  );
}

/** What words of the service mean for the eye. */
const KIND_OF_STATE: Record<string, StatusKind> = {
  active: "good",
  available: "good",
  done: "good",
  open: "info",
  launching: "busy",
  changing: "busy",
  releasing: "busy",
  applying: "busy",
  creating: "busy",
  resizing: "busy",
  deleting: "busy",
  running: "busy",
  unwinding: "warn",
  unwound: "warn",
  drained: "warn",
  waiting: "info",
  failed: "bad",
  stuck: "bad",
  quarantined: "bad",
  refused: "bad",
  revoked: "off",
  expired: "off",
  released: "off",
  deleted: "off",
  withdrawn: "off",
};

/** The state of an object by the service's own word. */
export function StateOf({ state }: { state: string }) {
  return <Status kind={KIND_OF_STATE[state] ?? "info"}>{state}</Status>;
}

/** A moment, how long ago, with the exact time on demand. */
export function Time({ iso, plain = false }: { iso: string; plain?: boolean }) {
  useTick(30_000);
  return (
    <time dateTime={iso} title={exactly(iso)}>
      {plain ? at(iso) : ago(iso)}
    </time>
  );
}

/** Draw again every `ms`, for clocks. */
export function useTick(ms: number): void {
  const [, set] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => set((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** Something on its way; says what. */
export function Loading({ what }: { what: string }) {
  return (
    <p className="loading" role="status">
      <LoaderCircle className="turning" aria-hidden size={18} />
      Loading {what} …
    </p>
  );
}

interface NoteProps {
  kind?: "info" | "good" | "warn" | "bad";
  title?: ReactNode;
  children: ReactNode;
}

/** A sentence set apart. */
export function Note({ kind = "info", title, children }: NoteProps) {
  const Icon = kind === "info" ? Info : ICONS[kind];
  return (
    <div className={`note ${kind}`}>
      <Icon aria-hidden size={18} />
      <div>
        {title && <p className="note-title">{title}</p>}
        {children}
      </div>
    </div>
  );
}

/** Nothing is here yet: what it would be, and how to get the first one. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      <div>{children}</div>
      {action && <div className="actions">{action}</div>}
    </div>
  );
}

export type Fact = [name: string, value: ReactNode];

/** Facts by name. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** One number that matters, with what it is. */
export function Figure({
  name,
  value,
  more,
}: {
  name: ReactNode;
  value: ReactNode;
  more?: ReactNode;
}) {
  return (
    <div className="figure">
      <div className="figure-name">{name}</div>
      <div className="figure-value">{value}</div>
      {more && <div className="figure-more">{more}</div>}
    </div>
  );
}

/** How much of a whole, with words. */
export function Bar({ name, done, total, words }: BarProps) {
  return (
    <div className="bar">
      <div className="bar-words">
        <span>{name}</span>
        <span>{words}</span>
      </div>
      <progress aria-label={name} value={total > 0 ? done : 1} max={total > 0 ? total : 1} />
    </div>
  );
}

interface BarProps {
  name: string;
  done: number;
  total: number;
  words: string;
}
