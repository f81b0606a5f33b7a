// What a mesh file may declare: checked as a whole before anything is written, so that data planes are never told what leads nowhere.
import { isIP } from 'node:net';
import {
  ACCESS_RULES_MAX,
  DEFAULT_SECURITY,
  MESH_DOMAIN,
  RouteConfigError,
  accessRuleProblem,
  assignVirtualAddresses,
  compileRoutes,
  isServerName,
  isVirtualAddress,
  serviceHostnames,
  serviceKey,
  subsetName,
} from '@heddle/core';
import type {
  AccessTarget,
  ConditionCompiler,
  EgressHost,
  SecurityConfig,
  Service,
  ServiceRef,
  TelemetryConfig,
  TrafficRule,
  VirtualHost,
} from '@heddle/core';
import { compileRequestRoutes } from '../compiler/request-routes.ts';
import { POLICY_LIMITS } from '../schema/limits.ts';
import { RegistryError } from './errors.ts';
import { MESH_FILE_KEYS, SECURITY, SERVICES, egressStoreKey, serviceStoreKey } from './keys.ts';
import { invalid } from './reader.ts';
import { securityParts } from './security-record.ts';
import { declaredValues, heldAddresses, readService } from './service-record.ts';
import type { StoreEntry, StoreOperation } from './store.ts';
import { TRANSACTION_LIMITS } from './transaction.ts';

/**
 * Throws RegistryError INVALID that says what leads nowhere, and where; LIMIT. Without `conditions` the conditions of access rules are not
 * looked at.
 */
export function checkDeclaration(
  services: readonly Service[],
  egress: readonly EgressHost[],
  security: SecurityConfig = DEFAULT_SECURITY,
  conditions?: ConditionCompiler,
): void {
  const byKey = new Map(services.map((service) => [serviceKey(service), service]));
  for (const service of services) {
    checkBytes(service);
    const names = new Set<string>();
    for (const rule of service.rules) {
      const path = `service ${serviceKey(service)}: rule ${JSON.stringify(rule.name)}:`;
      if (names.has(rule.name)) throw invalid(path, 'is there twice; give each rule a name of its own');
      names.add(rule.name);
      checkRule(path, rule, byKey);
    }
    checkRoutes(service, byKey);
  }
  checkEgress(services, egress);
  checkSecurity(security, byKey, conditions);
}

/** Reading conditions takes a module that a mesh without any does not load. */
export async function conditionsOf({ access }: SecurityConfig): Promise<ConditionCompiler | undefined> {
  if (!access.rules.some(({ when }) => when !== undefined)) return undefined;
  return (await import('@heddle/core/cel')).compileCondition;
}

/** What is to hold. */
export interface Declaration {
  readonly services: readonly Service[];
  readonly egress: readonly EgressHost[];
  readonly security: SecurityConfig;
  readonly telemetry: TelemetryConfig;
  /** By key; undefined: it stays as it is. */
  readonly origin: ReadonlyMap<string, string> | undefined;
}

/** @param present all that is below `DECLARED_KEYS`. Throws RegistryError: INVALID, LIMIT. */
export function declarationOperations(
  present: readonly StoreEntry[],
  { services, egress, security, telemetry, origin }: Declaration,
): StoreOperation[] {
  const below = (prefix: string): StoreEntry[] => present.filter(({ key }) => key.startsWith(prefix));
  const isOther = ({ key }: StoreEntry): boolean => !key.startsWith(SECURITY) && !key.startsWith(MESH_FILE_KEYS);
  const addresses = assignVirtualAddresses(services.map(serviceKey), heldAddresses(below(SERVICES)));
  const values = declaredValues(new Map(services.map((service) => [serviceStoreKey(service), service])), addresses, egress, telemetry);
  return [
    ...(origin === undefined ? [] : declarationOf(below(MESH_FILE_KEYS), origin)),
    // First, in one piece: a service that is new is never without them.
    ...declarationOf(below(SECURITY), securityParts(security)),
    ...declarationOf(present.filter(isOther), values),
  ];
}

/** Writes what is not yet so. Throws RegistryError: INVALID, LIMIT. */
function declarationOf(present: readonly StoreEntry[], wanted: ReadonlyMap<string, string>): StoreOperation[] {
  const before = new Map(present.map(({ key, value }) => [key, value]));
  const operations: StoreOperation[] = [];
  for (const [key, value] of wanted) {
    if (before.get(key) === value) continue;
    checkValue(key, value);
    operations.push({ kind: 'put', key, value });
  }
  for (const key of before.keys()) if (!wanted.has(key)) operations.push({ kind: 'delete', key });
  return operations;
}

/** What cannot be read back must not be written: it would be missing after the next start. */
function checkValue(key: string, value: string): void {
  const name = key.split('/').slice(3).join('/');
  if (value.length > TRANSACTION_LIMITS.valueChars)
    throw new RegistryError(
      'LIMIT',
      `${name}: what is declared has ${value.length} characters as JSON, the registry takes ${TRANSACTION_LIMITS.valueChars}; write fewer or shorter rules`,
    );
  if (!key.startsWith(SERVICES)) return;
  try {
    readService(value);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw new RegistryError(error.code, `${name}: ${error.message}`, error);
  }
}

