// The public door of @heddle/proxy.
export { ProxyOptionsError, type ProxyOptions, type RunningProxy, startProxy } from './start.ts';
export { type RunningStaticProxy, startStaticProxy, type StaticProxyOptions } from './start-static.ts';
export type { ProcessOptions } from './workers/carrier.ts';
export { receiveTakeover, type Takeover } from './workers/takeover.ts';
