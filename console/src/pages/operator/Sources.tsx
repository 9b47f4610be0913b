/** Where what GPUs report comes from; while nothing does, how to connect it. */
import type { Schemas } from "../../api/client";
import { Note, Time } from "../../ui/basics";
import { count, counted } from "../../ui/format";
import { sentence } from "../../ui/problem";

const HOW = (
  <p>
    Start the server with <code>GIGAWATT_TELEMETRY</code> set to the address of a dcgm-exporter, or
    of a federation of many in Prometheus' text format. Hosts are matched by the ids of nodes. To
    try these pages, <code>simulated</code> makes numbers up, and says so.
  </p>
);

/** A line while it works, a note while it does not. */
export function Sources({ source }: { source: Schemas["LoadSource"] }) {
  if (source.state === "none") {
    return (
      <Note title="No GPU reports anything: no source is connected">
        <p>What is measured is shown as "no data". What the catalogue knows is shown as it is.</p>
        {HOW}
      </Note>
    );
  }
  if (source.state === "reading") {
    return <Note title="The source is being read for the first time">It takes some seconds.</Note>;
  }
  return (
    <>
      {source.state === "failed" && (
        <Note kind="warn" title="The source cannot be read">
          <p>{sentence(source.reason)}</p>
          {!source.read_at && HOW}
        </Note>
      )}
      {source.is_simulated && (
        <Note kind="warn" title="Simulated: these numbers are made up">
          <p>The source says so of its own samples. Nothing here was measured.</p>
        </Note>
      )}
      {source.read_at && (
        <p className="faint">
          {counted(source.reporting_gpu_count, "GPU")} reported, read <Time iso={source.read_at} />
          {source.unknown_count > 0 &&
            `; ${count(source.unknown_count)} samples are of no GPU of this fleet, or empty`}
          .
        </p>
      )}
    </>
  );
}
