// What is said about a policy that cannot be applied.
import { RouteFault } from '../routing/error.ts';

/** The message says which rule and what of it, why, and how to mend it; it goes into the NACK and into the problems of a mesh file. */
export class AccessPolicyError extends Error {
  /** Empty: the policy as a whole. */
  readonly rule: string;
  readonly reason: string;
  /** What to do, as an imperative without its end. */
  readonly mend: string;

  /** @param part of the rule, as `permission 2`; empty: the rule itself. */
  constructor(rule: string, part: string, { reason, mend }: Pick<RouteFault, 'reason' | 'mend'>) {
    const place = [rule === '' ? 'access policy' : `access rule "${rule}"`, part].filter((text) => text !== '').join(', ');
    super(`${place}: ${reason}; ${mend}`);
    this.name = 'AccessPolicyError';
    this.rule = rule;
    this.reason = part === '' ? reason : `${part}: ${reason}`;
    this.mend = mend;
  }
}

/** Runs what compiles a part of a rule; what it finds wrong is told with the place. */
export function inPart<T>(rule: string, part: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof RouteFault)) throw error;
    throw new AccessPolicyError(rule, part, error);
  }
}
