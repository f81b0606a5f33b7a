export * from './balancer.ts';
export * from './create.ts';
