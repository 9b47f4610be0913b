/** Values that are used only when they have stopped changing. */
import { useEffect, useState } from "react";

const PAUSE_MS = 400;

/** A value after it has stayed the same for a while. */
export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
