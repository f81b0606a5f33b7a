// Tokens of those who administer the mesh: each with a name, a role and an end. The store knows the SHA-256 of the secret only; what it holds is
// followed, so that a token which is revoked at one control plane is refused by all.
import type { Clock, Logger, Random, Timer } from '@heddle/runtime';
import { equalInConstantTime, sha256 } from '@heddle/runtime/node';
import { RegistryError } from '../registry/errors.ts';
import type { Store, StoreEvent, StoreWatch } from '../registry/store.ts';
import { ROLES } from '../server/caller.ts';
import type { NamedTokens, Role } from '../server/caller.ts';

export const ADMIN_TOKEN_TTL_MS = 30 * 86_400_000;
export const ADMIN_TOKEN_TTL_MIN_MS = 60_000;
export const ADMIN_TOKEN_TTL_MAX_MS = 366 * 86_400_000;

export interface AdminToken {
  readonly name: string;
  readonly role: Role;
  /** Who made it. */
  readonly by: string;
  /** Unix time. */
  readonly createdMs: number;
  readonly notAfterMs: number;
}

interface Held extends AdminToken {
  readonly secretSha256: string;
}

export interface AdminTokensOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const PREFIX = 'admin-tokens/';
/** In front of every token, so that scanners for secrets can find one that lies where it should not. */
const FORM = /^heddle-admin\.([^.]{1,63})\.([A-Za-z0-9_-]{43})$/;
const NAME_FORM = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SECRET_BYTES = 32;
/** More than people and scripts together. */
const TOKENS_MAX = 1_000;
/** Ended tokens are shown for so long. */
const SWEEP_AFTER_MS = 7 * 86_400_000;
const FOLLOW_AGAIN_MS = 1_000;
/** Looked at in place of a token that is not there, so that time tells nothing. */
const NO_HASH = Buffer.alloc(32).toString('base64url');

/** Reads what there is and follows it. Rejects with StoreError. */
export async function openAdminTokens(options: AdminTokensOptions): Promise<AdminTokens> {
  const tokens = new AdminTokens(options);
  await tokens.follow();
  return tokens;
}

export class AdminTokens implements NamedTokens {
  readonly #options: AdminTokensOptions;
  #held = new Map<string, Held>();
  #watch: StoreWatch | undefined;
  #retry: Timer | undefined;
  #closed = false;

  constructor(options: AdminTokensOptions) {
    this.#options = options;
  }

  check(token: string, nowMs: number): { readonly name: string; readonly role: Role } | { readonly reason: string } | undefined {
    const [, name = '', secret = ''] = FORM.exec(token) ?? [];
    if (name === '') return undefined;
    const held = this.#held.get(name);
    const isRight = equalInConstantTime(sha256(Buffer.from(secret, 'base64url')), Buffer.from(held?.secretSha256 ?? NO_HASH, 'base64url'));
    if (held === undefined || !isRight) return { reason: 'this administrator token is not known; it was revoked, or it is damaged' };
    if (held.notAfterMs <= nowMs) return { reason: `the administrator token ${name} ended at ${new Date(held.notAfterMs).toISOString()}` };
    return { name, role: held.role };
  }

