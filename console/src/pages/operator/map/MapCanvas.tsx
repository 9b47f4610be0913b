/** The canvas of the floor: looks at a part of it, and lets a node be chosen by hand or keys. */
import { Minus, Plus, Scan } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Button } from "../../../ui/basics";
import { useTheme } from "../../../ui/theme";
import { type By, legendOf, projectsOf, type Reported, reportedCodes, tenantsOf } from "./colours";
import { type Cells, type Floor, Names, neighbour, nodeAt, update } from "./floor";
import { useGestures } from "./gestures";
import { type Look, Painter, pixelOf, tilesOf, type View } from "./painter";
import { following, middleOf, moved, wholeOf, zoomed } from "./view";

interface Props {
  floor: Floor;
  cells: Cells;
  by: By;
  said: Reported;
  chosen: number;
  /** The one place in the legend that is shown in full colour; -1 for all. */
  only: number;
  onChoose: (node: number) => void;
  onOpen: (node: number) => void;
  /** Says what a node is, for those who hear it. */
  describe: (node: number) => string;
}

const ZOOM_STEP = 1.6;
/** How much of the window Shift and an arrow move. */
const PAN_SHARE = 0.2;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function lookOf({ floor, by, only, said }: Props, names: Names): Look {
  const projects = projectsOf(floor);
  return {
    by,
    tiles: tilesOf(legendOf(by, projects, String), only),
    ground: pixelOf("card"),
    text: getComputedStyle(document.documentElement).getPropertyValue("--text"),
    tenants: tenantsOf(floor, names, projects),
    codes: reportedCodes(floor, by, said),
  };
}

export function MapCanvas(props: Props) {
  const { floor, cells, by, said, chosen, only, onChoose, onOpen } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<Painter | null>(null);
  const names = useRef(new Names());
  const view = useRef<View>({ scale: 1, x: 0, y: 0 });
  const { scheme } = useTheme();
  const plan = floor.places;
  const [place, setPlace] = useState(() => wholeOf(plan));
  const projects = projectsOf({ ...floor, cells }).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours change with these alone
  useEffect(() => {
    if (!canvas.current) return;
    update(floor, cells, names.current);
    const look = lookOf(props, names.current);
    if (painter.current) painter.current.wear(look);
    else painter.current = new Painter(canvas.current, floor, look);
  }, [by, only, said.load, said.power, scheme, projects, floor]);

  useEffect(() => {
    const changed = update(floor, cells, names.current);
    painter.current?.tenants(tenantsOf(floor, names.current, projectsOf(floor)));
    painter.current?.changed(changed);
  }, [floor, cells]);

  useEffect(() => {
    painter.current?.choose(chosen);
    if (chosen >= 0) setPlace((now) => following(now, floor, chosen));
  }, [chosen, floor]);

  useEffect(() => {
    const node = canvas.current;
    if (!node) return;
    const fit = (): void => {
      const ratio = window.devicePixelRatio;
      const width = Math.max(1, Math.round(node.clientWidth * ratio));
      const height = Math.max(1, Math.round(node.clientHeight * ratio));
      const scale = Math.min(width / plan.width_px, height / plan.height_px) * place.zoom;
      view.current = { scale, x: place.x - width / scale / 2, y: place.y - height / scale / 2 };
      painter.current?.show(view.current, width, height);
    };
    fit();
    const watcher = new ResizeObserver(fit);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, [place, plan]);

  useEffect(
    () => () => {
      painter.current?.stop();
      painter.current = null;
    },
    [],
  );

  const zoomBy = (factor: number): void =>
    setPlace((now) => {
      if (factor === 0) return wholeOf(plan);
      const isNearer = chosen >= 0 && factor > 1;
      return zoomed(isNearer ? { ...now, ...middleOf(floor, chosen) } : now, plan, factor);
    });
  const handlers = useGestures(canvas, view, place.zoom > 1, {
    onZoom: (factor, at) => setPlace((now) => zoomed(now, plan, factor, { ...now, ...at })),
    onMove: (dx, dy) => setPlace((now) => (now.zoom === 1 ? now : moved(now, plan, dx, dy))),
    onPress: ({ x, y }) => {
      const node = nodeAt(floor, x, y);
      if (node >= 0) onChoose(node);
    },
  });
  const onKey = (event: KeyboardEvent): void => {
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) {
      const [dx, dy] = arrow;
      const step = PAN_SHARE / place.zoom;
      setPlace((now) => moved(now, plan, dx * plan.width_px * step, dy * plan.height_px * step));
    } else if (arrow) onChoose(chosen < 0 ? 0 : neighbour(floor, chosen, ...arrow));
    else if (event.key === "Home") onChoose(0);
    else if (event.key === "End") onChoose(floor.nodeCount - 1);
    else if (event.key === "+" || event.key === "=") zoomBy(ZOOM_STEP);
    else if (event.key === "-") zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") zoomBy(0);
    else if (event.key === "Escape" && chosen >= 0) onChoose(-1);
    else if (event.key === "Enter" && chosen >= 0) onOpen(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <div className="map">
      <div
        role="application"
        aria-label="Fleet map; arrow keys go from node to node, Home and End to the first and last, Enter opens one, + and - zoom, Shift and an arrow move, 0 shows all, Escape lets go"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application takes the keys
        tabIndex={0}
        className="map-frame"
        onKeyDown={onKey}
      >
        <canvas
          ref={canvas}
          style={{ aspectRatio: plan.width_px / plan.height_px }}
          className={place.zoom > 1 ? "map-canvas near" : "map-canvas"}
          data-zoom={place.zoom.toFixed(2)}
          {...handlers}
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
