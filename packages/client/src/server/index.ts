// The door `@heddle/client/server`: applications that are called through the mesh. Nothing heavy is loaded before a data plane is needed.
export type { Application, FastifyLike, GrpcServerLike, KoaLike } from './application.ts';
export type { Claims } from './claims.ts';
export type { FetchApp, NodeBindings } from './fetch-handler.ts';
export { joinServers, type JoinServersOptions } from './join-servers.ts';
export type { LivenessOptions } from './liveness.ts';
export { meshOf, type NodeRequest, type NodeResponse } from './mesh-of.ts';
export type { MeshRequest, Peer } from './mesh-request.ts';
export { serve, type ServeOptions, type Serving } from './serve.ts';
