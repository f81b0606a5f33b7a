// What a data plane is told about a workload it shall host, read strictly from the admin API's JSON.
import {
  type AttributeProblem,
  DEFAULT_LIMITS,
  ipBytes,
  type Locality,
  localityProblem,
  metadataProblem,
  type NamedPorts,
  type OutboundPort,
  parseJoinToken,
  portsProblem,
  serviceKey,
  type ServiceRef,
  type SocketAddress,
} from '@heddle/core';

export interface WorkloadSpec {
  readonly service: ServiceRef;
  readonly instance: string;
  /** One-time; may be absent when the data plane still holds a certificate of this workload. */
  readonly joinToken: string | undefined;
  readonly application: SocketAddress;
  /** Port 0: the system chooses. */
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Other ports of the application; the proxy has nothing to do with them. */
  readonly ports: NamedPorts;
  readonly locality: Locality | undefined;
  readonly weight: number;
  /** Why its process is not there, for people; then it gets no calls, whatever its checks find. Undefined: it is there, or about to be. */
  readonly down?: string | undefined;
}

/** Thrown for a body that cannot be used; the message names the field, the rule and what was given. */
export class WorkloadSpecError extends Error {}

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** As the registry takes them: what it would refuse later is refused here, where somebody reads the answer. */
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,315}[A-Za-z0-9])?$/;
const CONTROL_CHARACTER = /[\p{Cc}\p{Cs}]/u;
const LABELS_MAX = 64;
const LABEL_VALUE_MAX = 256;
const VERSION_MAX = 128;
const TOKEN_MAX = 4_096;
const WEIGHT_MAX = 1_000;
/** As the registry keeps reasons. */
const DOWN_MAX = 300;
const FIELDS: readonly string[] = 'joinToken application inbound outbounds version labels metadata ports locality weight down'.split(' ');

export function workloadName(service: ServiceRef, instance: string): string {
  return `${service.namespace}/${service.name}/${instance}`;
}

/** `path`: the three segments of the URL. Throws WorkloadSpecError. */
export function parseWorkloadSpec(path: readonly string[], body: unknown): WorkloadSpec {
  const [namespace, service, instance] = path;
  const record = object('body', body, FIELDS);
  const spec: WorkloadSpec = {
    service: { namespace: name('namespace', namespace), name: name('service', service) },
    instance: name('instance', instance),
    joinToken: record.joinToken === undefined ? undefined : text('joinToken', record.joinToken, TOKEN_MAX),
    application: address('application', record.application, 1),
    inbound: address('inbound', record.inbound, 0),
    outbounds: outbounds(record.outbounds ?? []),
    version: record.version === undefined ? '' : text('version', record.version, VERSION_MAX),
    labels: labels(record.labels ?? {}),
    metadata: attributes('metadata', record.metadata ?? {}, metadataProblem),
    ports: attributes('ports', record.ports ?? {}, portsProblem),
    locality: record.locality === undefined ? undefined : locality(record.locality),
    weight: record.weight === undefined ? 1 : integer('weight', record.weight, 1, WEIGHT_MAX),
    ...(record.down !== undefined && { down: text('down', record.down, DOWN_MAX) }),
  };
  if (isWildcard(spec.inbound.address))
    fail('inbound.address', `must be an address that peers can connect to, not ${spec.inbound.address}`);
  if (spec.joinToken !== undefined) checkToken(spec.joinToken, spec.service);
  checkPorts(spec);
  return spec;
}

/** Two specs that describe the same: putting the second in place of the first closes no socket. Its token, and whether its process is there, aside. */
export function sameWorkload(a: WorkloadSpec, b: WorkloadSpec): boolean {
  const described = (spec: WorkloadSpec): string => JSON.stringify({ ...spec, joinToken: '', down: '' });
  return described(a) === described(b);
}

/** The sockets that the workload needs; those with port 0 are free to choose. */
export function wantedSockets({ inbound, outbounds: ports }: Pick<WorkloadSpec, 'inbound' | 'outbounds'>): SocketAddress[] {
  return [inbound, ...ports.map(({ listen }) => listen)];
}

export function sameSocket(a: SocketAddress, b: SocketAddress): boolean {
  return a.address === b.address && a.port === b.port;
}

/** Before anything is given up for it: a token that cannot be this workload's. Whether it has been used, the control plane knows. */
function checkToken(token: string, service: ServiceRef): void {
  const parsed = parseJoinToken(token);
  if (!parsed.ok) return fail('joinToken', `cannot be used: ${parsed.reason}`);
  const { namespace, service: tokenService } = parsed.token;
  if (namespace === service.namespace && tokenService === service.name) return;
  fail(
    'joinToken',
    `is for ${namespace}/${tokenService}, not for ${serviceKey(service)}; make one with \`heddle token create --service ${service.name}\``,
  );
}