  /** Sorted by name; without their secrets. */
  list(): AdminToken[] {
    return [...this.#held.values()].map(withoutSecret).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws RegistryError: INVALID, LIMIT; StoreError. `ttlMs` 0: 30 days. */
  async create(wanted: {
    readonly name: string;
    readonly role: string;
    readonly ttlMs: number;
    readonly by: string;
  }): Promise<AdminToken & { readonly token: string }> {
    const { store, clock, random } = this.#options;
    const { name, by } = wanted;
    const role = ROLES.find((known) => known === wanted.role);
    if (role === undefined)
      throw new RegistryError('INVALID', `role: ${JSON.stringify(wanted.role.slice(0, 50))} is none; there are ${ROLES.join(', ')}`);
    if (!NAME_FORM.test(name))
      throw new RegistryError('INVALID', 'name: 1 to 63 lower-case letters, digits and "-", beginning and ending with a letter or digit');
    const ttlMs = wanted.ttlMs === 0 ? ADMIN_TOKEN_TTL_MS : wanted.ttlMs;
    if (!Number.isSafeInteger(ttlMs) || ttlMs < ADMIN_TOKEN_TTL_MIN_MS || ttlMs > ADMIN_TOKEN_TTL_MAX_MS)
      throw new RegistryError('INVALID', `ttl_ms: an administrator token lives from 1 minute to 366 days, not ${ttlMs} ms`);
    await this.#sweep();
    if (this.#held.size >= TOKENS_MAX) throw new RegistryError('LIMIT', `there are ${TOKENS_MAX} administrator tokens; revoke some first`);
    const nowMs = Math.floor(clock.wallMs());
    const secret = random.bytes(SECRET_BYTES);
    const made: AdminToken = { name, role, by, createdMs: nowMs, notAfterMs: nowMs + ttlMs };
    const value = JSON.stringify({ ...made, secretSha256: Buffer.from(sha256(secret)).toString('base64url') });
    const key = PREFIX + name;
    const old = await store.get(key);
    if (old !== undefined && (readHeld(old.value)?.notAfterMs ?? 0) > nowMs)
      throw new RegistryError('INVALID', `there is an administrator token ${name} already; revoke it first, or choose another name`);
    const { succeeded } = await store.transact({
      conditions: [{ key, modRevision: old?.modRevision ?? 0 }],
      operations: [{ kind: 'put', key, value }],
    });
    if (!succeeded) throw new RegistryError('INVALID', `somebody else has just made an administrator token ${name}; choose another name`);
    this.#set(key, value);
    return { ...made, token: `heddle-admin.${name}.${Buffer.from(secret).toString('base64url')}` };
  }

  /** The token that it was; undefined: there is none of the name. Throws StoreError. */
  async revoke(name: string): Promise<AdminToken | undefined> {
    const key = PREFIX + name;
    const entry = await this.#options.store.get(key);
    if (entry === undefined) return undefined;
    await this.#options.store.transact({ conditions: [], operations: [{ kind: 'delete', key }] });
    this.#set(key, undefined);
    const held = readHeld(entry.value);
    return held === undefined ? undefined : withoutSecret(held);
  }

  /** @internal Called once, by `openAdminTokens`. */
  async follow(): Promise<void> {
    const { store, logger } = this.#options;
    const { entries, revision } = await store.list(PREFIX);
    this.#held = new Map();
    for (const { key, value } of entries) this.#set(key, value);
    this.#watch = store.watch(
      PREFIX,
      revision + 1,
      (events) => {
        for (const event of events) this.#take(event);
      },
      (error) => {
        if (this.#closed || error.code === 'CLOSED') return;
        logger.warn({ error: error.message }, 'administrator tokens cannot be followed; reading them anew');
        this.#followLater();
      },
    );
  }

  #followLater(): void {
    this.#retry = this.#options.clock.after(FOLLOW_AGAIN_MS, () => {
      this.follow().catch(() => {
        if (!this.#closed) this.#followLater();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#retry?.cancel();
  }

  #take(event: StoreEvent): void {
    if (event.kind === 'put') this.#set(event.entry.key, event.entry.value);
    else this.#set(event.key, undefined);
  }

  /** What cannot be read is no token. */
  #set(key: string, value: string | undefined): void {
    const held = value === undefined ? undefined : readHeld(value);
    if (held === undefined) this.#held.delete(key.slice(PREFIX.length));
    else this.#held.set(held.name, held);
  }

  async #sweep(): Promise<void> {
    const beforeMs = this.#options.clock.wallMs() - SWEEP_AFTER_MS;
    for (const { name, notAfterMs } of this.#held.values()) if (notAfterMs < beforeMs) await this.revoke(name);
  }
}

function withoutSecret({ name, role, by, createdMs, notAfterMs }: Held): AdminToken {
  return { name, role, by, createdMs, notAfterMs };
}

function readHeld(text: string): Held | undefined {
  try {
    const { name, role, by, createdMs, notAfterMs, secretSha256 } = JSON.parse(text) as Held;
    const isToken =
      [name, by, secretSha256].every((part) => typeof part === 'string') &&
      ROLES.includes(role) &&
      Number.isSafeInteger(createdMs) &&
      Number.isSafeInteger(notAfterMs);
    return isToken ? { name, role, by, createdMs, notAfterMs, secretSha256 } : undefined;
  } catch {
    return undefined;
  }
}
