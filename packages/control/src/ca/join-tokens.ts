// Join tokens: made for one service, good once and for a while. The store knows the SHA-256 of the secret only; of two
// redemptions at the same moment exactly one wins, by the store's transaction. A used token is remembered until it expires.
import {
  DEFAULT_NAMESPACE,
  formatJoinToken,
  isSpiffeId,
  JOIN_SECRET_BYTES,
  type JoinToken,
  parseJoinToken,
  type SpiffeId,
  SYSTEM_NAMESPACE,
} from '@heddle/core';
import type { Clock, Random } from '@heddle/runtime';
import { equalInConstantTime, sha256 } from '@heddle/runtime/node';
import { type Store, type StoreEntry, StoreError } from '../registry/store.ts';
import type { Authority } from './authority-types.ts';

export const JOIN_TOKEN_TTL_MS = 60 * 60_000;
export const JOIN_TOKEN_TTL_MIN_MS = 1_000;
export const JOIN_TOKEN_TTL_MAX_MS = 7 * 24 * 60 * 60_000;
const KEY_PREFIX = 'join-tokens/';
const ID_BYTES = 9;
/** The store's lease runs on another clock than the expiry: the record outlives the token by this much. */
const SWEEP_DELAY_MS = 60_000;
/** Lost races in a row; each one means that somebody else changed the record, which happens once in its life. */
const RACES_MAX = 3;

export interface JoinTokensOptions {
  readonly store: Store;
  readonly trustDomain: string;
  /** The root that the control plane shows goes into every token; those made for another one of its roots are good as well. */
  readonly authority: Pick<Authority, 'pin' | 'pins'>;
  /** Why this identity is not given out; undefined when it is. Completes "<service> …". */
  readonly denial?: (identity: SpiffeId) => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

export interface CreateJoinToken {
  /** Default: `default`. */
  readonly namespace?: string;
  readonly service: string;
  /** Default 1 h; 1 s to 7 days. */
  readonly ttlMs?: number;
}

/** What was asked for cannot be had; the message says what can. gRPC: INVALID_ARGUMENT. */
export class JoinTokenRequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JoinTokenRequestError';
  }
}

export type RedeemErrorCode = 'malformed' | 'unknown' | 'used' | 'expired' | 'revoked' | 'denied' | 'old-root' | 'wrong-mesh';

export type RedeemResult =
  | { readonly ok: true; readonly identity: SpiffeId /** Of the root that the joiner trusts. */; readonly pin: string }
  | { readonly ok: false; readonly code: RedeemErrorCode /** A sentence for people, with the mend. */; readonly reason: string };

interface TokenRecord {
  readonly ns: string;
  readonly svc: string;
  readonly secretSha256: string;
  readonly notAfterMs: number;
  /** Absent in records of older releases. */
  readonly createdMs?: number;
  readonly pin?: string;
  readonly revokedMs?: number;
  readonly usedMs?: number;
  /** Pin of the key that the token was redeemed for. */
  readonly usedFor?: string;
}

/** `good`: it can be used. `old-root`: it was made for a root that is not in use any more. */
export type JoinTokenState = 'good' | 'used' | 'expired' | 'revoked' | 'old-root';

/** What is known of a token; its secret is not. */
export interface ListedToken {
  /** Not secret. */
  readonly id: string;
  readonly namespace: string;
  readonly service: string;
  readonly state: JoinTokenState;
  /** Unix time; 0: not known. */
  readonly createdMs: number;
  readonly notAfterMs: number;
  /** 0: not used. */
  readonly usedMs: number;
}

export class JoinTokens {
  readonly #options: JoinTokensOptions;

  constructor(options: JoinTokensOptions) {
    this.#options = options;
  }

