// The public door of @heddle/proxy: a data plane that a control plane configures.
export { ProxyOptionsError, type ProxyOptions, type RunningProxy, startProxy } from './start.ts';
export type { ProxyDnsSettings } from './dns/start.ts';
