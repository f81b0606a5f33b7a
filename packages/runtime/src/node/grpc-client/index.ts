// The gRPC client port on node:http2. What the environment says of proxies has no part in it: it connects to where it is told.
import type { GrpcClient } from '../../ports/grpc-client.ts';
import { Channel } from './channel.ts';

export const nodeGrpc: GrpcClient = { open: (options) => new Channel(options, false) };
/** The same for a guest in somebody else's process: its connections do not keep that alive. */
export const backgroundGrpc: GrpcClient = { open: (options) => new Channel(options, true) };
