/** Errors that teach: what, why, what to do now. */
import { OctagonX } from "lucide-react";
import { Component, type ReactNode } from "react";
import { toProblem } from "../api/client";
import { Button } from "./basics";

/** An error of the service, or of the way to it. */
export function ProblemNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = toProblem(error);
  return (
    <div className="note bad" role="alert">
      <OctagonX aria-hidden size={18} />
      <div>
        <p className="note-title">{sentence(problem.detail)}</p>
        {problem.next_step && <p>{sentence(problem.next_step)}</p>}
        <Lines lines={problem.reasons ?? []} />
        {(problem.would_fit ?? []).length > 0 && <p className="note-title">What would fit</p>}
        <Lines lines={problem.would_fit ?? []} />
        {retry && <Button onClick={retry}>Try again</Button>}
        {problem.request_id && <p className="faint">Request {problem.request_id}</p>}
      </div>
    </div>
  );
}

function Lines({ lines }: { lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <ul>
      {lines.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

/** Begins with a capital letter and ends with a full stop. */
export function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** A fault of the console itself takes one page down, not all. */
export class FaultBarrier extends Component<{ children: ReactNode }, { fault: unknown }> {
  state = { fault: null };

  static getDerivedStateFromError(fault: unknown) {
    return { fault };
  }

  render() {
    if (this.state.fault === null) return this.props.children;
    return <ProblemNote error={this.state.fault} retry={() => this.setState({ fault: null })} />;
  }
}
