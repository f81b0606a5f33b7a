// Why a request is allowed or refused, in words: each rule with what speaks against it. Decides nothing itself: it asks the parts that the
// engine is made of, one by one.
import type { AccessPolicy, IdentityMatch, Permission, Subject, TokenMatch } from '../model/security.ts';
import type { PathMatch, RequestMatch } from '../model/route.ts';
import { ANY_REQUEST } from '../model/defaults.ts';
import { whyNotMatch } from '../routing/explain.ts';
import { type AccessOptions, compileAccess, type CompiledAccess, compileRules } from './access.ts';
import { Facts } from './facts.ts';
import type { CompiledPermission } from './permission.ts';
import type { CompiledRule } from './rule.ts';
import { type CompiledSubject, identityFits, tokenFits } from './subject.ts';
import type { AccessView, Decision } from './view.ts';

export interface RuleExplanation {
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  /** It only watches. */
  readonly audit: boolean;
  readonly fits: boolean;
  /** What speaks against it, as the end of `because …`; of a rule that fits: empty, or why that is not certain. */
  readonly why: string;
  /** It does not fit, and with a token it may. */
  readonly wantsToken: boolean;
}

export interface AccessExplanation {
  readonly decision: Decision;
  /** As rules compared it; undefined: a byte stream, or a path that is not understood. */
  readonly path: string | undefined;
  /** All, in the order of the policy. */
  readonly rules: readonly RuleExplanation[];
  /** What decided, as a sentence without its end. */
  readonly reason: string;
  /** What a token would change, as a sentence without its end; empty: nothing, or one is there. */
  readonly token: string;
}

/**
 * Agrees with `compileAccess(policy, options).decide(view)` for every request.
 * @throws AccessPolicyError
 */
export function explainAccess(policy: AccessPolicy, view: AccessView, options: AccessOptions = {}): AccessExplanation {
  return new AccessExplainer(policy, options).explain(view);
}

/** For more than one request. */
export class AccessExplainer {
  private readonly access: CompiledAccess;
  private readonly rules: readonly CompiledRule[];
  private readonly facts: Facts;

  /** @throws AccessPolicyError */
  constructor(policy: AccessPolicy, options: AccessOptions = {}) {
    this.access = compileAccess(policy, options);
    this.rules = compileRules(policy, options.conditions);
    this.facts = new Facts(options.destination, policy.labels);
  }

  explain(view: AccessView): AccessExplanation {
    const { facts, access } = this;
    const decision = access.decide(view);
    facts.begin(view);
    const rules = this.rules.map((rule) => explainRule(rule, facts));
    return {
      decision,
      path: facts.path,
      rules,
      reason: reasonOf(access.policy, decision, facts),
      token: tokenWords(rules, decision, view),
    };
  }
}

function explainRule(rule: CompiledRule, facts: Facts): RuleExplanation {
  const { name, effect, audit } = rule.config;
  const fits = rule.fits(facts, false);
  return {
    name,
    effect,
    audit: audit === true,
    fits,
    why: fits ? doubts(rule, facts) : whyNot(rule, facts),
    wantsToken: !fits && facts.view.claims === undefined && rule.fits(facts, true),
  };
}

function reasonOf({ default: byDefault, audit }: AccessPolicy, { rule, audited }: Decision, facts: Facts): string {
  const isWatched = audit === true && audited.some((note) => note.rule === rule && note.effect === 'deny');
  const watched = isWatched ? ', but the policy only watches: nothing is refused' : '';
  if (rule !== '') return `rule "${rule}" decides${watched}`;
  const unclear = facts.path === undefined && !facts.view.isStream ? `; the path "${facts.view.path}" is not understood` : '';
  return `no rule fits, and the default is ${byDefault}${watched}${unclear}`;
}

function tokenWords(rules: readonly RuleExplanation[], { code }: Decision, { claims }: AccessView): string {
  if (claims !== undefined || code === undefined) return '';
  const wanting = rules
    .filter(({ effect, audit, wantsToken }) => effect === 'allow' && !audit && wantsToken)
    .map(({ name }) => `"${name}"`);
  if (wanting.length === 0) return '';
  if (code === 'ACCESS_DENIED') return `a token may make ${listed(wanting)} fit, but a rule that denies goes before`;
  return `with a token, ${listed(wanting)} may allow it`;
}

