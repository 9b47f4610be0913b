/** Server-sent events: read with fetch, resumed after the last one, tried again with patience. */
import { createParser } from "eventsource-parser";
import { useEffect, useRef, useState } from "react";
import { useMe } from "./session";

/** live: connected; waiting: will try again; ended: the server has no more to say. */
export type StreamState = "connecting" | "live" | "waiting" | "ended";

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 30_000;

type Listener = (data: unknown, kind: string) => boolean | undefined;

/**
 * Follow a stream while the page is seen. `listen` returns true when it wants no more.
 * A hidden page holds no connection: browsers allow six to one host. A new session begins anew.
 */
export function useStream(path: string | null, listen: Listener): StreamState {
  const [state, setState] = useState<StreamState>("connecting");
  const latest = useRef(listen);
  latest.current = listen;
  const session = useMe().key_id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the stream of an ended session is over
  useEffect(() => {
    if (path === null) return;
    const follower = new Follower(path, (data, kind) => latest.current(data, kind), setState);
    return () => follower.stop();
  }, [path, session]);
  return state;
}

class Follower {
  private lastId = "";
  private pauseMs = PAUSE_MS_MIN;
  private abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isOver = false;

  constructor(
    private readonly path: string,
    private readonly listen: Listener,
    private readonly tell: (state: StreamState) => void,
  ) {
    document.addEventListener("visibilitychange", this.onVisibility);
    void this.run();
  }

  stop(): void {
    this.isOver = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearTimeout(this.timer);
    this.abort.abort();
  }

  private readonly onVisibility = (): void => {
    this.abort.abort();
    clearTimeout(this.timer);
    this.abort = new AbortController();
    if (!document.hidden && !this.isOver) void this.run();
  };

  private async run(): Promise<void> {
    if (document.hidden) return;
    const { signal } = this.abort;
    this.tell("connecting");
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (this.lastId) headers["Last-Event-ID"] = this.lastId;
      const response = await fetch(this.path, { headers, signal, credentials: "same-origin" });
      if (response.status === 401 || response.status === 403 || response.status === 404) {
        this.end();
        return;
      }
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      this.tell("live");
      this.pauseMs = PAUSE_MS_MIN;
      await this.read(response.body);
    } catch {
      if (signal.aborted) return;
    }
    if (!this.isOver && !signal.aborted) this.tryLater();
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream() as never).getReader();
    const parser = createParser({
      onEvent: (event) => {
        if (event.id) this.lastId = event.id;
        if (this.listen(JSON.parse(event.data), event.event ?? "message")) this.end();
      },
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.isOver) return;
      parser.feed(value as unknown as string);
    }
  }

  private tryLater(): void {
    this.tell("waiting");
    this.timer = setTimeout(() => void this.run(), this.pauseMs * (0.5 + Math.random()));
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MS_MAX);
  }

  private end(): void {
    this.stop();
    this.tell("ended");
  }
}
