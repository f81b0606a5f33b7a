// Administrators who log in at an issuer outside the mesh (OpenID Connect): a token that it has signed for this control plane, and the claim in it
// that says which role its bearer has. Keys are kept and asked for again; signatures are checked by `jose`.
import {
  checkTokenClaims,
  checkTokenHeader,
  claimAt,
  keysFor,
  mayAskForUnknownKey,
  memberOf,
  nextTryMs,
  parseKeySet,
  readTokenForm,
  tokenEndMs,
} from '@heddle/core';
import type { JsonObject, KeySet, PublicKey, TokenAlgorithm } from '@heddle/core';
import type { Clock, Logger } from '@heddle/runtime';
import { sha256 } from '@heddle/runtime/node';
import type { Logins as LoginsPort } from '../server/authenticator.ts';
import { ROLES } from '../server/caller.ts';
import type { CallerResult, Role } from '../server/caller.ts';
import { addressProblem, fetchJson } from '../server/fetch-json.ts';

export interface LoginOptions {
  /** `iss` of its tokens; its keys are found by OpenID Connect Discovery. */
  readonly issuer: string;
  /** What must be in `aud`: a token for somebody else is not for us. */
  readonly audience: string;
  /** Where its roles are. Default: `['roles']`. */
  readonly roleClaim?: readonly string[];
  /** What the claim says, and which role that is. Default: `heddle-viewer`, `heddle-editor`, `heddle-operator`. */
  readonly roles?: Readonly<Record<string, Role>>;
  /** Authorities that the issuer's server is trusted by, besides those of the platform. */
  readonly rootsPem?: string;
}

const DEFAULT_ROLES: Readonly<Record<string, Role>> = {
  'heddle-viewer': 'viewer',
  'heddle-editor': 'editor',
  'heddle-operator': 'operator',
};
const ALGORITHMS: readonly TokenAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const SKEW_MS = 60_000;
const TOKEN_CHARS_MAX = 8_192;
/** Keys are asked for again after this; the last ones stay in use while nobody answers. */
const KEYS_MAX_AGE_MS = 600_000;
/** Tokens whose signature was found right; the oldest are forgotten. */
const REMEMBERED_MAX = 1_000;
/** OpenID Connect Core 1.0 §2: a subject has at most 255. Names are for people. */
const SUBJECT_CHARS_MAX = 255;
const NAME_CHARS_MAX = 64;

interface Remembered {
  readonly result: CallerResult;
  readonly endMs: number;
}

export class Logins implements LoginsPort {
  readonly #options: LoginOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #keys: KeySet | undefined;
  #keysAtMs = -Infinity;
  #unknownAtMs: number | undefined;
  #asking: Promise<void> | undefined;
  #failures = 0;
  #failure: Error | undefined;
  #tryMs = -Infinity;
  readonly #remembered = new Map<string, Remembered>();

  constructor(options: LoginOptions, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
  }

  isMeant(token: string): boolean {
    return readTokenForm(token, TOKEN_CHARS_MAX).kind === 'signed';
  }

  async check(token: string): Promise<CallerResult> {
    const hash = Buffer.from(sha256(token)).toString('base64url');
    const known = this.#remembered.get(hash);
    if (known !== undefined && this.#clock.wallMs() < known.endMs) {
      // Its key may have been taken back.
      this.#refresh();
      return known.result;
    }
    this.#remembered.delete(hash);
    try {
      return await this.#checkAnew(token, hash);
    } catch (error) {
      this.#logger.warn({ issuer: this.#options.issuer, error: (error as Error).message }, 'a login cannot be checked');
      return refused('the login cannot be checked now: the keys of its issuer cannot be had');
    }
  }

