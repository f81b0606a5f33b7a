// The door to heddle.discovery.v1: the service for servers and clients, its messages, and the way between these and core's model.
// What comes from a peer is checked before it becomes model; limits are per instance, so that no registration can grow the registry at
// will.
import {
  type AttributeProblem,
  DEFAULT_LIMITS,
  DEFAULT_NAMESPACE,
  type Instance,
  type InstanceHealth,
  type Locality,
  localityProblem,
  metadataProblem,
  type OutboundPort,
  portsProblem,
  type Protocol,
  type Service,
  type SocketAddress,
} from '@heddle/core';
import * as pb from '../gen/own/heddle/discovery/v1/discovery.ts';
import { isIpAddress } from '../ip-address.ts';
import { InvalidMessageError } from './invalid.ts';
import { serviceOf } from './method.ts';

export {
  DeregisterRequest,
  DeregisterResponse,
  DrainOutcome,
  DrainProgress as DrainProgressMessage,
  GetServiceRequest,
  GetServiceResponse,
  Health,
  Instance as InstanceMessage,
  ListServicesRequest,
  ListServicesResponse,
  RegisterRequest,
  RegisterResponse,
  ReportHealthRequest,
  ReportHealthResponse,
  Service as ServiceMessage,
  WatchRequest,
  WatchResponse,
} from '../gen/own/heddle/discovery/v1/discovery.ts';
export { InvalidMessageError } from './invalid.ts';

/** For `Server.addService`, and for calls. */
export const DiscoveryService = serviceOf(pb.DiscoveryDefinition);

/** As many as a person would ever write; the registry keeps them for each instance. */
export const LABELS_MAX = 64;
/** Kubernetes' limits: prefix 253, slash, name 63. */
export const LABEL_KEY_LENGTH_MAX = 317;
export const LABEL_VALUE_LENGTH_MAX = 256;
/** Local ports of one workload: one for each service it calls. */
export const OUTBOUNDS_MAX = DEFAULT_LIMITS.outboundsPerWorkloadMax;
export const HEALTH_REASON_LENGTH_MAX = 1_024;
export const WEIGHT_MAX = 1_000;

/** A service as discovery lists it: what callers need, not how it is run. */
export interface ListedService extends Pick<Service, 'namespace' | 'name' | 'port' | 'protocol' | 'labels' | 'metadata' | 'ports'> {
  readonly instances: readonly Instance[];
}

