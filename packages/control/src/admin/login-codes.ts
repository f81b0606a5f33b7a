// Codes with which a browser logs in once: made for the operator, who hands them over in a link, and exchanged for a named token that ends by
// itself. They are in memory alone: a control plane that starts again knows none of those before.
import type { Clock, Random } from '@heddle/runtime';
import { sha256 } from '@heddle/runtime/node';
import { RegistryError } from '../registry/errors.ts';
import type { Doer } from '../audit/entry.ts';
import { ROLES, type Role } from '../server/caller.ts';

export const LOGIN_CODE_TTL_MS = 600_000;
/** Of the token that a code is exchanged for. */
export const LOGIN_TTL_MS = 12 * 3_600_000;
const CODE_BYTES = 24;
/** Each start of a mesh and each `heddle dashboard` makes one. */
const CODES_MAX = 100;

export interface Login {
  readonly role: Role;
  /** Who made the code. */
  readonly maker: Doer['caller'];
  /** Of the token to be made. */
  readonly name: string;
}

export interface LoginCode {
  readonly code: string;
  readonly role: Role;
  /** Unix time. */
  readonly notAfterMs: number;
}

export class LoginCodes {
  readonly #clock: Clock;
  readonly #random: Random;
  /** By the SHA-256 of the code, so that how long a look-up takes tells nothing of it. */
  readonly #open = new Map<string, Login & { readonly notAfterMs: number }>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Throws RegistryError INVALID, LIMIT. */
  create(wanted: string, maker: Doer['caller']): LoginCode {
    const role = ROLES.find((known) => known === wanted);
    if (role === undefined)
      throw new RegistryError('INVALID', `role: ${JSON.stringify(wanted.slice(0, 50))} is none; there are ${ROLES.join(', ')}`);
    const nowMs = Math.floor(this.#clock.wallMs());
    for (const [key, { notAfterMs }] of this.#open) if (notAfterMs <= nowMs) this.#open.delete(key);
    if (this.#open.size >= CODES_MAX)
      throw new RegistryError('LIMIT', `${CODES_MAX} logins are open; each ends by itself after 10 minutes`);
    const code = Buffer.from(this.#random.bytes(CODE_BYTES)).toString('base64url');
    const name = `dashboard-${Buffer.from(this.#random.bytes(4)).toString('hex')}`;
    const notAfterMs = nowMs + LOGIN_CODE_TTL_MS;
    this.#open.set(keyOf(code), { role, maker, name, notAfterMs });
    return { code, role, notAfterMs };
  }

  /** What the code stands for, once; undefined: nothing, or nothing any more. */
  take(code: string): Login | undefined {
    const key = keyOf(code);
    const found = this.#open.get(key);
    this.#open.delete(key);
    return found !== undefined && found.notAfterMs > this.#clock.wallMs() ? found : undefined;
  }
}

function keyOf(code: string): string {
  return Buffer.from(sha256(code)).toString('base64url');
}
