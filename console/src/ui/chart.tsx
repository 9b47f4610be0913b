/** Charts: ECharts on a canvas, in our colours, with the same numbers as a table. */
import type { EChartsCoreOption } from "echarts/core";
import { type ReactNode, useEffect, useRef } from "react";
import { useTheme } from "./theme";

export interface ChartProps {
  /** What the chart shows, for those who cannot see it. */
  label: string;
  option: EChartsCoreOption;
  height?: "low" | "middle" | "high";
  /** The same numbers in words or as a `Table`. */
  table?: ReactNode;
}

/** Colours that stay apart for the colour-blind. Source: Okabe and Ito, 2008. */
const SERIES = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-7"];

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function themed(option: EChartsCoreOption): EChartsCoreOption {
  const line = { axisLine: { lineStyle: { color: token("line") } } };
  const axis = {
    ...line,
    axisLabel: { color: token("faint") },
    splitLine: { lineStyle: { color: token("line") } },
  };
  return {
    color: SERIES.map(token),
    textStyle: { color: token("text"), fontFamily: "inherit" },
    grid: { left: 12, right: 16, top: 36, bottom: 12, containLabel: true },
    animation: false,
    // HTML tooltips would need style attributes, which our own policy refuses.
    tooltip: { trigger: "axis", renderMode: "richText", confine: true },
    legend: { top: 0, textStyle: { color: token("text") } },
    ...option,
    xAxis: withAxis(option.xAxis, axis),
    yAxis: withAxis(option.yAxis, axis),
  };
}

function withAxis(given: unknown, axis: object): unknown {
  if (given === undefined) return undefined;
  if (Array.isArray(given)) return given.map((one) => ({ ...axis, ...one }));
  return { ...axis, ...(given as object) };
}

/** A chart; the library is fetched when the first one is drawn. */
export function Chart({ label, option, height = "middle", table }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const { scheme } = useTheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: colours follow the scheme
  useEffect(() => {
    const node = place.current;
    if (!node) return;
    let isOver = false;
    let tidy = (): void => undefined;
    void import("./echarts").then(({ init }) => {
      if (isOver) return;
      const chart = init(node, null, { renderer: "canvas" });
      chart.setOption(themed(option));
      const watcher = new ResizeObserver(() => chart.resize());
      watcher.observe(node);
      tidy = () => {
        watcher.disconnect();
        chart.dispose();
      };
    });
    return () => {
      isOver = true;
      tidy();
    };
  }, [option, scheme]);
  return (
    <figure className="chart">
      <div ref={place} role="img" aria-label={label} className={`chart-place ${height}`} />
      {table && (
        <details>
          <summary>The same as a table</summary>
          {table}
        </details>
      )}
    </figure>
  );
}