function checkPorts(spec: WorkloadSpec): void {
  const services = new Set<string>();
  spec.outbounds.forEach(({ service }, index) => {
    if (services.has(serviceKey(service)))
      fail(`outbounds[${index}]`, `names ${serviceKey(service)} a second time; a service needs one local port`);
    services.add(serviceKey(service));
  });
  const sockets = wantedSockets(spec).filter(({ port }) => port !== 0);
  sockets.forEach((socket, index) => {
    if (sockets.findIndex((other) => sameSocket(other, socket)) !== index)
      fail('body', `uses ${socket.address}:${socket.port} twice; each port can lead to one place only`);
  });
}

function outbounds(value: unknown): OutboundPort[] {
  if (!Array.isArray(value)) return fail('outbounds', 'must be a list');
  if (value.length > DEFAULT_LIMITS.outboundsPerWorkloadMax)
    fail('outbounds', `may hold at most ${DEFAULT_LIMITS.outboundsPerWorkloadMax} entries`);
  return value.map((item, index) => {
    const where = `outbounds[${index}]`;
    const record = object(where, item, ['namespace', 'service', 'listen']);
    return {
      service: { namespace: name(`${where}.namespace`, record.namespace), name: name(`${where}.service`, record.service) },
      listen: address(`${where}.listen`, record.listen, 0),
    };
  });
}

function labels(value: unknown): Record<string, string> {
  const entries = Object.entries(object('labels', value));
  if (entries.length > LABELS_MAX) fail('labels', `may hold at most ${LABELS_MAX} entries`);
  for (const [key] of entries) {
    if (!LABEL_NAME.test(key))
      fail(
        `labels[${JSON.stringify(key.slice(0, 80))}]`,
        'is not a label name: 1 to 317 letters, digits, ".", "_", "-" or "/", a letter or digit at both ends',
      );
  }
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, text(`labels.${key}`, item, LABEL_VALUE_MAX)]),
  );
}

/** In order, so that the same are the same. */
function attributes<T extends string | number>(
  where: string,
  value: unknown,
  problem: (entries: [string, unknown][]) => AttributeProblem | undefined,
): Record<string, T> {
  const entries = Object.entries(object(where, value));
  const found = problem(entries);
  if (found !== undefined) fail(found.key === undefined ? where : `${where}[${JSON.stringify(found.key.slice(0, 80))}]`, found.rule);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) as Record<string, T>;
}

function locality(value: unknown): Locality {
  const { region, zone, subZone } = object('locality', value, ['region', 'zone', 'subZone']);
  const found = localityProblem({ region, zone, subZone });
  if (found !== undefined) fail(`locality.${found.key}`, found.rule);
  return { region, zone, ...(subZone === undefined ? {} : { subZone }) } as Locality;
}

function address(where: string, value: unknown, portMin: number): SocketAddress {
  const record = object(where, value, ['address', 'port']);
  const ip = text(`${where}.address`, record.address, 45);
  if (ipBytes(ip) === undefined) fail(`${where}.address`, `must be an IPv4 or IPv6 address, not ${JSON.stringify(ip)}`);
  return { address: ip, port: integer(`${where}.port`, record.port, portMin, 65_535) };
}

/** Stands for "any address of this machine". */
function isWildcard(ip: string): boolean {
  return ipBytes(ip)?.every((byte) => byte === 0) === true;
}

/** `known`: the only fields it may have; absent: any. */
function object(where: string, value: unknown, known?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(where, 'must be an object');
  const unknown = known === undefined ? undefined : Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) fail(where === 'body' ? unknown : `${where}.${unknown}`, `is not known; known are ${known?.join(', ')}`);
  return value as Record<string, unknown>;
}

function name(where: string, value: unknown): string {
  if (typeof value !== 'string' || !NAME.test(value))
    return fail(where, 'must be a name of 1 to 63 letters, digits, ".", "_" or "-", a letter or digit at both ends');
  return value;
}

function text(where: string, value: unknown, max: number): string {
  if (typeof value !== 'string' || value.length > max) return fail(where, `must be a string of at most ${max} characters`);
  if (CONTROL_CHARACTER.test(value)) fail(where, 'contains a control character');
  return value;
}

function integer(where: string, value: unknown, min: number, max: number): number {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    return fail(where, `must be a whole number from ${min} to ${max}`);
  }
  return value as number;
}

function fail(where: string, rule: string): never {
  throw new WorkloadSpecError(`${where} ${rule}`);
}
