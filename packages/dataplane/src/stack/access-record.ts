// What is told of access decisions: counters by rule, and of each request that is refused or that a rule only watches a structured line, and word
// to the control plane. Lines are
// limited for the whole data plane, so that an attacker cannot fill a disk; what is left out is counted, and the next line says how much.
import { ACCESS_METRICS, DecisionRing, TokenBucket } from '@heddle/core';
import type { BucketRate } from '@heddle/core';
import type { Counter } from '@heddle/runtime';
import type { Context } from './context.ts';

/** Lines a second, and at once: a person reads fewer, and a disk holds days of them. */
const LINES: BucketRate = { requests: 20, perMs: 1_000, burst: 200 };
/** Names of rules that are told apart, of one service; the others count as `other`. Twice as many as any policy that is meant well. */
const RULES_MAX = 2_000;
/** Of a path in a line. */
const TEXT_LENGTH_MAX = 512;

/** Who decided: a rule, the default of the policy, the token that came, the outside authorizer, the form of the request, what the caller's side knows. */
export type DecidedBy = 'rule' | 'default' | 'token' | 'authorizer' | 'form' | 'caller';

export type DecisionKind = 'allowed' | 'denied' | 'would-allow' | 'would-deny' | 'unavailable';

/** What a line says of a request. `path` with or without its query. */
export interface DecidedRequest {
  readonly sourceIdentity: string;
  readonly peerAddress: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  /** The name of the token's issuer; empty: none came, or none that is valid. */
  readonly issuer: string;
}

/** How many lines may be written now, and what the control plane is to be told. Of one data plane. */
export class AccessLines {
  readonly ring = new DecisionRing();
  private readonly bucket: TokenBucket;
  private readonly left: Counter;
  private leftOut = 0;

  constructor({ clock, metrics }: Context) {
    this.bucket = new TokenBucket(LINES, clock.nowMs());
    this.left = metrics.counter(ACCESS_METRICS.linesLeftOut);
  }

  /** The number of lines left out since the last one; -1: this one is left out as well. */
  take(nowMs: number): number {
    if (!this.bucket.tryTake(LINES, nowMs)) {
      this.leftOut += 1;
      this.left.add(1);
      return -1;
    }
    const { leftOut } = this;
    this.leftOut = 0;
    return leftOut;
  }
}

/** Of one service on one side of its calls. */
export class AccessRecord {
  private readonly context: Context;
  private readonly lines: AccessLines;
  private readonly labels: { readonly direction: 'inbound' | 'outbound'; readonly destination: string };
  private readonly allowedBy = new Map<string, Counter>();
  private readonly others = new Map<string, Counter>();
  private readonly rules = new Set<string>();

  /** @param destination `<namespace>/<service>`. */
  constructor(context: Context, lines: AccessLines, direction: 'inbound' | 'outbound', destination: string) {
    this.context = context;
    this.lines = lines;
    this.labels = { direction, destination };
  }

  /** Logged at level `debug` only. @param rule empty: by the default of the policy. */
  allowed(rule: string, request: DecidedRequest): void {
    (this.allowedBy.get(rule) ?? this.counterOf(this.allowedBy, 'allowed', rule === '' ? 'default' : 'rule', rule)).add(1);
    const { logger } = this.context;
    if (logger.writesDebug === true)
      logger.debug({ decision: 'allowed', ...this.labels, ...(rule !== '' && { rule }), ...said(request) }, 'a request was allowed');
  }

  /** @param why in words for people. */
  told(decision: Exclude<DecisionKind, 'allowed'>, by: DecidedBy, rule: string, why: string, request: DecidedRequest): void {
    this.counterOf(this.others, decision, by, rule).add(1);
    const { logger, clock } = this.context;
    const { direction: side, destination: service } = this.labels;
    const { method } = request;
    this.lines.ring.push({
      ...{ timeMs: Math.floor(clock.wallMs()), service, side, outcome: decision, source: sourceOf(request), method: cut(method) },
      ...{ path: pathOf(request), rule, by, reason: cut(why) },
    });
    const leftOut = this.lines.take(clock.nowMs());
    if (leftOut === -1) return;
    const fields = { decision, ...this.labels, by, ...(rule !== '' && { rule }), why, ...said(request), ...(leftOut > 0 && { leftOut }) };
    if (decision === 'denied') logger.warn(fields, 'a request was refused by the access policy');
    else if (decision === 'unavailable') logger.warn(fields, 'whether a request is allowed could not be found out');
    else logger.info(fields, 'a rule that only watches fits a request');
  }

  private counterOf(known: Map<string, Counter>, decision: DecisionKind, by: DecidedBy, name: string): Counter {
    const isTold = this.rules.has(name) || this.rules.size < RULES_MAX;
    if (isTold) this.rules.add(name);
    const rule = isTold ? name : 'other';
    const key = decision === 'allowed' ? rule : `${decision} ${by} ${rule}`;
    let counter = known.get(key);
    if (counter === undefined) {
      const labels = { ...this.labels, decision, by, rule };
      counter = this.context.metrics.counter(ACCESS_METRICS.decisions, labels);
      known.set(key, counter);
    }
    return counter;
  }
}

/** Queries may hold secrets, and paths are as long as their senders like. */
function pathOf({ path }: DecidedRequest): string {
  const end = path.indexOf('?');
  return cut(end === -1 ? path : path.slice(0, end));
}

function cut(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
}

function sourceOf({ sourceIdentity }: DecidedRequest): string {
  return sourceIdentity === '' ? 'unknown' : sourceIdentity;
}

function said(request: DecidedRequest): object {
  const { peerAddress, method, authority, issuer } = request;
  return {
    source: sourceOf(request),
    address: peerAddress,
    method,
    path: pathOf(request),
    authority,
    ...(issuer !== '' && { issuer }),
  };
}
