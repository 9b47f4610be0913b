/** The canvas of the floor: looks at a part of it, and lets a node be chosen by hand or keys. */
import { Minus, Plus, Scan } from "lucide-react";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { Button } from "../../../ui/basics";
import { useTheme } from "../../../ui/theme";
import { type By, legendOf, projectsOf, type Swatch, tenantsOf } from "./colours";
import { type Cells, type Floor, Names, neighbour, nodeAt, update } from "./floor";
import { type Look, Painter, pixelOf, type View } from "./painter";

interface Props {
  floor: Floor;
  cells: Cells;
  by: By;
  chosen: number;
  onChoose: (node: number) => void;
  onOpen: (node: number) => void;
  /** Says what a node is, for those who hear it. */
  describe: (node: number) => string;
}

const ZOOM_STEP = 1.6;
const ZOOM_MAX = 24;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function lookOf(floor: Floor, by: By, names: Names): Look {
  const projects = projectsOf(floor);
  const legend: Swatch[] = legendOf(by, projects, String);
  return {
    by,
    palette: Uint32Array.from(legend, ({ token }) => pixelOf(token)),
    ground: pixelOf("card"),
    text: getComputedStyle(document.documentElement).getPropertyValue("--text"),
    tenants: tenantsOf(floor, names, projects),
  };
}

/** Where zoom and middle of the reader's choice put the corner of the plan. */
interface Place {
  zoom: number;
  x: number;
  y: number;
}

export function MapCanvas(props: Props) {
  const { floor, cells, by, chosen, onChoose, onOpen } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<Painter | null>(null);
  const names = useRef(new Names());
  const view = useRef<View>({ scale: 1, x: 0, y: 0 });
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const { scheme } = useTheme();
  const { width_px: planWidth, height_px: planHeight } = floor.places;
  const [place, setPlace] = useState<Place>({ zoom: 1, x: planWidth / 2, y: planHeight / 2 });
  const projects = projectsOf({ ...floor, cells }).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours change with these alone
  useEffect(() => {
    if (!canvas.current) return;
    update(floor, cells, names.current);
    const look = lookOf(floor, by, names.current);
    if (painter.current) painter.current.wear(look);
    else painter.current = new Painter(canvas.current, floor, look);
  }, [by, scheme, projects, floor]);

  useEffect(() => {
    const changed = update(floor, cells, names.current);
    painter.current?.tenants(tenantsOf(floor, names.current, projectsOf(floor)));
    painter.current?.changed(changed);
  }, [floor, cells]);

  useEffect(() => painter.current?.choose(chosen), [chosen]);

  useEffect(() => {
    const node = canvas.current;
    if (!node) return;
    const fit = (): void => {
      const ratio = window.devicePixelRatio;
      const width = Math.max(1, Math.round(node.clientWidth * ratio));
      const height = Math.max(1, Math.round(node.clientHeight * ratio));
      const scale = Math.min(width / planWidth, height / planHeight) * place.zoom;
      view.current = { scale, x: place.x - width / scale / 2, y: place.y - height / scale / 2 };
      painter.current?.show(view.current, width, height);
    };
    fit();
    const watcher = new ResizeObserver(fit);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, [place, planWidth, planHeight]);

  useEffect(
    () => () => {
      painter.current?.stop();
      painter.current = null;
    },
    [],
  );

  const zoomBy = (factor: number): void =>
    setPlace((now) => {
      const zoom = Math.min(ZOOM_MAX, Math.max(1, now.zoom * factor));
      if (zoom === 1) return { zoom, x: planWidth / 2, y: planHeight / 2 };
      if (chosen < 0 || factor < 1) return { ...now, zoom };
      return { zoom, ...middleOf(floor, chosen) };
    });
  const at = (event: PointerEvent<HTMLCanvasElement>): number => {
    const box = event.currentTarget.getBoundingClientRect();
    const ratio = window.devicePixelRatio / view.current.scale;
    return nodeAt(
      floor,
      view.current.x + (event.clientX - box.left) * ratio,
      view.current.y + (event.clientY - box.top) * ratio,
    );
  };
  const onMove = (event: PointerEvent<HTMLCanvasElement>): void => {
    const from = drag.current;
    if (!from || place.zoom === 1) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (!from.moved && Math.abs(dx) + Math.abs(dy) < 5) return;
    const ratio = window.devicePixelRatio / view.current.scale;
    drag.current = { x: event.clientX, y: event.clientY, moved: true };
    setPlace((now) => ({ ...now, x: now.x - dx * ratio, y: now.y - dy * ratio }));
  };
  const onUp = (event: PointerEvent<HTMLCanvasElement>): void => {
    const wasDragged = drag.current?.moved ?? false;
    drag.current = null;
    const node = at(event);
    if (!wasDragged && node >= 0) onChoose(node);
  };
  const onKey = (event: KeyboardEvent): void => {
    const arrow = ARROWS[event.key];
    if (arrow) onChoose(chosen < 0 ? 0 : neighbour(floor, chosen, ...arrow));
    else if (event.key === "+" || event.key === "=") zoomBy(ZOOM_STEP);
    else if (event.key === "-") zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") zoomBy(0);
    else if (event.key === "Enter" && chosen >= 0) onOpen(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <div className="map">
      <div
        role="application"
        aria-label="Fleet map; arrow keys go from node to node, Enter opens one, + and - zoom, 0 shows all"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application takes the keys
        tabIndex={0}
        className="map-frame"
        onKeyDown={onKey}
      >
        <canvas
          ref={canvas}
          style={{ aspectRatio: planWidth / planHeight }}
          className={place.zoom > 1 ? "map-canvas near" : "map-canvas"}
          onPointerDown={(event) => {
            drag.current = { x: event.clientX, y: event.clientY, moved: false };
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerMove={onMove}
          onPointerUp={onUp}
          onDoubleClick={() => zoomBy(ZOOM_STEP)}
        />
      </div>
      <div className="map-buttons">
        <Button aria-label="Nearer" onClick={() => zoomBy(ZOOM_STEP)}>
          <Plus aria-hidden size={16} />
        </Button>
        <Button aria-label="Farther" onClick={() => zoomBy(1 / ZOOM_STEP)}>
          <Minus aria-hidden size={16} />
        </Button>
        <Button aria-label="All of it" onClick={() => zoomBy(0)}>
          <Scan aria-hidden size={16} />
        </Button>
      </div>
      <p className="hidden" aria-live="polite">
        {chosen >= 0 ? props.describe(chosen) : ""}
      </p>
    </div>
  );
}

function middleOf(floor: Floor, node: number): { x: number; y: number } {
  const [x = 0, y = 0, width = 0, height = 0] = floor.box.subarray(4 * node, 4 * node + 4);
  return { x: x + width / 2, y: y + height / 2 };
}
