// The contract between rules and the language of their conditions, which only loads where a rule has one.
import type { AccessPolicy } from '../model/security.ts';
import type { ServiceRef } from '../model/service-ref.ts';
import type { AccessView } from './view.ts';

/** What a condition may look at. The object is used again for the next request. */
export interface ConditionFacts {
  readonly view: AccessView;
  /** As normalised, without query. Undefined: a byte stream, or it is not understood; whatever asks for it fails. */
  readonly path: string | undefined;
  /** Of the authority, without port, in lower case. */
  readonly host: string;
  /** The service whose policy this is; undefined: not told, and then what asks for it fails. */
  readonly destination: ServiceRef | undefined;
  readonly labels: NonNullable<AccessPolicy['labels']>;
}

export interface Condition {
  /** Asks for `claims` or `token`: with another token it may come out otherwise. */
  readonly readsToken: boolean;
  /** Asks for `request.path`. */
  readonly readsPath: boolean;
  /** Undefined: it cannot be told, because what it asks for is not there, or is of another kind. Never throws. */
  holds(facts: ConditionFacts): boolean | undefined;
  /** Why it cannot be told, for people; empty where it can. */
  whyUnknown(facts: ConditionFacts): string;
}

/** @throws RouteFault for what is no condition. */
export type ConditionCompiler = (source: string) => Condition;

/** Whether the policy can only be compiled with a ConditionCompiler, which is behind the door `@heddle/core/cel`. */
export function hasConditions(policy: AccessPolicy): boolean {
  return policy.rules.some(({ when }) => when !== undefined);
}