  async #checkAnew(token: string, hash: string): Promise<CallerResult> {
    const form = readTokenForm(token, TOKEN_CHARS_MAX);
    if (form.kind !== 'signed') return refused('the token is damaged');
    const { header, claims } = form.token;
    const { issuer, audience } = this.#options;
    const terms = { issuer, audiences: [audience], skewMs: SKEW_MS };
    const wrong = checkTokenHeader(header, { algorithms: ALGORITHMS }) ?? checkTokenClaims(claims, terms, this.#clock.wallMs());
    if (wrong !== undefined) return refused(`the login is not valid: ${wrong}`);
    if (!(await this.#isSigned(token, header))) return refused('the login is not valid: its issuer has not signed it');
    const result = this.#callerOf(claims);
    if (result.ok) this.#remember(hash, { result, endMs: tokenEndMs(claims, SKEW_MS) });
    return result;
  }

  async #isSigned(token: string, header: JsonObject): Promise<boolean> {
    const nowMs = this.#clock.nowMs();
    if (this.#keys === undefined) await this.#ask();
    else this.#refresh();
    let keys = this.#keys === undefined ? [] : keysFor(this.#keys, header);
    if (keys.length === 0 && mayAskForUnknownKey(this.#unknownAtMs, nowMs)) {
      this.#unknownAtMs = nowMs;
      await this.#ask();
      keys = this.#keys === undefined ? [] : keysFor(this.#keys, header);
    }
    for (const key of keys) if (await verifies(token, key, header)) return true;
    return false;
  }

  /** Keys that are old are asked for, while they stay in use. */
  #refresh(): void {
    if (this.#clock.nowMs() - this.#keysAtMs > KEYS_MAX_AGE_MS) void this.#ask().catch(() => {});
  }

  /** One question at a time, and after one that failed a pause: anybody can send something that looks like a login. */
  #ask(): Promise<void> {
    if (this.#asking === undefined && this.#clock.nowMs() < this.#tryMs) return Promise.reject(this.#failure!);
    this.#asking ??= this.#askNow().then(
      () => {
        this.#asking = undefined;
        this.#failures = 0;
      },
      (error: Error) => {
        this.#asking = undefined;
        this.#failures += 1;
        this.#failure = error;
        // One process asks alone: there is nothing to spread.
        this.#tryMs = nextTryMs(this.#clock.nowMs(), this.#failures, () => 0.5);
        throw error;
      },
    );
    return this.#asking;
  }

  async #askNow(): Promise<void> {
    // Also when it fails: the next attempt is then as far away.
    this.#keysAtMs = this.#clock.nowMs();
    const { issuer, rootsPem } = this.#options;
    const options = { clock: this.#clock, ...(rootsPem !== undefined && { rootsPem: await allRoots(rootsPem) }) };
    const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const document = (await fetchJson(place, options)) as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
    // OpenID Connect Discovery 1.0 §4.3.
    if (document?.issuer !== issuer) throw new Error(`${place} is of another issuer`);
    if (typeof document.jwks_uri !== 'string') throw new Error(`${place} names no jwks_uri`);
    const problem = addressProblem(document.jwks_uri, issuer);
    if (problem !== undefined) throw new Error(`${place} leads to ${document.jwks_uri}, which ${problem}`);
    const keys = parseKeySet(JSON.stringify(await fetchJson(document.jwks_uri, options)));
    if (typeof keys === 'string') throw new Error(`${document.jwks_uri}: ${keys}`);
    const texts = new Set(keys.keys.map(({ text }) => text));
    if (this.#keys?.keys.some(({ text }) => !texts.has(text)) === true) this.#remembered.clear();
    this.#keys = keys;
  }

  #callerOf(claims: JsonObject): CallerResult {
    const { issuer, roleClaim = ['roles'], roles = DEFAULT_ROLES } = this.#options;
    const claimed = claimAt(claims, roleClaim);
    const values = Array.isArray(claimed) ? (claimed as unknown[]) : typeof claimed === 'string' ? claimed.split(' ') : [];
    const held = values.flatMap((value) => (typeof value === 'string' && Object.hasOwn(roles, value) ? [roles[value]!] : []));
    const role = ROLES.findLast((one) => held.includes(one));
    const subject = memberOf(claims, 'sub');
    if (typeof subject !== 'string' || subject === '') return refused('the login is not valid: it names nobody ("sub")');
    const name = memberOf(claims, 'preferred_username') ?? memberOf(claims, 'email');
    const id = shown(subject, SUBJECT_CHARS_MAX);
    // People choose their names themselves: they must not look like what follows.
    const called = typeof name === 'string' ? shown(name.replaceAll(/[()]/g, ''), NAME_CHARS_MAX) : '';
    const who = `login ${called === '' ? id : `${called} (${id})`} at ${issuer}`;
    if (role === undefined)
      return refused(`${who} has no role here: its claim ${roleClaim.join('.')} holds none of ${Object.keys(roles).join(', ')}`);
    return { ok: true, caller: { kind: 'administrator', role, id: undefined, uri: who } };
  }

  #remember(hash: string, remembered: Remembered): void {
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.delete(this.#remembered.keys().next().value ?? '');
    this.#remembered.set(hash, remembered);
  }
}

/** In one line, and no longer than it may be. */
function shown(text: string, charsMax: number): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, '')
    .trim();
  return line.length <= charsMax ? line : `${line.slice(0, charsMax - 1).toWellFormed()}…`;
}

function refused(reason: string): CallerResult {
  return { ok: false, reason };
}

async function verifies(token: string, { jwk }: PublicKey, header: JsonObject): Promise<boolean> {
  const { compactVerify, importJWK } = await import('jose');
  const alg = memberOf(header, 'alg') as string;
  try {
    await compactVerify(token, await importJWK(jwk, alg), { algorithms: [alg] });
    return true;
  } catch {
    return false;
  }
}

async function allRoots(rootsPem: string): Promise<string[]> {
  const { getCACertificates } = await import('node:tls');
  return [...getCACertificates('default'), rootsPem];
}