  /** Rejects with JoinTokenRequestError, or StoreError when the token could not be stored. */
  async create(request: CreateJoinToken): Promise<{ token: string; notAfterMs: number }> {
    const { store, clock, random, authority, trustDomain, denial } = this.#options;
    const { pin } = authority;
    const namespace = request.namespace === undefined || request.namespace === '' ? DEFAULT_NAMESPACE : request.namespace;
    const { service } = request;
    const ttlMs = request.ttlMs ?? JOIN_TOKEN_TTL_MS;
    if (!isSpiffeId({ trustDomain, namespace, name: service })) {
      throw new JoinTokenRequestError(
        `${JSON.stringify(`${namespace}/${service}`)} is not the name of a service: use 1 to 63 letters, digits, ".", "_" or "-" for each part.`,
      );
    }
    if (namespace === SYSTEM_NAMESPACE && service === 'control')
      throw new JoinTokenRequestError('The identity of the control plane itself is not given to anyone else.');
    if (!Number.isSafeInteger(ttlMs) || ttlMs < JOIN_TOKEN_TTL_MIN_MS || ttlMs > JOIN_TOKEN_TTL_MAX_MS) {
      throw new JoinTokenRequestError(
        `A token can live from ${JOIN_TOKEN_TTL_MIN_MS} ms to ${JOIN_TOKEN_TTL_MAX_MS} ms (7 days); ${ttlMs} ms were asked for.`,
      );
    }
    const denied = denial?.({ trustDomain, namespace, name: service });
    if (denied !== undefined) throw new JoinTokenRequestError(`${namespace}/${service} ${denied}.`);
    const createdMs = Math.floor(clock.wallMs());
    const notAfterMs = createdMs + ttlMs;
    const secret = random.bytes(JOIN_SECRET_BYTES);
    const token: JoinToken = { id: idOf(random.bytes(ID_BYTES)), namespace, service, pin, notAfterMs, secret };
    const record: TokenRecord = {
      ns: namespace,
      svc: service,
      secretSha256: Buffer.from(sha256(secret)).toString('base64url'),
      notAfterMs,
      createdMs,
      pin,
    };
    const key = KEY_PREFIX + token.id;
    const lease = await store.grantLease(ttlMs + SWEEP_DELAY_MS);
    const { succeeded } = await store.transact({
      conditions: [{ key, modRevision: 0 }],
      operations: [{ kind: 'put', key, value: JSON.stringify(record), lease }],
    });
    if (!succeeded) throw new Error('two join tokens got the same random id; the source of randomness is broken');
    return { token: formatJoinToken(token), notAfterMs };
  }

