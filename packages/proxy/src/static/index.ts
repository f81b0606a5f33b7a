// The door `@heddle/proxy/static`: a data plane without a control plane. Nothing behind it loads gRPC or protobuf, which are a third of the
// memory of a proxy.
export { type RunningStaticProxy, startStaticProxy, type StaticProxyOptions } from '../start-static.ts';
export type { ProcessOptions } from '../workers/carrier.ts';
export { receiveTakeover, type Takeover } from '../workers/takeover.ts';
