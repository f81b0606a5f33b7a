// Sans-IO codecs: bytes in, events out; events in, bytes out. Nothing here touches a socket or a clock.

export * from './bytes/index.ts';
export * from './grpc/index.ts';
export * from './hpack/index.ts';
export * from './http1/index.ts';
export * from './http2/index.ts';
export * from './tls-hello/index.ts';
