// What rules and roles mean to one another, to the services they are for, and to the issuers of tokens.
import type { ConditionCompiler } from '../../authz/index.ts';
import { CompiledPermission } from '../../authz/permission.ts';
import { EVERY_SERVICE } from '../build/access.ts';
import { buildPathMatch } from '../build/match.ts';
import { ruleName } from '../build/rules.ts';
import { carriesBytes } from '../build/traffic.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { ROLE_PATTERN } from '../schema/access.ts';
import type { PathOutput } from '../schema/match.ts';
import { listed, nearest } from '../suggest.ts';
import { checkAuthority, checkFields, checkMethods, checkPath } from './match.ts';
import { arrayOf, checkTwice, compileFault, items, keyFault, noEffect, present, recordOf, valueFault, warning, type Raw } from './raw.ts';
import type { SecurityNames } from './security-names.ts';
import { checkServiceAndNamespace, checkToken, checkWhos, OF_TOKENS } from './who.ts';

const OF_REQUESTS = ['methods', 'paths', 'grpc', 'hosts', 'headers'];
const GRPC_PROTOCOLS: readonly unknown[] = ['grpc', 'http2'];

export interface AccessScope {
  readonly names: SecurityNames;
  /** Names. */
  readonly issuers: readonly string[];
  readonly conditions: ConditionCompiler | undefined;
}

interface Scope extends AccessScope {
  /** Names. */
  readonly roles: readonly string[];
}

/** @param path of `access`. */
export function checkAccess(access: unknown, given: AccessScope, path: Path): Fault[] {
  if (!isRecord(access)) return [];
  const scope: Scope = { ...given, roles: Object.keys(recordOf(access['roles'])) };
  return [
    ...checkDefault(access, path),
    ...checkAuthorizer(access['authorizer'], given.names, [...path, 'authorizer']),
    ...checkRoles(access, scope, path),
    ...checkRules(access['rules'], scope, [...path, 'rules']),
  ];
}

/** Rules that change nothing, and a mesh in which nobody may do anything. */
function checkDefault(access: Raw, path: Path): Fault[] {
  const rules = arrayOf(access['rules']).filter(isRecord);
  const isAllow = ({ effect, audit }: Raw): boolean => effect !== 'deny' && audit !== true;
  const hasRoles = Object.values(recordOf(access['roles'])).some((role) => recordOf(role)['permissions'] !== undefined);
  if (access['default'] === 'allow') {
    if (rules.length === 0 && !hasRoles) return [];
    if (rules.some((rule) => !isAllow(rule))) return [];
    const reason = 'what fits no rule is allowed, and all rules allow: they change nothing';
    return [warning(valueFault([...path, 'default'], reason, 'write "default: deny", or rules with "effect: deny"'))];
  }
  if (rules.some(isAllow) || hasRoles || access['audit'] === true) return [];
  const reason = 'no rule allows anything, so that every call is refused';
  return [warning(keyFault(path, reason, 'add rules such as "{ from: [web], to: orders }", or write "default: allow"'))];
}

function checkAuthorizer(authorizer: unknown, names: SecurityNames, path: Path): Fault[] {
  const { service } = recordOf(authorizer);
  if (typeof service !== 'string' || service === '') return [];
  const at = [...path, 'service'];
  const faults = names.checkService(service, at);
  const { protocol } = recordOf(names.services[service]);
  if (faults.length > 0 || !Object.hasOwn(names.services, service) || GRPC_PROTOCOLS.includes(protocol)) return faults;
  const reason = `it is asked by gRPC, and ${shown(service)} has protocol ${shown(protocol ?? 'http')}`;
  return [valueFault(at, reason, 'write "protocol: grpc" at the service')];
}

function checkRoles(access: Raw, scope: Scope, path: Path): Fault[] {
  const used = new Set(arrayOf(access['rules']).flatMap((rule) => items(recordOf(rule)['roles'], []).map(({ value }) => value)));
  return Object.entries(recordOf(access['roles'])).flatMap(([name, role]): Fault[] => {
    const at = [...path, 'roles', name];
    const { members, permissions } = recordOf(role);
    const faults = checkWhos(members, scope.names, scope.issuers, [...at, 'members']);
    if (!ROLE_PATTERN.test(name))
      faults.push(
        keyFault(
          at,
          `${shown(name)} is not the name of a role`,
          'use letters, digits, ".", "_" and "-", at most 63, beginning and ending with a letter or digit',
        ),
      );
    else if (isRecord(role) && permissions === undefined && !used.has(name))
      faults.push(
        warning(keyFault(at, 'has no effect: it has no permissions, and no rule has it in "roles"', 'add "permissions", or remove it')),
      );
    const seen = new Set<string>();
    for (const { value, path: inside } of items(permissions, [...at, 'permissions'])) {
      if (!isRecord(value)) continue;
      faults.push(...checkTargets(value['to'], scope.names, [...inside, 'to']), ...checkAsked(value, false, scope.names, inside));
      const key = JSON.stringify(value);
      if (seen.has(key)) faults.push(valueFault(inside, 'is listed twice', 'remove one of the two'));
      seen.add(key);
    }
    return faults;
  });
}

