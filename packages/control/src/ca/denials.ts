// Identities that were taken away: by the operator, kept in the store, or by the mesh file. They get no certificate and no token; their
// connections to the control plane are closed, and all data planes are told to close theirs.
import { controlPlaneId, formatSpiffeId, parseSpiffeId, serviceKey } from '@heddle/core';
import type { SpiffeId } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import type { EventSink } from '../events/sink.ts';
import { RegistryError } from '../registry/errors.ts';
import type { Store } from '../registry/store.ts';

const KEY_PREFIX = 'denied-identities/';
/** Every data plane holds them all, and looks at each certificate it meets. */
const DENIED_MAX = 10_000;
const REASON_CHARS_MAX = 200;

export interface DeniedIdentity {
  readonly id: string;
  /** One line for people; may be empty. */
  readonly reason: string;
  /** Unix time; 0: it stands in the mesh file. */
  readonly sinceMs: number;
  readonly by: 'operator' | 'mesh file';
}

export interface DenialsOptions {
  readonly store: Store;
  readonly trustDomain: string;
  /** What the mesh file denies, as it is now. */
  readonly configured: () => readonly string[];
  readonly events: EventSink;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly logger: Logger;
}

/** Rejects with StoreError. */
export async function openDenials(options: DenialsOptions): Promise<Denials> {
  const { entries } = await options.store.list(KEY_PREFIX);
  return new Denials(
    options,
    entries.map(({ value }) => JSON.parse(value) as Omit<DeniedIdentity, 'by'>),
  );
}

export class Denials {
  readonly #options: DenialsOptions;
  readonly #stored = new Map<string, DeniedIdentity>();
  readonly #listeners = new Set<() => void>();
  #configured: ReadonlySet<string> = new Set();
  #configuredFrom: readonly string[] | undefined;

  constructor(options: DenialsOptions, stored: readonly Omit<DeniedIdentity, 'by'>[]) {
    this.#options = options;
    for (const denied of stored) this.#stored.set(denied.id, { ...denied, by: 'operator' });
  }

  /** Those that the operator denied, beside the mesh file's; sorted. */
  get stored(): readonly string[] {
    return [...this.#stored.keys()].sort();
  }

  /** Sorted by id. */
  list(): readonly DeniedIdentity[] {
    const ofFile = [...this.#ofFile()].filter((id) => !this.#stored.has(id));
    const all = [...this.#stored.values(), ...ofFile.map((id): DeniedIdentity => ({ id, reason: '', sinceMs: 0, by: 'mesh file' }))];
    return all.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  isDenied(uri: string): boolean {
    return this.#stored.has(uri) || this.#ofFile().has(uri);
  }

  /** Completes "<id> …"; undefined: it is not denied. */
  reasonFor(identity: SpiffeId): string | undefined {
    const uri = formatSpiffeId(identity);
    const reason = this.#stored.get(uri)?.reason ?? '';
    if (!this.isDenied(uri)) return undefined;
    return `is denied in this mesh${reason === '' ? '' : ` (${reason})`}: \`heddle identity allow\` would take that back`;
  }

  /** Called when the operator's have changed. */
  onChange(listener: () => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  /** False: it was denied already. Rejects with RegistryError (INVALID, LIMIT), StoreError. */
  async deny(uri: string, reason: string): Promise<boolean> {
    const { store, clock, events, logger } = this.#options;
    const identity = this.#read(uri);
    const before = this.#stored.get(uri);
    if (before === undefined && this.#stored.size >= DENIED_MAX)
      throw new RegistryError(
        'LIMIT',
        `${DENIED_MAX} identities are denied already, the limit; allow those whose certificates have ended long ago`,
      );
    const line = cleanReason(reason);
    const denied: DeniedIdentity = { id: uri, reason: line, sinceMs: before?.sinceMs ?? Math.floor(clock.wallMs()), by: 'operator' };
    const value = JSON.stringify({ id: denied.id, reason: denied.reason, sinceMs: denied.sinceMs });
    await store.transact({ conditions: [], operations: [{ kind: 'put', key: keyOf(identity), value }] });
    this.#stored.set(uri, denied);
    if (before !== undefined) return false;
    const message = `gets no certificates any more, and its connections are closed${line === '' ? '' : `: ${line}`}`;
    logger.warn({ identity: uri, reason: line }, 'identity denied');
    events.record('identity-denied', serviceKey(identity), message);
    this.#tell();
    return true;
  }

  /** False: it was not denied. Rejects with RegistryError (INVALID, CONFLICT where the mesh file denies it), StoreError. */
  async allow(uri: string): Promise<boolean> {
    const { store, events, logger } = this.#options;
    const identity = this.#read(uri);
    const isStored = this.#stored.has(uri);
    if (isStored) {
      await store.transact({ conditions: [], operations: [{ kind: 'delete', key: keyOf(identity) }] });
      this.#stored.delete(uri);
    }
    if (this.#ofFile().has(uri)) {
      this.#tell();
      throw new RegistryError('INVALID', `${uri} is denied by the mesh file (security.deny); take it out there`);
    }
    if (!isStored) return false;
    logger.info({ identity: uri }, 'identity allowed again');
    events.record('identity-allowed', serviceKey(identity), 'may have certificates again');
    this.#tell();
    return true;
  }

  #read(uri: string): SpiffeId {
    const { trustDomain } = this.#options;
    const identity = parseSpiffeId(uri);
    if (identity === undefined)
      throw new RegistryError('INVALID', `${JSON.stringify(uri)} is not of the form spiffe://<trust domain>/ns/<namespace>/svc/<service>`);
    if (identity.trustDomain !== trustDomain)
      throw new RegistryError(
        'INVALID',
        `${uri} is of trust domain ${identity.trustDomain}, and this mesh is of ${trustDomain}: it is no identity of this mesh`,
      );
    if (uri === formatSpiffeId(controlPlaneId(trustDomain)))
      throw new RegistryError(
        'INVALID',
        `${uri} is the control plane itself; to take away what it has signed with, replace the root: \`heddle ca rotate\``,
      );
    return identity;
  }

  #ofFile(): ReadonlySet<string> {
    const configured = this.#options.configured();
    if (configured !== this.#configuredFrom) {
      this.#configuredFrom = configured;
      this.#configured = new Set(configured);
    }
    return this.#configured;
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function keyOf({ namespace, name }: SpiffeId): string {
  return `${KEY_PREFIX}${namespace}/${name}`;
}

/** Ends up on terminals and in logs: one line. */
function cleanReason(reason: string): string {
  return reason
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, REASON_CHARS_MAX);
}
