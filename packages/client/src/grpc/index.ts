// The door `@heddle/client/grpc`: clients of grpc-js in the mesh.
export { type GrpcJs, joinGrpc, type JoinGrpcOptions, meshOptions } from './join.ts';
export { MeshChannel } from './mesh-channel.ts';
