// Who may call a server without a proxy, as gRPC libraries enforce it (gRFC A41): by certificate, address, method and metadata. They know no tokens, no
// conditions and no authorizers. Rules that ask for such fail closed: they do not allow, or deny whatever the rest of them says.
import type {
  AccessPolicy,
  AccessRule,
  ExternalAuthorizer,
  Permission as PermissionConfig,
  Subject,
  TokenPolicy,
  TokenSource,
} from '@heddle/core';
import { type Permission, type Policy, type Principal, type RBAC, RBAC_Action } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import type { HeaderMatcher } from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { RBAC as RbacFilter } from '../../../gen/foreign/envoy/extensions/filters/http/rbac/v3/rbac.ts';
import type { HttpFilter } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { pack } from '../strict.ts';
import { ANY, authorityMatcher, header } from './envoy-access.ts';
import { escaped, headerMatcher, matching } from './envoy-match.ts';
import { allOf, oneOf, pathPermission } from './envoy-paths.ts';
import { identityPrincipal, subjectPrincipal } from './envoy-subjects.ts';

const METHOD = 'POST';
const ANYBODY: Principal = { identifier: { $case: 'any', value: true } };

/** What a virtual host says, and who is denied everywhere. */
export interface GrpcPolicies {
  readonly access: AccessPolicy | undefined;
  readonly tokens: TokenPolicy | undefined;
  readonly denied: readonly string[];
}

/** Told what the libraries cannot follow. */
export type Tell = (what: string, reason: string) => void;

/** In the order in which calls meet them; the router comes behind. */
export function grpcAccessFilters({ access, tokens, denied }: GrpcPolicies, tell: Tell): HttpFilter[] {
  return [
    ...(denied.length > 0 ? [filter('denied identities', RBAC_Action.DENY, { denied: deniedPolicy(denied) })] : []),
    ...(tokens === undefined ? [] : [filter('tokens', RBAC_Action.DENY, { tokens: tokenPolicy(tokens, tell) })]),
    ...(access === undefined ? [] : ruleFilters(access, tell)),
    ...(access?.external === undefined
      ? []
      : [filter('authorizer', RBAC_Action.DENY, { authorizer: authorizerPolicy(access.external, tell) })]),
  ];
}

function filter(name: string, action: RBAC['action'], policies: { [name: string]: Policy }): HttpFilter {
  return { name, configType: { $case: 'typedConfig', value: pack(RbacFilter, { rules: { action, policies } }) } };
}

function deniedPolicy(denied: readonly string[]): Policy {
  return { permissions: [ANY], principals: denied.map((id) => identityPrincipal({ kind: 'exact', id })) };
}

/** Nobody looks at the token, and nobody takes away what a caller says in the place of its claims: a call with either is refused. */
function tokenPolicy({ issuers }: TokenPolicy, tell: Tell): Policy {
  tell('tokens', 'gRPC libraries cannot check tokens: calls that bring one are refused there');
  const sources = issuers.flatMap((issuer) => issuer.sources.map(tokenMatcher));
  const claims = issuers.flatMap(({ claimHeaders }) => claimHeaders.map(({ header: name }) => present(name)));
  return { permissions: [...sources, ...claims].map(header), principals: [ANYBODY] };
}

function tokenMatcher(source: TokenSource): HeaderMatcher {
  if (source.kind === 'cookie') return matching('cookie', `(?:.*[; ])?${escaped(source.name)}=.*`);
  return matching(source.name, `(?i:${escaped(source.prefix.trim())}).*`);
}

function present(name: string): HeaderMatcher {
  return { name, headerMatchSpecifier: { $case: 'presentMatch', value: true } };
}

function authorizerPolicy(_external: ExternalAuthorizer, tell: Tell): Policy {
  tell('authorizer', 'gRPC libraries cannot ask an authorizer: all calls are refused there');
  return { permissions: [ANY], principals: [ANYBODY] };
}

/** A policy that only watches refuses nothing, and the libraries do not watch. */
function ruleFilters({ default: fallback, rules, audit }: AccessPolicy, tell: Tell): HttpFilter[] {
  if (audit === true) return [];
  const of = (effect: AccessRule['effect']): { [name: string]: Policy } =>
    Object.fromEntries(
      rules
        .filter((rule) => rule.effect === effect && rule.audit !== true)
        .flatMap((rule): [string, Policy][] => {
          const policy = policyOf(rule, tell);
          return policy === undefined ? [] : [[rule.name, policy]];
        }),
    );
  const denials = of('deny');
  return [
    ...(Object.keys(denials).length > 0 ? [filter('deny rules', RBAC_Action.DENY, denials)] : []),
    ...(fallback === 'deny' ? [filter('allow rules', RBAC_Action.ALLOW, of('allow'))] : []),
  ];
}

/** Undefined: no call fits, or it cannot be told and would allow. */
function policyOf({ name, effect, subjects, permissions, when }: AccessRule, tell: Tell): Policy | undefined {
  const denies = effect === 'deny';
  const otherwise = denies ? 'it denies there whatever that says' : 'it allows nobody there by that';
  const untold = (reason: string): void => tell(`access rule ${name}`, `${reason}; ${otherwise}`);
  if (when !== undefined) {
    untold('gRPC libraries know no conditions');
    if (!denies) return undefined;
  }
  const principals = subjects.flatMap((subject) => principalsOf(subject, denies, untold));
  const own = permissions.flatMap((permission) => permissionsOf(permission, denies, untold));
  if (principals.length === 0 || (permissions.length > 0 && own.length === 0)) return undefined;
  return { permissions: permissions.length === 0 ? [ANY] : own, principals };
}

function principalsOf({ token, ...subject }: Subject, denies: boolean, untold: (reason: string) => void): Principal[] {
  if (token !== undefined) untold('gRPC libraries cannot check tokens');
  return token !== undefined && !denies ? [] : [subjectPrincipal(subject, new Map())];
}

/** None where no call can fit. */
function permissionsOf(
  { methods, paths, authorities, headers = [] }: PermissionConfig,
  denies: boolean,
  untold: (reason: string) => void,
): Permission[] {
  const known = methods?.map((method) => (denies ? method.toUpperCase() : method));
  if (known !== undefined && !known.includes(METHOD)) return [];
  const hidden = headers.filter(({ name }) => isHidden(name));
  for (const { name } of hidden) untold(`gRPC libraries do not look at the header ${JSON.stringify(name)}`);
  if (hidden.length > 0 && !denies) return [];
  return [
    allOf([
      ...(paths === undefined ? [] : [pathPermission(paths, denies)]),
      ...(authorities === undefined ? [] : [oneOf(authorities.map((one) => header(authorityMatcher(one))))]),
      ...headers.filter(({ name }) => !isHidden(name)).map((field) => header(headerMatcher(field))),
    ]),
  ];
}

function isHidden(name: string): boolean {
  return name.startsWith('grpc-') || name.endsWith('-bin');
}
