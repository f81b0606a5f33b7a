// Sans-IO codecs: bytes in, events out; events in, bytes out. Nothing here touches a socket or a clock.

export * from './bytes/index.ts';
export * from './http1/index.ts';
