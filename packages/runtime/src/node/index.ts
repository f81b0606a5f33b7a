// Drivers of the ports for Node: the only place with sockets, timers and the system's clock.
export { nodeClock } from './clock.ts';
export { createLogger } from './logger.ts';
export type { LoggerOptions, LogLevel } from './logger.ts';
export { createMetrics } from './metrics.ts';
export { nodeNetwork } from './network.ts';
export { nodeRandom } from './random.ts';
export * from './crypto/index.ts';
