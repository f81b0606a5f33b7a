// The door to CSDS, by which people and tools look at what every data plane has (envoy.service.status.v3).
import type { ResourceKind } from '@heddle/core';
import { ClientResourceStatus, type UpdateFailureState } from '../gen/envoy/envoy/admin/v3/config_dump_shared.ts';
import type { Node } from '../gen/envoy/envoy/config/core/v3/base.ts';
import {
  type ClientConfig,
  type ClientConfig_GenericXdsConfig,
  ClientStatusRequest,
  ClientStatusResponse,
  ConfigStatus,
} from '../gen/envoy/envoy/service/status/v3/csds.ts';
import type { NodeMatcher } from '../gen/envoy/envoy/type/matcher/v3/node.ts';
import type { Timestamp } from '../gen/envoy/google/protobuf/timestamp.ts';
import { At, XdsRejection } from '../xds/convert/rejection.ts';
import { rejectUnknown } from '../xds/convert/strict.ts';
import { kindOfTypeUrl } from '../xds/kinds.ts';
import type { SessionResource } from '../xds/server/session.ts';
import { InvalidMessageError } from './invalid.ts';
import { bidiMethod, unaryMethod } from './method.ts';

export type { ClientConfig, ClientStatusRequest, ClientStatusResponse };

const SERVICE = '/envoy.service.status.v3.ClientStatusDiscoveryService';

/** For `Server.addService`. */
export const ClientStatusService = {
  streamClientStatus: bidiMethod(`${SERVICE}/StreamClientStatus`, ClientStatusRequest, ClientStatusResponse),
  fetchClientStatus: unaryMethod(`${SERVICE}/FetchClientStatus`, ClientStatusRequest, ClientStatusResponse),
} as const;

const MATCHERS_MAX = 1_000;

/** Which data planes are meant, by node id. Throws InvalidMessageError for a matcher that cannot be followed: it would show too many. */
export function readNodeMatchers(request: ClientStatusRequest): (nodeId: string) => boolean {
  const matchers = request.nodeMatchers ?? [];
  if (matchers.length > MATCHERS_MAX)
    throw new InvalidMessageError('node_matchers', `${matchers.length} matchers; at most ${MATCHERS_MAX}`);
  const tests = matchers.map((matcher, index) => readMatcher(matcher, index));
  return (nodeId) => tests.length === 0 || tests.some((test) => test(nodeId));
}

function readMatcher(matcher: NodeMatcher, index: number): (nodeId: string) => boolean {
  const path = `node_matchers[${index}]`;
  if ((matcher.nodeMetadatas ?? []).length > 0)
    throw new InvalidMessageError(`${path}.node_metadatas`, 'is not supported: match by node_id, exact or prefix');
  try {
    rejectUnknown(matcher, new At(path));
  } catch (error) {
    if (error instanceof XdsRejection)
      throw new InvalidMessageError(error.path.join('.'), `${error.reason}: match by node_id, exact or prefix`);
    throw error;
  }
  const pattern = matcher.nodeId?.matchPattern;
  if (pattern === undefined) throw new InvalidMessageError(`${path}.node_id`, 'needs exact or prefix');
  return pattern.$case === 'exact' ? (nodeId) => nodeId === pattern.value : (nodeId) => nodeId.startsWith(pattern.value);
}

/** One data plane on one stream, as CSDS shows it. */
export interface ClientStatus {
  readonly id: string;
  readonly userAgent: string;
  /** What is known of it beyond the contract, in `node.metadata.heddle`. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The service by which it is connected. */
  readonly scope: string;
  readonly resources: Iterable<SessionResource>;
  /** Of the kind, when it was acknowledged last; 0: not yet. */
  readonly ackedMs: (kind: SessionResource['kind']) => number;
}

/** More of resource contents in one answer is refused: everybody's whole configuration fills any memory. */
export const CONTENT_BYTES_MAX = 16 * 1024 * 1024;

/** Counts what the answers so far hold. Throws InvalidMessageError beyond `CONTENT_BYTES_MAX`. */
export class StatusBudget {
  #bytes = 0;

  spend(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > CONTENT_BYTES_MAX)
      throw new InvalidMessageError(
        'node_matchers',
        `the answer would hold more than ${CONTENT_BYTES_MAX / 1024 / 1024} MiB: name fewer data planes, or set exclude_resource_contents`,
      );
  }
}

/** Some 100 bytes go with each resource besides its content. */
const ENTRY_BYTES = 100;

