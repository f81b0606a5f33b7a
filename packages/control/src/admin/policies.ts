// The rules that hold, for people: whom each is about, on whom, and what. In full or for one service.
import { DEFAULT_NAMESPACE, parseSpiffeId, serviceKey } from '@heddle/core';
import type {
  AccessTarget,
  ClaimMatch,
  IdentityMatch,
  MtlsMode,
  Permission,
  SecurityConfig,
  Service,
  ServiceRef,
  Subject,
} from '@heddle/core';
import { comparison, fieldText, pathText } from './route-text.ts';

type Rule = SecurityConfig['access']['rules'][number];

export interface PolicyRow {
  readonly name: string;
  readonly effect: Rule['effect'];
  readonly audit: boolean;
  readonly from: string;
  readonly to: string;
  readonly what: string;
  readonly when: string;
  readonly rule: Rule;
}

export interface Policies {
  readonly rules: readonly PolicyRow[];
  readonly default: 'allow' | 'deny';
  readonly audit: boolean;
  readonly mtls: MtlsMode;
  readonly tlsMin: string;
  readonly authorizer?: string;
  readonly issuers: readonly string[];
  readonly denied: readonly string[];
}

/** `service`: only the rules that are for it. */
export function policiesOf({ access, mtls, tlsMin, issuers, denied }: SecurityConfig, service?: Service): Policies {
  const rules = service === undefined ? access.rules : access.rules.filter(({ to }) => isFor(to, service));
  return {
    rules: rules.map(rowOf),
    default: access.default,
    audit: access.audit === true,
    mtls: service?.mtls ?? mtls,
    tlsMin,
    ...(access.external !== undefined && { authorizer: serviceKey(access.external.service) }),
    issuers: issuers.map(({ name }) => name),
    denied,
  };
}

function isFor(targets: readonly AccessTarget[], { namespace, name }: ServiceRef): boolean {
  if (targets.length === 0) return true;
  return targets.some((target) =>
    target.kind === 'namespace' ? target.namespace === namespace : target.service.namespace === namespace && target.service.name === name,
  );
}

function rowOf(rule: Rule): PolicyRow {
  const { name, effect, audit, subjects, permissions, when = '', to } = rule;
  return {
    name,
    effect,
    audit: audit === true,
    from: subjects.some((subject) => subjectText(subject) === '') ? '' : subjects.map(subjectText).join(' | '),
    to: to.map(targetText).join(', '),
    what: permissions.some((permission) => permissionText(permission) === '') ? '' : permissions.map(permissionText).join(' | '),
    when,
    rule,
  };
}

/** In a few words: `allow web → orders GET`. */
export function ruleText(rule: Rule): string {
  const { effect, from, to, what } = rowOf(rule);
  return `${effect} ${from || 'anybody'} → ${to || 'every service'}${what === '' ? '' : ` ${what}`}`;
}

function subjectText({ identities, networks, token }: Subject): string {
  const parts = [
    ...(identities === undefined ? [] : [identities.map(identityText).join(', ')]),
    ...(networks === undefined ? [] : [`from ${networks.join(', ')}`]),
    ...(token === undefined ? [] : [tokenText(token)]),
  ];
  return parts.join(' and ');
}

/** Services by their names, as the mesh file has them. */
function identityText(match: IdentityMatch): string {
  if (match.kind === 'any') return 'any identity';
  if (match.kind === 'prefix') return `${match.prefix}*`;
  const id = parseSpiffeId(match.id);
  return id === undefined ? match.id : shortName(id);
}

function tokenText({ issuers, claims }: NonNullable<Subject['token']>): string {
  const of = issuers.length === 0 ? 'a token' : `a token of ${issuers.join(', ')}`;
  return claims.length === 0 ? of : `${of} with ${claims.map(claimText).join(', ')}`;
}

function claimText({ claim, values }: ClaimMatch): string {
  return `${claim.join('.')}=${values.map(String).join('|')}`;
}

function permissionText({ methods, paths, authorities, headers = [] }: Permission): string {
  const parts = [
    ...(methods === undefined ? [] : [methods.join('|')]),
    ...(paths === undefined ? [] : [paths.map(pathText).join('|')]),
    ...(authorities === undefined ? [] : [authorities.map((match) => `authority${comparison(match)}`).join('|')]),
    ...headers.map((header) => fieldText(header)),
  ];
  return parts.join(' ');
}

function targetText(target: AccessTarget): string {
  return target.kind === 'namespace' ? `${target.namespace}/*` : shortName(target.service);
}

function shortName({ namespace, name }: ServiceRef): string {
  return namespace === DEFAULT_NAMESPACE ? name : `${namespace}/${name}`;
}