  /**
   * Uses the token up. `keyPin` is the pin of the key that shall be certified: the same token and key again succeed again, so
   * that a joiner whose answer was lost is not locked out. Rejects only with StoreError.
   */
  async redeem(text: string, keyPin?: string): Promise<RedeemResult> {
    const parsed = parseJoinToken(text);
    if (!parsed.ok) return { ok: false, code: 'malformed', reason: parsed.reason };
    const { token } = parsed;
    const isOfToday = this.#options.authority.pins.includes(token.pin);
    for (let race = 0; race < RACES_MAX; race++) {
      const entry = await this.#options.store.get(KEY_PREFIX + token.id);
      const verdict = this.#judge(token, entry, keyPin);
      // Only who holds the secret learns that the token was once good here.
      if (!isOfToday) return this.#refuse(entry === undefined || verdict === 'unknown' ? 'wrong-mesh' : 'old-root', token);
      if (typeof verdict === 'string') return this.#refuse(verdict, token);
      const identity: SpiffeId = { trustDomain: this.#options.trustDomain, namespace: verdict.ns, name: verdict.svc };
      const denied = this.#options.denial?.(identity);
      if (denied !== undefined) return { ok: false, code: 'denied', reason: `${verdict.ns}/${verdict.svc} ${denied}.` };
      if (verdict.usedMs !== undefined || (await this.#markUsed(entry as StoreEntry, verdict, keyPin)))
        return { ok: true, identity, pin: token.pin };
    }
    return this.#refuse('used', token);
  }

  /** Those that are remembered, newest first: used and expired ones for some time. Rejects with StoreError. */
  async list(): Promise<ListedToken[]> {
    const { entries } = await this.#options.store.list(KEY_PREFIX);
    const listed = entries.map((entry) => this.#listed(entry));
    return listed.sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  /** It can be used no more. Undefined: there is no such token. False: it could not be used anyway. Rejects with StoreError. */
  async revoke(id: string): Promise<{ readonly token: ListedToken; readonly wasGood: boolean } | undefined> {
    const { store, clock } = this.#options;
    for (let race = 0; race < RACES_MAX; race++) {
      const entry = await store.get(KEY_PREFIX + id);
      if (entry === undefined) return undefined;
      const token = this.#listed(entry);
      if (token.state !== 'good') return { token, wasGood: false };
      const revoked: TokenRecord = { ...(JSON.parse(entry.value) as TokenRecord), revokedMs: Math.floor(clock.wallMs()) };
      if (await this.#replace(entry, revoked)) return { token: { ...token, state: 'revoked' }, wasGood: true };
    }
    throw new StoreError('UNAVAILABLE', `the join token ${id} is being used at this moment; look again`);
  }

  #listed({ key, value }: StoreEntry): ListedToken {
    const { ns: namespace, svc: service, notAfterMs, createdMs = 0, usedMs = 0, revokedMs, pin } = JSON.parse(value) as TokenRecord;
    const { clock, authority } = this.#options;
    const isOfToday = pin === undefined || authority.pins.includes(pin);
    let state: JoinTokenState = isOfToday ? 'good' : 'old-root';
    if (notAfterMs <= clock.wallMs()) state = 'expired';
    if (revokedMs !== undefined) state = 'revoked';
    if (usedMs > 0) state = 'used';
    return { id: key.slice(KEY_PREFIX.length), namespace, service, state, createdMs, notAfterMs, usedMs };
  }

  #judge(
    token: JoinToken,
    entry: StoreEntry | undefined,
    keyPin: string | undefined,
  ): TokenRecord | 'unknown' | 'used' | 'expired' | 'revoked' {
    const nowMs = this.#options.clock.wallMs();
    // Swept already, or never ours. What the text says of its expiry is not proven, but nothing hangs on it any more.
    if (entry === undefined) return token.notAfterMs <= nowMs ? 'expired' : 'unknown';
    const record = JSON.parse(entry.value) as TokenRecord;
    const secretMatches = equalInConstantTime(sha256(token.secret), Buffer.from(record.secretSha256, 'base64url'));
    // A wrong secret learns nothing about the token, not even that it exists.
    if (!secretMatches || record.ns !== token.namespace || record.svc !== token.service) return 'unknown';
    if (record.revokedMs !== undefined) return 'revoked';
    const sameKeyAgain = record.usedFor !== undefined && record.usedFor === keyPin;
    if (record.usedMs !== undefined && !sameKeyAgain) return 'used';
    return record.notAfterMs <= nowMs ? 'expired' : record;
  }

  /** False when somebody else was first. */
  #markUsed(entry: StoreEntry, record: TokenRecord, keyPin: string | undefined): Promise<boolean> {
    return this.#replace(entry, { ...record, usedMs: Math.floor(this.#options.clock.wallMs()), usedFor: keyPin });
  }

  async #replace({ key, lease, modRevision }: StoreEntry, record: TokenRecord): Promise<boolean> {
    try {
      const { succeeded } = await this.#options.store.transact({
        conditions: [{ key, modRevision }],
        operations: [{ kind: 'put', key, value: JSON.stringify(record), ...(lease === undefined ? {} : { lease }) }],
      });
      return succeeded;
    } catch (error) {
      if (error instanceof StoreError && error.code === 'LEASE_NOT_FOUND') return false; // Swept at this very moment.
      throw error;
    }
  }

  #refuse(code: Exclude<RedeemErrorCode, 'malformed' | 'denied'>, token: JoinToken): RedeemResult {
    const whose = `for ${token.namespace}/${token.service}`;
    const mend = `Make a new one with \`heddle token create --service ${token.service}${token.namespace === DEFAULT_NAMESPACE ? '' : ` --namespace ${token.namespace}`}\`.`;
    const reasons = {
      unknown: `This control plane does not know the join token ${whose}. It is damaged, or the control plane has lost its state. ${mend}`,
      used: `The join token ${whose} has been used already; each is good for one workload. ${mend}`,
      expired: `The join token ${whose} expired at ${new Date(Math.min(token.notAfterMs, 8.64e15)).toISOString()}. ${mend}`,
      revoked: `The join token ${whose} has been revoked. ${mend}`,
      'old-root': `The join token ${whose} was made before this mesh got a new root, and pins the old one. ${mend}`,
      'wrong-mesh': `The join token ${whose} was made by another mesh, or before this one got a new root. Make a new one at this control plane, or join at the one that made it.`,
    };
    return { ok: false, code, reason: reasons[code] };
  }
}

/** It begins with a letter: what begins with a dash would be an option on a command line. */
function idOf([first = 0, ...rest]: Uint8Array): string {
  return Buffer.from([first & 0x7f, ...rest]).toString('base64url');
}
