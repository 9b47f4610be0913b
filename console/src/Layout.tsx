/** The frame around every page: menu by role, who is signed in, light or dark, live or not. */
import { Dialog } from "@base-ui/react/dialog";
import { Menu as MenuIcon, Moon, Sun, Wifi, WifiOff, X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { useLive } from "./api/live";
import { signOut, useMe } from "./api/session";
import { AREAS } from "./areas";
import { Button } from "./ui/basics";
import { words } from "./ui/format";
import { useTheme } from "./ui/theme";

/** Areas that the signed-in role may use. */
export function useAreas() {
  const { role } = useMe();
  return AREAS.filter((area) => area.roles.includes(role));
}

export function Layout({ children }: { children: ReactNode }) {
  const [isOpen, setOpen] = useState(false);
  const [location] = useLocation();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page begins at its top
  useEffect(() => {
    setOpen(false);
    if (first.current) first.current = false;
    else {
      window.scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
  }, [location]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="top">
        <Dialog.Root open={isOpen} onOpenChange={setOpen}>
          <Dialog.Trigger className="button quiet menu-button" aria-label="Menu">
            <MenuIcon aria-hidden size={20} />
          </Dialog.Trigger>
          <Dialog.Portal>
            <Dialog.Backdrop className="backdrop" />
            <Dialog.Popup className="drawer">
              <Dialog.Title className="hidden">Menu</Dialog.Title>
              <Dialog.Close className="button quiet dialog-close" aria-label="Close the menu">
                <X aria-hidden size={18} />
              </Dialog.Close>
              <Navigation />
            </Dialog.Popup>
          </Dialog.Portal>
        </Dialog.Root>
        <Link href="/clusters" className="brand">
          <img src="/icon.svg" alt="" width={24} height={24} />
          Gigawatt
        </Link>
        <span className="grow" />
        <LiveMark />
        <ThemeButton />
        <WhoIsIn />
      </header>
      <aside className="side">
        <Navigation />
      </aside>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function Navigation() {
  const [location] = useLocation();
  const areas = useAreas();
  return (
    <nav aria-label="Pages">
      {areas.map((area) => (
        <div key={area.name} className="nav-area">
          <p className="nav-name">{area.name}</p>
          <ul>
            {area.pages.map(
              ({ path, menu }) =>
                menu && (
                  <li key={path}>
                    <Link
                      href={path}
                      className="nav-link"
                      aria-current={isWithin(location, path) ? "page" : undefined}
                    >
                      <menu.icon aria-hidden size={18} />
                      {menu.label}
                    </Link>
                  </li>
                ),
            )}
          </ul>
        </div>
      ))}
    </nav>
  );
}

function isWithin(location: string, path: string): boolean {
  return location === path || location.startsWith(`${path}/`);
}

function LiveMark() {
  const state = useLive();
  if (state === "ended") return null;
  const isLive = state === "live";
  const Icon = isLive ? Wifi : WifiOff;
  return (
    <span className={`live-mark ${state}`} role="status">
      <Icon aria-hidden size={16} />
      <span className="wide-only">
        {isLive ? "Live" : state === "connecting" ? "Connecting" : "Connecting again"}
      </span>
    </span>
  );
}

function ThemeButton() {
  const { scheme, choose } = useTheme();
  const next = scheme === "dark" ? "light" : "dark";
  const Icon = next === "light" ? Sun : Moon;
  return (
    <Button kind="quiet" aria-label={`Use ${next} colours`} onClick={() => choose(next)}>
      <Icon aria-hidden size={18} />
    </Button>
  );
}

function WhoIsIn() {
  const me = useMe();
  return (
    <span className="who">
      <Link href="/sessions" className="wide-only who-name">
        {me.name} <span className="faint">{words(me.role)}</span>
      </Link>
      <Button kind="plain" onClick={() => void signOut()}>
        Sign out
      </Button>
    </span>
  );
}
