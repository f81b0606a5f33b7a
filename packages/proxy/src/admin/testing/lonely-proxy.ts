// A proxy whose control plane is not there, with an admin API on a port of its own. Tests only.
import { createLogger, createMetrics, nodeClock, nodeGrpc, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import type { ProxyOptions } from '../../start.ts';

export const TOKEN = 'the-admin-token';

export function lonelyProxy(over: Partial<ProxyOptions> = {}): ProxyOptions {
  return {
    node: 'n1',
    control: { address: '127.0.0.1', port: 1 },
    admin: { address: '127.0.0.1', port: 0 },
    adminToken: TOKEN,
    anonymousCalls: false,
    drainMs: 100,
    network: nodeNetwork,
    grpc: nodeGrpc,
    clock: nodeClock,
    random: nodeRandom,
    logger: createLogger({ level: 'silent', format: 'json' }),
    metrics: createMetrics(),
    ...over,
  };
}