function listed(names: readonly string[]): string {
  return `${names.length === 1 ? 'rule' : 'rules'} ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

/** Of a rule that fits because something is not known. */
function doubts({ denies, condition, permissions }: CompiledRule, facts: Facts): string {
  if (!denies) return '';
  const why = condition?.holds(facts) === undefined ? (condition?.whyUnknown(facts) ?? '') : '';
  if (why !== '') return `its condition cannot be told (${why}), which counts as fitting where it denies`;
  const asksForPath = permissions.length > 0 && permissions.every(({ paths }) => paths !== undefined);
  return asksForPath && facts.path === undefined && !facts.view.isStream
    ? 'the path is not understood, which counts as fitting where it denies'
    : '';
}

function whyNot({ subjects, permissions, condition }: CompiledRule, facts: Facts): string {
  if (!subjects.some((subject) => subject.fits(facts, false))) return together(subjects.map((subject) => whyNotSubject(subject, facts)));
  if (permissions.length > 0 && !permissions.some((permission) => permission.fits(facts)))
    return together(permissions.map((permission) => whyNotPermission(permission, facts)));
  if (condition === undefined) return '';
  const why = condition.whyUnknown(facts);
  return why === '' ? 'its condition is false' : `its condition cannot be told: ${why}`;
}

/** Alternatives of which none fits. */
function together(reasons: readonly string[]): string {
  const different = [...new Set(reasons)];
  const shown = different.slice(0, 3).join(', and ');
  return different.length > 3 ? `${shown}, and ${different.length - 3} more such reasons` : shown;
}

function whyNotSubject(subject: CompiledSubject, facts: Facts): string {
  const { identities, networks, token }: Subject = subject.config;
  const { sourceIdentity, peerAddress } = facts.view;
  if (identities !== undefined && !identityFits(identities, sourceIdentity))
    return sourceIdentity === ''
      ? 'the caller has no identity'
      : `the caller is ${sourceIdentity}, not ${alternatives(identities.map(identityWords))}`;
  if (networks !== undefined && !subject.addressFits(facts))
    return `the caller's address ${peerAddress === '' ? 'is not known' : `${peerAddress} is not in ${alternatives(networks)}`}`;
  return token === undefined ? '' : whyNotToken(token, facts);
}

function identityWords(match: IdentityMatch): string {
  if (match.kind === 'any') return 'anybody of the mesh';
  return match.kind === 'exact' ? match.id : `${match.prefix}…`;
}

function whyNotToken(match: TokenMatch, facts: Facts): string {
  const token = facts.view.claims;
  if (token === undefined) return 'no token came';
  if (match.issuers.length > 0 && !match.issuers.includes(token.issuer))
    return `the token is of "${token.issuer}", not of ${alternatives(match.issuers.map((issuer) => `"${issuer}"`))}`;
  const missing = match.claims.find((claim) => !tokenFits({ issuers: [], claims: [claim] }, facts));
  // What the token says instead is nobody's business here.
  return missing === undefined
    ? ''
    : `the token's claim "${missing.claim.join('.')}" is not ${alternatives(missing.values.map((value) => JSON.stringify(value)))}`;
}

function whyNotPermission(permission: CompiledPermission, facts: Facts): string {
  const { methods, paths, authorities, headers }: Permission = permission.config;
  const { view } = facts;
  if (view.isStream) return 'a stream of bytes has no method, path or headers';
  if (!permission.methodFits(facts)) return `the method is ${view.method}, not ${alternatives(methods ?? [])}`;
  if (!permission.pathFits(facts))
    return facts.path === undefined
      ? `the path "${view.path}" is not understood`
      : misfits((paths ?? []).map((path) => pathWords(path, facts)));
  if (!permission.authorityFits(facts)) return misfits((authorities ?? []).map((authority) => matchWords({ authority }, view)));
  const header = permission.misfit(facts);
  return header === undefined ? '' : matchWords({ headers: headers?.filter((match) => match === header.match) ?? [] }, view);
}

function misfits(reasons: readonly string[]): string {
  return reasons.length === 1 ? (reasons[0] as string) : `${reasons[0]}, and no other of the ${reasons.length} alternatives fits`;
}

function pathWords(path: PathMatch, facts: Facts): string {
  return whyNotMatch({ kind: 'request', path }, { ...PLAIN, path: facts.path ?? '' });
}

function matchWords(match: Omit<RequestMatch, 'kind' | 'path'>, view: AccessView): string {
  const { authority } = view;
  return whyNotMatch({ ...ANY_REQUEST, ...match }, { ...PLAIN, path: '/', authority, header: (name, line) => view.header(name, line) });
}

const PLAIN = { method: '', authority: '', header: () => undefined, sourceAddress: '', sourceIdentity: '' } as const;

function alternatives(words: readonly string[]): string {
  return words.length <= 3 ? words.join(' or ') : `${words.slice(0, 3).join(' or ')} or ${words.length - 3} others`;
}
