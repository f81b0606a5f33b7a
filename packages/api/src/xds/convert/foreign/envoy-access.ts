// Access rules in Envoy's words (RBAC). A filter has one effect, so there are three, whose rules come with the virtual hosts: identities that nobody
// serves, rules that deny, rules that allow. A rule that Envoy cannot be told fails closed: it does not allow, or denies whatever its condition says.
import type { AccessPolicy, AccessRule, Permission as PermissionConfig, TextMatch } from '@heddle/core';
import type { Any } from '../../../gen/foreign/google/protobuf/any.ts';
import { type Permission, type Policy, type RBAC, RBAC_Action } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import { RBACPerRoute, RBAC as RbacFilter } from '../../../gen/foreign/envoy/extensions/filters/http/rbac/v3/rbac.ts';
import type { HttpFilter } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import type { HeaderMatcher } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { type At, XdsRejection } from '../rejection.ts';
import { pack } from '../strict.ts';
import { envoyCondition } from './envoy-conditions.ts';
import { escaped, headerMatcher, matching } from './envoy-match.ts';
import { allOf, not, oneOf, pathPermission } from './envoy-paths.ts';
import { identityPrincipal, subjectPrincipal } from './envoy-subjects.ts';
import type { EncodeOptions } from './options.ts';

const DENIED_IDENTITIES = 'heddle.denied_identities';
const DENY_RULES = 'heddle.deny_rules';
const ALLOW_RULES = 'heddle.allow_rules';
/** Of metrics about rules that only watch. */
const AUDIT_PREFIX = 'audit_';
const CONNECT: HeaderMatcher = matching(':method', 'CONNECT');
export const ANY: Permission = { rule: { $case: 'any', value: true } };

interface Context {
  readonly issuers: ReadonlyMap<string, string>;
  readonly labels: AccessPolicy['labels'];
  readonly options: EncodeOptions;
  /** Told about rules that cannot be followed to the letter. */
  readonly tell: (rule: string, reason: string, at: At) => void;
}

/** They refuse nobody but where a virtual host says so. Tokens are looked at between the first and the second. */
export function deniedIdentitiesFilter(): HttpFilter {
  return filter(DENIED_IDENTITIES);
}

export function accessFilters(): HttpFilter[] {
  return [filter(DENY_RULES), filter(ALLOW_RULES)];
}

function filter(name: string): HttpFilter {
  return { name, configType: { $case: 'typedConfig', value: pack(RbacFilter, {}) } };
}

/** Settings of a virtual host, by the names of the filters. */
export function deniedIdentities(denied: readonly string[] = []): { [filter: string]: Any } {
  if (denied.length === 0) return {};
  const principals = denied.map((id) => identityPrincipal({ kind: 'exact', id }));
  return settings(DENIED_IDENTITIES, { rules: { action: RBAC_Action.DENY, policies: { denied: { permissions: [ANY], principals } } } });
}

export function accessSettings(policy: AccessPolicy, context: Omit<Context, 'labels'>, at: At): { [filter: string]: Any } {
  const known: Context = { ...context, labels: policy.labels };
  const of = (effect: AccessRule['effect'], isAudit: boolean): RBAC | undefined => {
    const action = effect === 'deny' ? RBAC_Action.DENY : RBAC_Action.ALLOW;
    const rules = policy.rules.map((rule, index) => ({ rule, inside: at.item('rules', index) }));
    const own = rules.filter(({ rule }) => rule.effect === effect && (rule.audit === true || policy.audit === true) === isAudit);
    const isNeeded = own.length > 0 || (effect === 'allow' && policy.default === 'deny' && isAudit === (policy.audit === true));
    // Where everybody may do everything that is not denied, rules that allow decide nothing.
    if (!isNeeded || (effect === 'allow' && policy.default === 'allow' && !isAudit)) return undefined;
    return { action, policies: Object.fromEntries(own.flatMap(({ rule, inside }) => policiesOf(rule, known, inside))) };
  };
  return {
    ...settings(DENY_RULES, rbac(of('deny', false), of('deny', true))),
    ...settings(ALLOW_RULES, rbac(of('allow', false), of('allow', true))),
  };
}

function rbac(rules: RBAC | undefined, shadowRules: RBAC | undefined): RbacFilter {
  return {
    ...(rules !== undefined && { rules }),
    ...(shadowRules !== undefined && { shadowRules, shadowRulesStatPrefix: AUDIT_PREFIX, trackPerRuleStats: true }),
  };
}

function settings(name: string, config: RbacFilter): { [filter: string]: Any } {
  return Object.keys(config).length === 0 ? {} : { [name]: pack(RBACPerRoute, { rbac: config }) };
}

/** None where it could not be told and would allow. */
function policiesOf(rule: AccessRule, context: Context, at: At): [name: string, policy: Policy][] {
  const { name, effect, subjects, permissions, when } = rule;
  const denies = effect === 'deny';
  const policy: Policy = {
    permissions: permissions.length === 0 ? [ANY] : permissions.map((permission) => permissionOf(permission, denies)),
    principals: subjects.map((subject) => subjectPrincipal(subject, context.issuers)),
  };
  if (when === undefined) return [[name, policy]];
  try {
    return [[name, { ...policy, condition: envoyCondition(when, { ...context, denies }, at.field('when')) }]];
  } catch (error) {
    if (!(error instanceof XdsRejection)) throw error;
    const effect = denies ? 'it denies there whatever its condition says' : 'it allows nobody there';
    context.tell(name, `${error.reason}; ${effect}`, at);
    return denies ? [[name, policy]] : [];
  }
}

/** A stream of bytes has none of what is asked for. */
function permissionOf({ methods, paths, authorities, headers }: PermissionConfig, denies: boolean): Permission {
  const asks = methods !== undefined || paths !== undefined || authorities !== undefined || (headers ?? []).length > 0;
  if (!asks) return ANY;
  return allOf([
    not(header(CONNECT)),
    ...(methods === undefined ? [] : [header(methodMatcher(methods, denies))]),
    ...(paths === undefined ? [] : [pathPermission(paths, denies)]),
    ...(authorities === undefined ? [] : [oneOf(authorities.map((one) => header(authorityMatcher(one))))]),
    ...(headers ?? []).map((field) => header(headerMatcher(field))),
  ]);
}

export function header(matcher: HeaderMatcher): Permission {
  return { rule: { $case: 'header', value: matcher } };
}

/** Servers there are to which `get` is GET. */
function methodMatcher(methods: readonly string[], denies: boolean): HeaderMatcher {
  const any = methods.map(escaped).join('|');
  return matching(':method', denies ? `(?i:${any})` : any);
}

/** With or without port, and the dot of the root. */
export function authorityMatcher({ kind, value }: TextMatch): HeaderMatcher {
  const text = kind === 'regex' ? `(?:${value})` : escaped(value);
  const end = '\\.?(?::[^:\\]]*)?';
  const patterns: Readonly<Record<TextMatch['kind'], string>> = {
    exact: `${text}${end}`,
    prefix: `${text}.*`,
    suffix: `.*${text}${end}`,
    contains: `.*${text}.*`,
    regex: `${text}${end}`,
  };
  return matching(':authority', `(?i:${patterns[kind]})`);
}
