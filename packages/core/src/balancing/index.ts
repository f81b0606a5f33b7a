export * from './balancer.ts';
export * from './create.ts';
export { combineHashes, hashText } from './hash-text.ts';
export type { BalancerOptions, CallerZone } from './locality-balancer.ts';
