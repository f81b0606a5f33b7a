// Who may do what, decided: rules that deny first, then rules that allow, then the default. One object for each policy, compiled once; a
// decision hands out objects that were made then.
import type { AccessPolicy, AccessRule } from '../model/security.ts';
import type { ServiceRef } from '../model/service-ref.ts';
import type { ConditionCompiler } from './condition.ts';
import { AccessPolicyError } from './error.ts';
import { Facts } from './facts.ts';
import { CompiledRule, DEFAULT_DECISIONS } from './rule.ts';
import { RuleSet } from './rule-set.ts';
import type { AccessView, AuditNote, Decision } from './view.ts';

/** Of one policy: its index grows with the square of this, to 12 MB at worst for each property that rules ask for. */
export const ACCESS_RULES_MAX = 10_000;

export interface AccessOptions {
  /** `compileCondition` of `@heddle/core/cel`. Needed where `hasConditions(policy)`. */
  readonly conditions?: ConditionCompiler;
  /** The service whose policy it is, for conditions that ask for `destination`. */
  readonly destination?: ServiceRef;
}

export interface CompiledAccess {
  readonly policy: AccessPolicy;
  /**
   * A rule looks at paths. The data plane then forwards `normalizePath(path)` in place of the path that it received, where there is one: what
   * was compared is what the application gets. Where there is none it forwards what it received, if that was allowed (see path.ts).
   */
  readonly readsPaths: boolean;
  /** Never throws. What it returns is valid for good, but the same object may be returned again. */
  decide(view: AccessView): Decision;
}

/**
 * @throws AccessPolicyError with the rule, the reason and the mend: conditions that cannot be read, networks, paths, headers and regular
 * expressions that are none, lists that are empty, names used twice, and too many rules.
 */
export function compileAccess(policy: AccessPolicy, options: AccessOptions = {}): CompiledAccess {
  return new Access(policy, compileRules(policy, options.conditions), options.destination);
}

export function compileRules({ rules }: AccessPolicy, conditions: ConditionCompiler | undefined): readonly CompiledRule[] {
  if (rules.length > ACCESS_RULES_MAX) {
    const reason = `there are ${rules.length} rules for one service`;
    throw new AccessPolicyError('', '', {
      reason,
      mend: `at most ${ACCESS_RULES_MAX} are taken: say with roles or namespaces what they share`,
    });
  }
  const names = new Set<string>();
  for (const { name } of rules) {
    if (names.has(name))
      throw new AccessPolicyError(name, '', { reason: 'the name is that of an earlier rule too', mend: 'give each its own' });
    names.add(name);
  }
  return rules.map((rule) => new CompiledRule(rule, conditions));
}

/**
 * What is wrong with one rule, without a policy around it: for who reads rules.
 * @param conditions absent: its condition is not looked at.
 */
export function accessRuleProblem(rule: AccessRule, conditions?: ConditionCompiler): AccessPolicyError | undefined {
  try {
    const { when, ...unconditional } = rule;
    void new CompiledRule(when === undefined || conditions === undefined ? unconditional : rule, conditions);
    return undefined;
  } catch (error) {
    if (error instanceof AccessPolicyError) return error;
    throw error;
  }
}

class Access implements CompiledAccess {
  readonly policy: AccessPolicy;
  readonly readsPaths: boolean;
  private readonly denying: RuleSet;
  private readonly allowing: RuleSet;
  /** Rules that only watch. */
  private readonly watching: readonly RuleSet[];
  private readonly facts: Facts;
  private readonly asksForToken: boolean;

  constructor(policy: AccessPolicy, rules: readonly CompiledRule[], destination: ServiceRef | undefined) {
    const setOf = (denies: boolean, watches: boolean): RuleSet =>
      new RuleSet(
        rules.filter((rule) => rule.denies === denies && (rule.config.audit === true) === watches),
        denies,
      );
    this.policy = policy;
    this.readsPaths = rules.some((rule) => rule.readsPaths);
    this.denying = setOf(true, false);
    this.allowing = setOf(false, false);
    this.watching = [setOf(true, true), setOf(false, true)].filter((set) => set.rules.length > 0);
    this.facts = new Facts(destination, policy.labels);
    this.asksForToken = this.allowing.rules.some(
      ({ subjects, condition }) => condition?.readsToken === true || subjects.some(({ config }) => config.token !== undefined),
    );
  }

  decide(view: AccessView): Decision {
    const { facts } = this;
    facts.begin(view);
    const rule = this.denying.first(facts) ?? this.allowing.first(facts);
    const decision = rule === undefined ? this.byDefault(facts) : this.policy.audit === true ? rule.watched : rule.decision;
    return this.watching.length === 0 ? decision : this.withNotes(decision, facts);
  }

  private byDefault(facts: Facts): Decision {
    if (this.policy.default === 'allow') return DEFAULT_DECISIONS.allow;
    if (this.policy.audit === true) return DEFAULT_DECISIONS.watched;
    const wantsToken = this.asksForToken && facts.view.claims === undefined && this.allowing.first(facts, true) !== undefined;
    return wantsToken ? DEFAULT_DECISIONS.token : DEFAULT_DECISIONS.deny;
  }

  private withNotes(decision: Decision, facts: Facts): Decision {
    let notes: AuditNote[] | undefined;
    for (const set of this.watching) {
      for (let at = set.next(facts, 0, false); at !== -1; at = set.next(facts, at + 1, false)) {
        const { name, effect } = (set.rules[at] as CompiledRule).config;
        notes ??= [...decision.audited];
        notes.push({ rule: name, effect });
      }
    }
    return notes === undefined ? decision : { ...decision, audited: notes };
  }
}
