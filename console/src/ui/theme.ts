/** Light and dark: as the system says, unless the reader has chosen. */
import { useSyncExternalStore } from "react";

export type Choice = "system" | "light" | "dark";

const KEY = "gigawatt.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function chosen(): Choice {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

function scheme(): "light" | "dark" {
  const choice = chosen();
  return choice === "system" ? (dark.matches ? "dark" : "light") : choice;
}

/** Put the scheme on the page; before the first drawing, so that nothing flashes. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = scheme();
  for (const listener of listeners) listener();
}

dark.addEventListener("change", applyTheme);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What is chosen, what is shown, and how to choose. */
export function useTheme() {
  const shown = useSyncExternalStore(subscribe, scheme);
  const choose = (choice: Choice): void => {
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    applyTheme();
  };
  return { scheme: shown, choice: chosen(), choose };
}
