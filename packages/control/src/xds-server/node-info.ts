// What a data plane says about itself in xDS `Node`: who it is, which flavour it takes, and where it has what. All of it is claims; who may have
// what is decided by the authenticated identity.
import { isAbsolute } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { DiscoveryRequest } from '@heddle/api';
import type { DataPlaneFlavour, SocketAddress } from '@heddle/core';
import { RegistryError } from '../registry/errors.ts';
import { Reader } from '../registry/reader.ts';
import { CallError } from '../server/status.ts';

export type XdsNode = NonNullable<DiscoveryRequest['node']>;

export interface NodeInfo {
  readonly id: string;
  readonly flavour: DataPlaneFlavour;
  /** Where it wants the shared HTTP proxy; undefined: not at all. */
  readonly outboundProxy: SocketAddress | undefined;
  /** The directory of its machine in which `heddle identity watch` keeps its certificate; undefined: it has none there. */
  readonly identityDir: string | undefined;
  /** Where it serves its admin API; absent: it has none. */
  readonly admin?: SocketAddress | undefined;
  /** `node.metadata.heddle.instance`, unread: the instance that registers by this stream. */
  readonly instance: unknown;
}

const FLAVOURS: readonly DataPlaneFlavour[] = ['heddle', 'envoy', 'grpc'];
const PATH_CHARS_MAX = 4_096;

/** Throws CallError INVALID_ARGUMENT that names the field. */
export function readNodeInfo(node: XdsNode | undefined): NodeInfo {
  const id = node?.id ?? '';
  if (id === '') throw new CallError(status.INVALID_ARGUMENT, 'the first request of a stream must say in `node.id` which data plane asks');
  const heddle: unknown = (node?.metadata as Record<string, unknown> | undefined)?.['heddle'];
  const byAgent = flavourOfAgent(node?.userAgentName ?? '');
  if (heddle === undefined || heddle === null)
    return { id, flavour: byAgent, outboundProxy: undefined, identityDir: undefined, instance: undefined };
  try {
    const reader = new Reader(heddle, 'node.metadata.heddle');
    return {
      id,
      flavour: reader.has('flavour') ? reader.oneOf('flavour', FLAVOURS) : byAgent,
      outboundProxy: reader.has('outboundProxy') ? reader.socketAddress('outboundProxy') : undefined,
      identityDir: reader.has('identityDir') ? readDirectory(reader) : undefined,
      ...(reader.has('admin') && { admin: reader.socketAddress('admin') }),
      instance: (heddle as Record<string, unknown>)['instance'],
    };
  } catch (error) {
    throw error instanceof RegistryError ? new CallError(status.INVALID_ARGUMENT, error.message) : error;
  }
}

/** Envoy calls itself `envoy`; the gRPC libraries `gRPC Go`, `gRPC C-core …`, `gRPC Java`, `gRPC Node …`. */
function flavourOfAgent(agent: string): DataPlaneFlavour {
  if (agent === 'envoy') return 'envoy';
  return agent.toLowerCase().startsWith('grpc') ? 'grpc' : 'heddle';
}

function readDirectory(reader: Reader): string {
  const directory = reader.text('identityDir', PATH_CHARS_MAX);
  if (!isAbsolute(directory)) throw reader.fail('identityDir', `${JSON.stringify(directory.slice(0, 100))} is not an absolute path`);
  return directory;
}