export function statusToMessage(status: ClientStatus, withContent: boolean, budget: StatusBudget): ClientConfig {
  const node: Node = { id: status.id, userAgentName: status.userAgent, metadata: { heddle: status.metadata } };
  const genericXdsConfigs: ClientConfig_GenericXdsConfig[] = [];
  for (const resource of status.resources) {
    budget.spend(ENTRY_BYTES + resource.name.length + (withContent ? (resource.present?.any.value.length ?? 0) : 0));
    genericXdsConfigs.push(resourceToMessage(resource, status.ackedMs(resource.kind), withContent));
  }
  return { node, genericXdsConfigs, clientScope: status.scope };
}

function resourceToMessage(resource: SessionResource, ackedMs: number, withContent: boolean): ClientConfig_GenericXdsConfig {
  const { typeUrl, name, state, version, refusal, present } = resource;
  // "The attached config dump will be the latest config (the rejected one)": csds.proto, ConfigStatus.ERROR.
  const shown = refusal?.version ?? version;
  const content = withContent && present !== undefined && present.version === shown ? { xdsConfig: present.any } : {};
  const error = refusal === undefined ? {} : { errorState: errorState(refusal) };
  const updated = state === 'acknowledged' && ackedMs > 0 ? { lastUpdated: timestamp(ackedMs) } : {};
  return {
    typeUrl,
    name,
    versionInfo: shown,
    configStatus: CONFIG_STATUS[state],
    clientStatus: clientStatus(resource),
    ...updated,
    ...content,
    ...error,
  };
}

const CONFIG_STATUS = {
  requested: ConfigStatus.NOT_SENT,
  sent: ConfigStatus.STALE,
  acknowledged: ConfigStatus.SYNCED,
  refused: ConfigStatus.ERROR,
  absent: ConfigStatus.NOT_SENT,
} as const;

function clientStatus({ state, hadBefore }: SessionResource): ClientResourceStatus {
  if (state === 'absent') return ClientResourceStatus.DOES_NOT_EXIST;
  if (state === 'refused') return ClientResourceStatus.NACKED;
  return state === 'acknowledged' || hadBefore ? ClientResourceStatus.ACKED : ClientResourceStatus.REQUESTED;
}

function errorState({ version, reason, ms }: NonNullable<SessionResource['refusal']>): UpdateFailureState {
  return { versionInfo: version, details: reason, lastUpdateAttempt: timestamp(ms) };
}

function timestamp(ms: number): Timestamp {
  return { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 };
}

/** One resource of a data plane, as `heddle describe` shows it. */
export interface ListedResource {
  /** Undefined: a type that Heddle has no resources of. */
  readonly kind: ResourceKind | undefined;
  readonly name: string;
  readonly state: 'in sync' | 'not answered' | 'not sent' | 'does not exist' | 'rejected';
  readonly version: string;
  /** Unix time; 0: not known. */
  readonly updatedMs: number;
  /** Why it was refused; empty when it was not. */
  readonly rejection: string;
  readonly rejectedMs: number;
}

/** One data plane on one stream. */
export interface ListedClient {
  readonly node: string;
  /** The service by which it is connected. */
  readonly service: string;
  readonly resources: readonly ListedResource[];
}

export function clientsFromMessage({ config = [] }: ClientStatusResponse): ListedClient[] {
  return config.map(({ node, clientScope = '', genericXdsConfigs = [] }) => ({
    node: node?.id ?? '',
    service: clientScope,
    resources: genericXdsConfigs.map(resourceFromMessage),
  }));
}

function resourceFromMessage(message: ClientConfig_GenericXdsConfig): ListedResource {
  const { typeUrl = '', name = '', versionInfo = '', configStatus, clientStatus: client, lastUpdated, errorState: error } = message;
  const isAbsent = client === ClientResourceStatus.DOES_NOT_EXIST;
  return {
    kind: kindOfTypeUrl(typeUrl),
    name,
    state: isAbsent ? 'does not exist' : (STATE_WORDS[configStatus ?? ConfigStatus.UNKNOWN] ?? 'not sent'),
    version: versionInfo,
    updatedMs: milliseconds(lastUpdated),
    rejection: error?.details ?? '',
    rejectedMs: milliseconds(error?.lastUpdateAttempt),
  };
}

const STATE_WORDS: Readonly<Record<number, ListedResource['state']>> = {
  [ConfigStatus.SYNCED]: 'in sync',
  [ConfigStatus.STALE]: 'not answered',
  [ConfigStatus.NOT_SENT]: 'not sent',
  [ConfigStatus.ERROR]: 'rejected',
};

function milliseconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : (time.seconds ?? 0) * 1_000 + Math.floor((time.nanos ?? 0) / 1e6);
}
