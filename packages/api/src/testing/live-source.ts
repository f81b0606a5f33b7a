// Snapshots told to a session change by change, as a control plane tells them: only what the session says it wants.
import { MAKE_ORDER } from '../xds/kinds.ts';
import type { OnSubscription, ResourceSource, Snapshot } from '../xds/server/index.ts';

interface FollowingSession<Response> {
  follow(source: ResourceSource, onSubscription: OnSubscription, nowMs: number): Response[];
  changed(kind: (typeof MAKE_ORDER)[number], name: string): void;
  flush(nowMs: number): Response[];
}

export class LiveSource<Response> {
  readonly #session: FollowingSession<Response>;
  readonly #wanted = new Set<string>();
  #snapshot: Snapshot;

  constructor(session: FollowingSession<Response>, snapshot: Snapshot) {
    this.#session = session;
    this.#snapshot = snapshot;
  }

  begin(nowMs: number): Response[] {
    const now = (): Snapshot => this.#snapshot;
    const source: ResourceSource = {
      get version() {
        return now().version;
      },
      get resources() {
        return now().resources;
      },
    };
    return this.#session.follow(
      source,
      (kind, name = '*', isWanted) => {
        const key = `${kind} ${name}`;
        if (isWanted === this.#wanted.has(key)) throw new Error(`${key} was said before`);
        if (isWanted) this.#wanted.add(key);
        else this.#wanted.delete(key);
      },
      nowMs,
    );
  }

  publish(snapshot: Snapshot, nowMs: number): Response[] {
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    for (const kind of MAKE_ORDER) {
      const [old, next] = [before.resources[kind], snapshot.resources[kind]];
      for (const name of new Set([...old.keys(), ...next.keys()])) {
        if (old.get(name)?.version === next.get(name)?.version) continue;
        if (this.#wanted.has(`${kind} ${name}`) || this.#wanted.has(`${kind} *`)) this.#session.changed(kind, name);
      }
    }
    return this.#session.flush(nowMs);
  }
}
