// Routes that data planes of a flavour cannot follow, for people: each is told once per reason, not with each encoding, and again only after it
// could be followed in between. A route may stand in several resources, which all say the same of it.
import type { RefusedRoute } from '@heddle/api';
import type { DataPlaneFlavour } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { EventSink } from '../events/sink.ts';

/** Resources of instances that are gone stay noted until so many others are; one costs some 100 bytes a route. */
const RESOURCES_MAX = 10_000;

/** Ours follow everything. */
export type ForeignFlavour = Exclude<DataPlaneFlavour, 'heddle'>;

/** Who cannot, and what becomes of the requests. */
const WORDS: Readonly<Record<ForeignFlavour, readonly [who: string, answer: string]>> = {
  envoy: ['Envoy', 'the requests that it is for are answered NOT_IMPLEMENTED (501) there'],
  grpc: ['a gRPC client', 'the calls that it is for fail with UNIMPLEMENTED there'],
};

export interface RefusedRoutesOptions {
  readonly events: EventSink;
  readonly logger: Logger;
}

export class RefusedRoutes {
  readonly #options: RefusedRoutesOptions;
  /** What was refused of each resource when it was encoded last. */
  readonly #byResource = new Map<string, readonly string[]>();
  /** In how many resources the same is refused. */
  readonly #counts = new Map<string, number>();

  constructor(options: RefusedRoutesOptions) {
    this.#options = options;
  }

  /** All that was refused of a resource now, in place of what was before; nothing, when the resource is gone. */
  replace(flavour: ForeignFlavour, resource: string, refused: readonly RefusedRoute[]): void {
    const name = `${flavour} ${resource}`;
    const old = this.#byResource.get(name);
    if (old === undefined && refused.length === 0) return;
    const keys = refused.map((route) => this.#add(flavour, route));
    for (const key of old ?? []) this.#drop(key);
    this.#byResource.delete(name);
    if (keys.length === 0) return;
    this.#byResource.set(name, keys);
    const [oldest, forgotten] = this.#byResource.size > RESOURCES_MAX ? (this.#byResource.entries().next().value ?? []) : [];
    if (oldest === undefined) return;
    this.#byResource.delete(oldest);
    for (const key of forgotten ?? []) this.#drop(key);
  }

  #add(flavour: ForeignFlavour, route: RefusedRoute): string {
    const { kind, virtualHost, name, reason } = route;
    const key = JSON.stringify([flavour, kind, virtualHost, name, reason]);
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    if (count === 0) this.#tell(flavour, route);
    return key;
  }

  #drop(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  #tell(flavour: ForeignFlavour, { kind, virtualHost, name, reason }: RefusedRoute): void {
    const { events, logger } = this.#options;
    const [who, answer] = WORDS[flavour];
    // Virtual hosts are called as the service is, or the instance, behind the way that they are for.
    const subject = virtualHost.replace(/^(?:in|out)bound\//, '');
    const what = kind === 'route' ? `the route ${JSON.stringify(name)}` : name;
    events.record('route-refused', subject, `${who} cannot follow ${what}: ${reason}${kind === 'route' ? `; ${answer}` : ''}`);
    logger.warn({ flavour, subject, [kind]: name, reason }, `a ${kind} cannot be followed by data planes of this kind`);
  }
}