const PROTOCOLS: readonly string[] = ['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] satisfies Protocol[];
const HEALTH_NAMES: Readonly<Record<number, InstanceHealth>> = {
  [pb.Health.HEALTH_STARTING]: 'starting',
  [pb.Health.HEALTH_HEALTHY]: 'healthy',
  [pb.Health.HEALTH_UNHEALTHY]: 'unhealthy',
  [pb.Health.HEALTH_DRAINING]: 'draining',
};
const HEALTH_NUMBERS: Readonly<Record<InstanceHealth, pb.Health>> = {
  starting: pb.Health.HEALTH_STARTING,
  healthy: pb.Health.HEALTH_HEALTHY,
  unhealthy: pb.Health.HEALTH_UNHEALTHY,
  draining: pb.Health.HEALTH_DRAINING,
};

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get in.
const CONTROL = /[\u0000-\u001f\u007f]/;

export function healthToMessage(health: InstanceHealth): pb.Health {
  return HEALTH_NUMBERS[health];
}

/** Undefined for HEALTH_UNSPECIFIED. Throws InvalidMessageError for a number that has no meaning. */
export function healthFromMessage(health: pb.Health, path = 'health'): InstanceHealth | undefined {
  if (health === pb.Health.HEALTH_UNSPECIFIED) return undefined;
  const name = HEALTH_NAMES[health];
  if (name === undefined) throw new InvalidMessageError(path, `unknown health ${health}`);
  return name;
}

export function instanceToMessage(instance: Instance): pb.Instance {
  return {
    id: instance.id,
    namespace: instance.service.namespace,
    service: instance.service.name,
    node: instance.node,
    inbound: { ...instance.inbound },
    application: { ...instance.application },
    outbounds: instance.outbounds.map(({ service, listen }) => ({
      namespace: service.namespace,
      service: service.name,
      listen: { ...listen },
    })),
    version: instance.version,
    labels: { ...instance.labels },
    weight: instance.weight,
    health: HEALTH_NUMBERS[instance.health],
    healthReason: instance.healthReason,
    metadata: { ...instance.metadata },
    ports: { ...instance.ports },
    locality: localityToMessage(instance.locality),
    revision: instance.revision,
  };
}

/** Throws InvalidMessageError with the path of the field. Unset health is `starting`, unset weight 1. */
export function instanceFromMessage(message: pb.Instance | undefined, path = 'instance'): Instance {
  if (message === undefined) throw new InvalidMessageError(path, 'is required');
  return {
    service: {
      namespace: nameFromMessage(message.namespace, `${path}.namespace`),
      name: nameFromMessage(message.service, `${path}.service`),
    },
    id: nameFromMessage(message.id, `${path}.id`),
    node: nodeFromMessage(message.node, `${path}.node`),
    inbound: addressFromMessage(message.inbound, `${path}.inbound`),
    application: addressFromMessage(message.application, `${path}.application`),
    outbounds: outboundsFromMessage(message.outbounds, `${path}.outbounds`),
    version: textFromMessage(message.version, 128, `${path}.version`),
    labels: labelsFromMessage(message.labels, `${path}.labels`),
    metadata: checked(message.metadata, metadataProblem, `${path}.metadata`),
    ports: checked(message.ports, portsProblem, `${path}.ports`),
    ...localityFromMessage(message.locality, `${path}.locality`),
    weight: weightFromMessage(message.weight, `${path}.weight`),
    health: healthFromMessage(message.health, `${path}.health`) ?? 'starting',
    healthReason: healthReasonFromMessage(message.healthReason, `${path}.health_reason`),
    revision: message.revision,
  };
}

export function serviceToMessage(service: Omit<ListedService, 'instances'>, instances: readonly Instance[]): pb.Service {
  const { namespace, name, port, protocol, labels, metadata, ports } = service;
  return {
    namespace,
    name,
    port,
    protocol,
    labels: { ...labels },
    metadata: { ...metadata },
    ports: { ...ports },
    instances: instances.map(instanceToMessage),
  };
}

/** Throws InvalidMessageError with the path of the field. */
export function serviceFromMessage(message: pb.Service | undefined, path = 'service'): ListedService {
  if (message === undefined) throw new InvalidMessageError(path, 'is required');
  if (!PROTOCOLS.includes(message.protocol)) {
    throw new InvalidMessageError(`${path}.protocol`, `must be one of ${PROTOCOLS.join(', ')}, not ${JSON.stringify(message.protocol)}`);
  }
  return {
    namespace: nameFromMessage(message.namespace, `${path}.namespace`),
    name: nameFromMessage(message.name, `${path}.name`),
    port: portFromMessage(message.port, `${path}.port`),
    protocol: message.protocol as Protocol,
    labels: labelsFromMessage(message.labels, `${path}.labels`),
    metadata: checked(message.metadata, metadataProblem, `${path}.metadata`),
    ports: checked(message.ports, portsProblem, `${path}.ports`),
    instances: message.instances.map((instance, index) => instanceFromMessage(instance, `${path}.instances[${index}]`)),
  };
}

/** The namespace of a request in which an empty one means the default one. */
export function namespaceOrDefault(namespace: string, path = 'namespace'): string {
  return namespace === '' ? DEFAULT_NAMESPACE : nameFromMessage(namespace, path);
}

/** Checks a namespace, service or instance name: what SPIFFE ids, xDS names and DNS labels can all carry. */
export function nameFromMessage(name: string, path: string): string {
  if (name === '') throw new InvalidMessageError(path, 'is required');
  if (!NAME.test(name)) {
    throw new InvalidMessageError(
      path,
      `${shorten(name)} is not a name: 1 to 63 letters, digits, '.', '_' or '-', beginning and ending with a letter or digit`,
    );
  }
  return name;
}

/** Checks a reason given for a health verdict: one line of at most 1,024 characters. */
export function healthReasonFromMessage(reason: string, path = 'health_reason'): string {
  return textFromMessage(reason, HEALTH_REASON_LENGTH_MAX, path);
}

function nodeFromMessage(node: string, path: string): string {
  if (node === '') throw new InvalidMessageError(path, 'is required');
  if (!NODE_NAME.test(node))
    throw new InvalidMessageError(path, `${shorten(node)} is not a node name: 1 to 253 letters, digits, '.', '_', ':' or '-'`);
  return node;
}

function addressFromMessage(message: pb.SocketAddress | undefined, path: string): SocketAddress {
  if (message === undefined) throw new InvalidMessageError(path, 'is required');
  if (!isIpAddress(message.address)) {
    throw new InvalidMessageError(`${path}.address`, `must be an IPv4 or IPv6 address without brackets, not ${shorten(message.address)}`);
  }
  return { address: message.address, port: portFromMessage(message.port, `${path}.port`) };
}

function portFromMessage(port: number, path: string): number {
  if (port < 1 || port > 65_535) throw new InvalidMessageError(path, `must be between 1 and 65535, not ${port}`);
  return port;
}

function weightFromMessage(weight: number, path: string): number {
  if (weight > WEIGHT_MAX) throw new InvalidMessageError(path, `must be between 1 and ${WEIGHT_MAX} (0 means 1), not ${weight}`);
  return weight === 0 ? 1 : weight;
}

function outboundsFromMessage(messages: readonly pb.OutboundPort[], path: string): OutboundPort[] {
  if (messages.length > OUTBOUNDS_MAX)
    throw new InvalidMessageError(path, `has ${messages.length} entries; at most ${OUTBOUNDS_MAX} are allowed`);
  const seen = new Set<string>();
  return messages.map((message, index) => {
    const at = `${path}[${index}]`;
    const service = {
      namespace: nameFromMessage(message.namespace, `${at}.namespace`),
      name: nameFromMessage(message.service, `${at}.service`),
    };
    const key = `${service.namespace}/${service.name}`;
    if (seen.has(key)) throw new InvalidMessageError(at, `${key} is named twice`);
    seen.add(key);
    return { service, listen: addressFromMessage(message.listen, `${at}.listen`) };
  });
}

function labelsFromMessage(labels: Readonly<Record<string, string>>, path: string): Record<string, string> {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) throw new InvalidMessageError(path, `has ${entries.length} entries; at most ${LABELS_MAX} are allowed`);
  for (const [key, value] of entries) {
    if (key === '' || key.length > LABEL_KEY_LENGTH_MAX || CONTROL.test(key)) {
      throw new InvalidMessageError(path, `${shorten(key)} is not a label name: 1 to ${LABEL_KEY_LENGTH_MAX} printable characters`);
    }
    textFromMessage(value, LABEL_VALUE_LENGTH_MAX, `${path}[${JSON.stringify(key)}]`);
  }
  return Object.fromEntries(entries);
}

