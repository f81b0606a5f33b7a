// One rule, compiled: whether it fits a request, and the answers that it gives.
import type { AccessRule } from '../model/security.ts';
import { RouteFault } from '../routing/error.ts';
import type { Condition, ConditionCompiler } from './condition.ts';
import { AccessPolicyError, inPart } from './error.ts';
import type { Facts } from './facts.ts';
import { CompiledPermission } from './permission.ts';
import { CompiledSubject } from './subject.ts';
import type { Decision } from './view.ts';

export class CompiledRule {
  readonly config: AccessRule;
  readonly denies: boolean;
  readonly subjects: readonly CompiledSubject[];
  readonly permissions: readonly CompiledPermission[];
  readonly condition: Condition | undefined;
  readonly readsPaths: boolean;
  readonly decision: Decision;
  /** In a policy that only watches. */
  readonly watched: Decision;

  /** @throws AccessPolicyError */
  constructor(config: AccessRule, conditions: ConditionCompiler | undefined) {
    const { name, effect, subjects, permissions, when } = config;
    if (name === '')
      throw new AccessPolicyError('', '', { reason: 'a rule has no name', mend: 'give it one that is unique in its policy' });
    if (subjects.length === 0) throw new AccessPolicyError(name, '', { reason: 'it is about nobody', mend: 'say who, or `anyone`' });
    const denies = effect === 'deny';
    this.config = config;
    this.denies = denies;
    this.subjects = subjects.map((subject, index) =>
      inPart(name, partName('subject', index, subjects), () => new CompiledSubject(subject, denies)),
    );
    this.permissions = permissions.map((permission, index) =>
      inPart(name, partName('permission', index, permissions), () => new CompiledPermission(permission, denies)),
    );
    this.condition = when === undefined ? undefined : inPart(name, 'condition', () => compileCondition(when, conditions));
    this.readsPaths = this.permissions.some(({ paths }) => paths !== undefined) || this.condition?.readsPath === true;
    this.decision = decisionOf(name, effect);
    this.watched = denies ? watchedDecision(name) : this.decision;
  }

  /**
   * @param assumeToken as if some right token had come, of which nothing else is known: only where it cannot be told otherwise whether a token
   * would help.
   */
  fits(facts: Facts, assumeToken: boolean): boolean {
    return this.hasSubject(facts, assumeToken) && this.hasPermission(facts) && this.conditionHolds(facts, assumeToken);
  }

  private hasSubject(facts: Facts, assumeToken: boolean): boolean {
    const { subjects } = this;
    for (let index = 0; index < subjects.length; index++) if ((subjects[index] as CompiledSubject).fits(facts, assumeToken)) return true;
    return false;
  }

  private hasPermission(facts: Facts): boolean {
    const { permissions } = this;
    if (permissions.length === 0) return true;
    for (let index = 0; index < permissions.length; index++) if ((permissions[index] as CompiledPermission).fits(facts)) return true;
    return false;
  }

  private conditionHolds(facts: Facts, assumeToken: boolean): boolean {
    const { condition } = this;
    if (condition === undefined || (assumeToken && condition.readsToken)) return true;
    return condition.holds(facts) ?? this.denies;
  }
}

function partName(what: string, index: number, all: readonly unknown[]): string {
  return all.length === 1 ? what : `${what} ${index + 1}`;
}

function compileCondition(source: string, conditions: ConditionCompiler | undefined): Condition {
  if (conditions === undefined)
    throw new RouteFault('it has a condition, and nothing here can read conditions', 'use a placement that does, or say it without `when`');
  return conditions(source);
}

function decisionOf(rule: string, effect: 'allow' | 'deny'): Decision {
  return Object.freeze({ allowed: effect === 'allow', rule, code: effect === 'allow' ? undefined : 'ACCESS_DENIED', audited: NOTHING });
}

function watchedDecision(rule: string): Decision {
  return Object.freeze({ allowed: true, rule, code: undefined, audited: Object.freeze([{ rule, effect: 'deny' as const }]) });
}

const NOTHING = Object.freeze([]);

/** Of a policy where no rule fits. */
export const DEFAULT_DECISIONS = {
  allow: decisionOf('', 'allow'),
  deny: decisionOf('', 'deny'),
  token: Object.freeze({ allowed: false, rule: '', code: 'TOKEN_REQUIRED', audited: NOTHING }) as Decision,
  watched: watchedDecision(''),
} as const;