function checkBytes(service: Service): void {
  if (!isOpaque(service)) return;
  const what = service.rules.length > 0 ? 'rules' : service.rateLimits.length > 0 ? 'rate limits' : undefined;
  if (what !== undefined)
    throw invalid(`service ${serviceKey(service)}:`, `has ${what}, which are for requests; ${service.protocol} is carried as bytes`);
}

function checkRule(path: string, { action }: TrafficRule, services: ReadonlyMap<string, Service>): void {
  if (action.kind !== 'forward') return;
  for (const { service, labels } of action.to) checkTarget(path, 'destination', service, labels, services);
  for (const { service, labels } of action.mirrors ?? []) checkTarget(path, 'mirror', service, labels, services);
  if (action.to.length > 1 && action.to.every(({ weight }) => weight === 0))
    throw invalid(path, 'splits between destinations that all have weight 0; give at least one of them a weight');
}

function checkTarget(
  path: string,
  what: string,
  ref: ServiceRef,
  labels: Readonly<Record<string, string>>,
  services: ReadonlyMap<string, Service>,
): void {
  const key = serviceKey(ref);
  const target = services.get(key);
  if (target === undefined)
    throw invalid(path, `has the ${what} ${key}${subsetName(labels)}, and there is no service ${key}; declare it, or correct the name`);
  if (isOpaque(target)) throw invalid(path, `has the ${what} ${key}, which is spoken to by ${target.protocol}: it takes no requests`);
}

/** As data planes do: what they would refuse would keep them from all other changes too. */
function checkRoutes(service: Service, services: ReadonlyMap<string, Service>): void {
  if (service.rules.length === 0 && service.hash.length === 0 && service.rateLimits.length === 0) return;
  const key = serviceKey(service);
  const host = (name: string, routes: VirtualHost['routes']): VirtualHost => ({ name, domains: [name.replaceAll(' ', '-')], routes });
  const limited = service.rateLimits.map(({ match }, index) => {
    const name = `rate limit ${index + 1}`;
    return host(name, match === undefined ? [] : [{ name, match, action: { kind: 'respond', status: 429, body: '', contentType: '' } }]);
  });
  const routes = compileRequestRoutes(service, (ref) => services.get(serviceKey(ref)));
  try {
    compileRoutes({ name: key, virtualHosts: [host('rules', routes), ...limited] });
  } catch (error) {
    if (!(error instanceof RouteConfigError)) throw error;
    throw new RegistryError('INVALID', `service ${key}: ${error.message}`, error);
  }
}

/** As data planes do. */
function checkSecurity(
  { access }: SecurityConfig,
  services: ReadonlyMap<string, Service>,
  conditions: ConditionCompiler | undefined,
): void {
  const names = new Set<string>();
  const counts = new Map<string, number>();
  for (const rule of access.rules) {
    const path = `security: access rule ${JSON.stringify(rule.name)}:`;
    if (names.has(rule.name)) throw invalid(path, 'is there twice; give each rule a name of its own');
    names.add(rule.name);
    const problem = accessRuleProblem(rule, conditions);
    if (problem !== undefined) throw new RegistryError('INVALID', `security: ${problem.message}`, problem);
    for (const target of rule.to.length === 0 ? [''] : new Set(rule.to.map(targetKey))) counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  for (const service of services.values()) {
    const of = ['', service.namespace, serviceKey(service)].reduce((sum, key) => sum + (counts.get(key) ?? 0), 0);
    if (of <= ACCESS_RULES_MAX) continue;
    const message = `security: ${of} access rules are for ${serviceKey(service)}, the limit is ${ACCESS_RULES_MAX}; say with roles or namespaces what they share`;
    throw new RegistryError('LIMIT', message);
  }
  if (access.external !== undefined) checkTarget('security: access:', 'authorizer', access.external.service, {}, services);
}

function targetKey(target: AccessTarget): string {
  return target.kind === 'namespace' ? target.namespace : serviceKey(target.service);
}

function isOpaque({ protocol }: Service): boolean {
  return protocol === 'tcp' || protocol === 'tls';
}

function checkEgress(services: readonly Service[], egress: readonly EgressHost[]): void {
  if (egress.length > POLICY_LIMITS.egressHosts)
    throw new RegistryError('LIMIT', `${egress.length} hosts outside the mesh are declared, the limit is ${POLICY_LIMITS.egressHosts}`);
  const names = new Set(services.flatMap((service) => serviceHostnames(service).map((name) => name.toLowerCase())));
  const keys = new Set<string>();
  for (const one of egress) {
    const host = one.host.toLowerCase();
    const path = `egress: ${host}:${one.port}:`;
    const key = egressStoreKey(one);
    if (keys.has(key)) throw invalid(path, 'is declared twice; a host and port have one protocol');
    keys.add(key);
    if (host.includes('*')) throw invalid(path, 'stands for many hosts, which cannot be called through the mesh; declare each of them');
    if (names.has(host) || isVirtualAddress(host) || host === MESH_DOMAIN || host.endsWith(`.${MESH_DOMAIN}`))
      throw invalid(path, 'is a name of the mesh itself, not of a host outside it');
    if (one.protocol === 'https' && isIP(host) !== 0)
      throw invalid(path, 'is an address: a certificate is checked against a name; declare the name, or tcp with TLS in the application');
    if (isIP(host) === 0 && !isServerName(host)) throw invalid(path, 'is neither a host name nor an address');
  }
}