/** The entries, when `problem` finds none with them. */
function checked<T>(
  values: Readonly<Record<string, T>>,
  problem: (entries: [string, T][]) => AttributeProblem | undefined,
  path: string,
): Record<string, T> {
  const found = problem(Object.entries(values));
  if (found !== undefined) throw new InvalidMessageError(found.key === undefined ? path : `${path}[${shorten(found.key)}]`, found.rule);
  return { ...values };
}

function localityToMessage(locality: Locality | undefined): pb.Locality | undefined {
  return locality === undefined ? undefined : { region: locality.region, zone: locality.zone, subZone: locality.subZone ?? '' };
}

function localityFromMessage(message: pb.Locality | undefined, path: string): { readonly locality?: Locality } {
  if (message === undefined) return {};
  const { region, zone, subZone } = message;
  const locality = { region, zone, ...(subZone === '' ? {} : { subZone }) };
  const found = localityProblem({ subZone: undefined, ...locality });
  if (found === undefined) return { locality };
  throw new InvalidMessageError(`${path}.${found.key === 'subZone' ? 'sub_zone' : found.key}`, found.rule);
}

function textFromMessage(text: string, lengthMax: number, path: string): string {
  if (text.length > lengthMax) throw new InvalidMessageError(path, `has ${text.length} characters; at most ${lengthMax} are allowed`);
  if (CONTROL.test(text)) throw new InvalidMessageError(path, 'contains a control character');
  return text;
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