function checkRules(rules: unknown, scope: Scope, path: Path): Fault[] {
  const names = new Map<string, number>();
  return arrayOf(rules).flatMap((rule, index): Fault[] => {
    if (!isRecord(rule)) return [];
    const inside = [...path, index];
    const name = ruleName(rule['name'], index);
    const first = names.get(name);
    if (first === undefined) names.set(name, index);
    const faults = checkRule(rule, scope, inside);
    if (first === undefined) return faults;
    const at = rule['name'] === undefined ? inside : [...inside, 'name'];
    return [...faults, valueFault(at, `rules[${first}] is called ${shown(name)} already`, 'give each rule a name of its own')];
  });
}

function checkRule(rule: Raw, scope: Scope, path: Path): Fault[] {
  const { names, issuers } = scope;
  const faults: Fault[] = [];
  if (present(rule, ['from', ...OF_TOKENS]).length === 0)
    faults.push(
      keyFault(
        [...path, 'from'],
        'is missing: the rule does not say who',
        'add "from: [web]" for services, "from: mesh" for every identity, or "from: anyone" for everybody',
      ),
    );
  if (rule['to'] === undefined) {
    const reason = 'is missing: the rule does not say which service it is for';
    faults.push(keyFault([...path, 'to'], reason, 'add "to: orders", or "to: \'*\'" for all'));
  }
  return [
    ...faults,
    ...checkWhos(rule['from'], names, issuers, [...path, 'from']),
    ...checkTargets(rule['to'], names, [...path, 'to']),
    ...checkRoleNames(rule, scope, [...path, 'roles']),
    // A role of the mesh needs no token.
    ...checkToken({ ...rule, roles: undefined }, issuers, path),
    ...checkAsked(rule, rule['effect'] === 'deny', names, path),
    ...checkTokensOfBytes(rule, names, path),
    ...checkCondition(rule['when'], scope, [...path, 'when']),
  ];
}

/** @param path of the list, or of the only one. */
function checkTargets(to: unknown, names: SecurityNames, path: Path): Fault[] {
  const all = items(to, path);
  const hasEvery = all.some(({ value }) => value === EVERY_SERVICE);
  const seen = new Set<string>();
  return all.flatMap(({ value, path: at }): Fault[] => {
    const key = JSON.stringify(value);
    const isTwice = seen.has(key);
    seen.add(key);
    if (isTwice)
      return [valueFault(at, typeof value === 'string' ? `${shown(value)} is listed twice` : 'is listed twice', 'remove one of the two')];
    if (value === EVERY_SERVICE) return [];
    if (hasEvery) return [noEffect(at, '"*" stands beside it and is every service', 'remove one of the two')];
    if (typeof value === 'string') return checkTargetName(value, names, at);
    if (!isRecord(value)) return [];
    if (present(value, ['service', 'namespace']).length === 0)
      return [valueFault(at, 'needs "service" or "namespace"', 'for example "namespace: shop"')];
    return checkServiceAndNamespace(value['service'], value['namespace'], names, at);
  });
}

function checkTargetName(text: string, names: SecurityNames, path: Path): Fault[] {
  const namespace = /^([^/]+)\/\*$/.exec(text)?.[1];
  if (namespace !== undefined)
    return [valueFault(path, `${shown(text)} is not the name of a service`, `write "{ namespace: ${namespace} }"`)];
  return names.checkService(text, path);
}

function checkRoleNames(rule: Raw, { roles, issuers }: Scope, path: Path): Fault[] {
  const written = rule['roles'];
  return [
    ...checkTwice(written, path),
    ...items(written, path).flatMap(({ value, path: at }): Fault[] => {
      if (typeof value !== 'string' || value === '' || roles.includes(value)) return [];
      const meant = nearest(value, roles);
      const reason = `there is no role ${shown(value)}`;
      if (rule['jwt'] !== undefined) {
        if (meant === undefined) return [];
        return [warning(valueFault(at, `${reason}: the roles in the token are meant`, `did you mean "${meant}"?`))];
      }
      if (meant !== undefined) return [valueFault(at, reason, `did you mean "${meant}"?`)];
      const ofToken = issuers.length === 0 ? '' : `, or "jwt: ${issuers.length === 1 ? issuers[0] : 'NAME'}" if it is one in the token`;
      const known = roles.length === 0 ? 'add it to "roles" of "access"' : `use ${listed(roles)}`;
      return [valueFault(at, reason, `${known}${ofToken}`)];
    }),
  ];
}

