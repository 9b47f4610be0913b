/** Wheel, drag and pinch on the map, as changes of what is looked at. */
import { type PointerEvent, type RefObject, useEffect, useRef } from "react";
import type { View } from "./painter";

export interface Gestures {
  /** Zoom by a factor, so that this point of the plan stays where it is. */
  onZoom: (factor: number, at: { x: number; y: number }) => void;
  /** Move by so much of the plan. */
  onMove: (dx: number, dy: number) => void;
  /** A point was pressed and nothing else happened. */
  onPress: (at: { x: number; y: number }) => void;
}

/** Pixels that a finger trembles. */
const STILL_PX = 5;
/** A wheel's notch is 100 to 120 pixels: then this is a zoom by a quarter. */
const PER_WHEEL_PX = 500;

interface Finger {
  x: number;
  y: number;
}

/**
 * Handlers for the canvas. The wheel zooms where the map has the keys, is near already, or Ctrl is
 * held (which is also how a trackpad says that it is pinched); else the page scrolls.
 */
export function useGestures(
  canvas: RefObject<HTMLCanvasElement | null>,
  view: RefObject<View>,
  isNear: boolean,
  gestures: Gestures,
) {
  const fingers = useRef(new Map<number, Finger>());
  const isPress = useRef(false);
  const latest = useRef({ gestures, isNear });
  latest.current = { gestures, isNear };
  const planAt = (clientX: number, clientY: number): { x: number; y: number } => {
    const box = canvas.current?.getBoundingClientRect();
    const ratio = window.devicePixelRatio / view.current.scale;
    return {
      x: view.current.x + (clientX - (box?.left ?? 0)) * ratio,
      y: view.current.y + (clientY - (box?.top ?? 0)) * ratio,
    };
  };

  // React's own handler for the wheel cannot keep the page from scrolling.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what it reads lies in references
  useEffect(() => {
    const node = canvas.current;
    const onWheel = (event: WheelEvent): void => {
      const hasKeys = node?.parentElement?.contains(document.activeElement) ?? false;
      const wants = event.ctrlKey || event.metaKey || hasKeys || latest.current.isNear;
      if (!wants || (event.deltaY > 0 && !latest.current.isNear && !event.ctrlKey)) return;
      event.preventDefault();
      const px = event.deltaMode === 1 ? 30 * event.deltaY : event.deltaY;
      const pinch = event.ctrlKey && Math.abs(px) < 50 ? 8 : 1;
      const factor = Math.exp((-px * pinch) / PER_WHEEL_PX);
      latest.current.gestures.onZoom(factor, planAt(event.clientX, event.clientY));
    };
    node?.addEventListener("wheel", onWheel, { passive: false });
    return () => node?.removeEventListener("wheel", onWheel);
  }, []);

  const onPointerDown = (event: PointerEvent<HTMLCanvasElement>): void => {
    fingers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
    isPress.current = fingers.current.size === 1;
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onPointerMove = (event: PointerEvent<HTMLCanvasElement>): void => {
    const before = fingers.current.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const way = Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    if (isPress.current && way < STILL_PX) return;
    isPress.current = false;
    const other = [...fingers.current].find(([id]) => id !== event.pointerId)?.[1];
    fingers.current.set(event.pointerId, now);
    const ratio = window.devicePixelRatio / view.current.scale;
    const share = other ? 0.5 : 1;
    gestures.onMove((before.x - now.x) * ratio * share, (before.y - now.y) * ratio * share);
    if (other) {
      const factor = distance(other, now) / Math.max(1, distance(other, before));
      gestures.onZoom(factor, planAt((other.x + now.x) / 2, (other.y + now.y) / 2));
    }
  };
  const end = (event: PointerEvent<HTMLCanvasElement>): void => {
    fingers.current.delete(event.pointerId);
  };
  const onPointerUp = (event: PointerEvent<HTMLCanvasElement>): void => {
    end(event);
    if (isPress.current) gestures.onPress(planAt(event.clientX, event.clientY));
    isPress.current = false;
  };
  const onDoubleClick = (event: { clientX: number; clientY: number }): void =>
    gestures.onZoom(2, planAt(event.clientX, event.clientY));
  return { onPointerDown, onPointerMove, onPointerUp, onPointerCancel: end, onDoubleClick };
}

function distance(a: Finger, b: Finger): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
