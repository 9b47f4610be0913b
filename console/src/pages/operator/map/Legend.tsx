/** The legend of the map: each entry can be looked for alone. */
import { useEffect, useRef, useState } from "react";
import { Button } from "../../../ui/basics";
import { useTheme } from "../../../ui/theme";
import { keyOf, type Swatch } from "./colours";
import { tilesOf } from "./painter";

/** Entries that are shown before somebody asks for all. */
const SHOWN = 12;
/** Side of a swatch in CSS pixels. */
const SIDE = 18;

interface Props {
  legend: readonly Swatch[];
  /** The place of the one that is looked for, -1 for none. */
  only: number;
  onOnly: (swatch: Swatch | null) => void;
}

export function Legend({ legend, only, onOnly }: Props) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? legend : legend.slice(0, SHOWN);
  return (
    <ul className="legend">
      {shown.map((swatch, row) => (
        <li key={keyOf(swatch)}>
          <button
            type="button"
            className="legend-entry"
            aria-pressed={row === only}
            title={row === only ? "Show all" : `Show only: ${swatch.name}`}
            onClick={() => onOnly(row === only ? null : swatch)}
          >
            <Mark swatch={swatch} />
            {swatch.name}
          </button>
        </li>
      ))}
      {legend.length > SHOWN && (
        <li>
          <Button kind="quiet" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Show fewer" : `${legend.length - SHOWN} more`}
          </Button>
        </li>
      )}
    </ul>
  );
}

/** The same pixels that the map has. */
function Mark({ swatch }: { swatch: Swatch }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { scheme } = useTheme();
  // biome-ignore lint/correctness/useExhaustiveDependencies: colours follow the scheme
  useEffect(() => {
    const node = canvas.current;
    const context = node?.getContext("2d");
    const tile = tilesOf([swatch], -1)[0];
    if (!node || !context || !tile) return;
    const side = Math.round(SIDE * devicePixelRatio);
    [node.width, node.height] = [side, side];
    const image = context.createImageData(side, side);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.forEach((_, at) => {
      const [x, y] = [at % side, Math.floor(at / side)];
      pixels[at] = tile.pixels[(y % tile.size) * tile.size + (x % tile.size)] ?? 0;
    });
    context.putImageData(image, 0, 0);
  }, [swatch.token, swatch.over, swatch.pattern, scheme]);
  return <canvas ref={canvas} className="swatch" aria-hidden />;
}