/** What a rule or a permission asks of requests. @param path of the map that has it, with its `to`. */
function checkAsked(map: Raw, denies: boolean, names: SecurityNames, path: Path): Fault[] {
  const faults = [
    ...checkMethods(map['methods'], [...path, 'methods']),
    ...checkPaths(map['paths'], denies, [...path, 'paths']),
    ...items(map['hosts'], [...path, 'hosts']).flatMap(({ value, path: at }) => checkHost(value, at)),
    ...checkFields(map['headers'], 'header', [...path, 'headers'], { path: 'paths', authority: 'hosts' }),
  ];
  if (isRecord(map['headers']) && Object.keys(map['headers']).length === 0)
    faults.push(valueFault([...path, 'headers'], 'asks for no header', 'remove it'));
  for (const [service, protocol] of servicesOf(map['to'], names)) {
    const what = `${shown(service)} has protocol ${shown(protocol)}`;
    if (carriesBytes(protocol)) {
      const mend = 'remove it, or give the service a rule of its own';
      const why = `${what}: it is carried as a byte stream, in which there are no requests, so that the rule could never fit`;
      faults.push(...present(map, OF_REQUESTS).map((key) => keyFault([...path, key], why, mend)));
    } else if (map['grpc'] !== undefined && !GRPC_PROTOCOLS.includes(protocol))
      faults.push(keyFault([...path, 'grpc'], `${what}, which carries no gRPC calls`, 'write "protocol: grpc", or use "paths"'));
  }
  return [...faults, ...checkGrpc(map, path)];
}

function checkGrpc(map: Raw, path: Path): Fault[] {
  if (map['grpc'] === undefined) return [];
  if (map['paths'] !== undefined)
    return [keyFault([...path, 'grpc'], 'stands beside "paths", and only one of them can count', 'make two rules of it')];
  if (map['methods'] === undefined || items(map['methods'], []).some(({ value }) => value === 'POST')) return [];
  return [keyFault([...path, 'methods'], 'every gRPC call is a POST, so that no request could fit', 'remove it')];
}

/** Paths as the data plane compares them; what could never be equal to a path in its normal form is at fault. */
function checkPaths(paths: unknown, denies: boolean, path: Path): Fault[] {
  return items(paths, path).flatMap(({ value, path: at }): Fault[] => {
    const faults = checkPath(value, at);
    if (faults.length > 0 || !isPath(value)) return faults;
    const match = buildPathMatch(value);
    const inside = typeof value === 'string' ? at : [...at, match.kind];
    return compileFault(inside, () => new CompiledPermission({ paths: [match] }, denies));
  });
}

/** Its form is right, as far as it is looked at here. */
function isPath(value: unknown): value is PathOutput {
  if (typeof value === 'string') return value.startsWith('/');
  const texts = isRecord(value) ? Object.values(value) : [];
  return texts.length === 1 && typeof texts[0] === 'string' && texts[0] !== '';
}

function checkHost(host: unknown, path: Path): Fault[] {
  if (typeof host === 'string' && host.includes('*')) {
    const suffix = /^\*(\.[^*]+)$/.exec(host)?.[1];
    const mend = suffix === undefined ? 'write a map such as "{ prefix: orders. }" for a part of it' : `write "{ suffix: ${suffix} }"`;
    return [valueFault(path, `${shown(host)} has a "*", which no host has`, mend)];
  }
  return checkAuthority(host, path);
}

/** The services of this file that are named, not those that a namespace or `*` takes in, with their protocols. */
function servicesOf(to: unknown, names: SecurityNames): [name: string, protocol: unknown][] {
  return items(to, []).flatMap(({ value }): [string, unknown][] => {
    const written = isRecord(value) ? value['service'] : value;
    const name = typeof written === 'string' ? written.replace(/^default\//, '') : '';
    if (!Object.hasOwn(names.services, name)) return [];
    return [[name, recordOf(names.services[name])['protocol'] ?? 'http']];
  });
}

/** A byte stream carries no token. */
function checkTokensOfBytes(rule: Raw, names: SecurityNames, path: Path): Fault[] {
  const bytes = servicesOf(rule['to'], names).find(([, protocol]) => carriesBytes(protocol));
  if (bytes === undefined) return [];
  const why = `${shown(bytes[0])} has protocol ${shown(bytes[1])}: it is carried as a byte stream, in which there are no tokens`;
  const members = items(rule['from'], [...path, 'from']).filter(({ value }) => isRecord(value) && present(value, OF_TOKENS).length > 0);
  return [
    ...present(rule, ['jwt', 'claims', 'groups']).map((key) => keyFault([...path, key], why, 'remove it')),
    ...members.map(({ path: at }) => valueFault(at, why, 'remove it')),
  ];
}

/** Read as the data plane reads it. */
function checkCondition(when: unknown, { conditions, issuers }: Scope, path: Path): Fault[] {
  if (typeof when !== 'string' || when === '') return [];
  if (conditions === undefined) return [warning(valueFault(path, 'is not looked at here', 'run `heddle validate`'))];
  const faults = compileFault(path, () => conditions(when));
  if (faults.length > 0 || issuers.length > 0 || !conditions(when).readsToken) return faults;
  const reason = 'asks for a token, and there are no issuers of tokens: it can never be told whether it holds';
  return [valueFault(path, reason, 'add "issuers" to "security"')];
}
