// Everything but the readers of mesh files and of conditions: these are behind `@heddle/core/config` and `@heddle/core/cel`, because they load
// zod and yaml (16 MB), or the library for conditions, which a proxy must not carry unasked.
export * from './authn/index.ts';
export * from './authz/index.ts';
export * from './balancing/index.ts';
export * from './config/environment.ts';
export type * from './config/mesh.ts';
export type * from './config/static-config.ts';
export * from './errors/index.ts';
export * from './health/index.ts';
export * from './identity/index.ts';
export * from './limits/index.ts';
export * from './model/index.ts';
export * from './ratelimit/index.ts';
export * from './resilience/index.ts';
export * from './routing/index.ts';
export * from './telemetry/index.ts';
