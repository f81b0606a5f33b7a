// Drivers of the ports for Node: the only place with sockets, timers and the system's clock.
export { AppendFile, type AppendFileOptions } from './append-file.ts';
export { type BoundSocket, bindSockets, isPortShared } from './bound-socket.ts';
export { nodeClock } from './clock.ts';
export { nodeDatagrams } from './datagram.ts';
export { backgroundGrpc, nodeGrpc } from './grpc-client/index.ts';
export { deferHelperThreads } from './helper-threads.ts';
export { createLogger } from './logger.ts';
export type { LoggerOptions, LogLevel } from './logger.ts';
export { MetricsSum } from './metrics-sum.ts';
export { type FamilyValues, METRICS_CONTENT_TYPE, metricsFormatFor, type MetricsReport } from './metrics-text.ts';
export { createMetrics, type ReportingMetrics } from './metrics.ts';
export { backgroundNetwork, listenOn, nodeNetwork } from './network.ts';
export { chainRefusal, handshakeRefusal } from './network-errors.ts';
export { type Child, type ChildOptions, type Parent, parentProcess, type ProcessEnd, startCommand, startModule } from './processes.ts';
export { nodeRandom } from './random.ts';
export { followTextFile, readSmallFile } from './text-file.ts';
export { forgetHandshakeSecret, keepHandshakeSecret, refuseWithAlert } from './tls-alerts.ts';
export * from './crypto/index.ts';
