// Counts what a peer makes us do against the budgets of `limits.ts`. Useful work costs one increment; a budget is settled when it is charged.

import type { ConnectionViolationCode } from './errors.ts';
import type { Http2Budget, Http2Limits } from './limits.ts';

const KINDS = ['resets', 'settings', 'pings', 'loadQuestions', 'emptyFrames', 'windowUpdates', 'ignoredFrames', 'lateFrames'] as const;

export type AbuseKind = (typeof KINDS)[number];

export const ABUSE_VIOLATION: Readonly<Record<AbuseKind, ConnectionViolationCode>> = {
  resets: 'TOO_MANY_RESETS',
  settings: 'TOO_MANY_SETTINGS',
  pings: 'TOO_MANY_PINGS',
  loadQuestions: 'TOO_MANY_LOAD_QUESTIONS',
  emptyFrames: 'TOO_MANY_EMPTY_FRAMES',
  windowUpdates: 'TOO_MANY_WINDOW_UPDATES',
  ignoredFrames: 'TOO_MANY_IGNORED_FRAMES',
  lateFrames: 'TOO_MANY_LATE_FRAMES',
};

/** What is left of one budget, and when that was reckoned. */
interface Account {
  readonly budget: Http2Budget;
  left: number;
  atMs: number;
  exchanges: number;
  dataFrames: number;
}

export class AbuseMeter {
  /** Set by the connection at each push. */
  nowMs = 0;
  /** Useful work so far. */
  exchanges = 0;
  dataFrames = 0;
  private readonly limits: Http2Limits;
  /** Most peers never touch most budgets: an account is opened by the first charge. */
  private readonly accounts: Partial<Record<AbuseKind, Account>> = {};

  constructor(limits: Http2Limits) {
    this.limits = limits;
  }

  /** Takes one from a budget; false when it is used up. */
  charge(kind: AbuseKind): boolean {
    const { nowMs, exchanges, dataFrames } = this;
    let account = this.accounts[kind];
    if (account === undefined) {
      const budget = this.limits[kind];
      account = { budget, left: budget.burst, atMs: nowMs, exchanges, dataFrames };
      this.accounts[kind] = account;
    }
    const { budget } = account;
    const refill =
      (Math.max(0, nowMs - account.atMs) / 1_000) * budget.perSecond +
      (exchanges - account.exchanges) * budget.perExchange +
      (dataFrames - account.dataFrames) * budget.perData;
    account.left = Math.min(budget.burst, account.left + refill) - 1;
    account.atMs = nowMs;
    account.exchanges = exchanges;
    account.dataFrames = dataFrames;
    return account.left >= 0;
  }
}
