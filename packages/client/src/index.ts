// The public door of @heddle/client.
export { MeshError, type MeshErrorCode } from './errors.ts';
export type { Mesh, RunningMesh } from './plane/mesh.ts';
export { isInMesh } from './plane/environment.ts';
export type { MeshOptions } from './plane/options.ts';
export { createMesh } from './plane/create.ts';
export { type JoinFetchOptions, joinFetch, MeshDispatcher, type MeshDispatcherOptions, meshDispatcher } from './fetch/index.ts';
export { type JoinHttpOptions, joinHttp, MeshAgent, meshAgent } from './http/index.ts';
export type { Undo } from './undo.ts';
export * from './server/index.ts';
