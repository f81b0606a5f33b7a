export * from './clock.ts';
export * from './datagram.ts';
export * from './grpc-client.ts';
export * from './lines.ts';
export * from './logger.ts';
export * from './metrics.ts';
export * from './network.ts';
