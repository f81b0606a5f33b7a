// The service of grpc.ts in grpc-js with its xDS plugin, without a proxy: the mesh tells it how to serve. It finds the mesh by GRPC_XDS_BOOTSTRAP.
// grpc-xds-server.ts NAME ADDRESS
import { ServerCredentials } from '@grpc/grpc-js';
import { register, XdsServer, XdsServerCredentials } from '@grpc/grpc-js-xds';
import { serveEcho } from './grpc.ts';

const [name = '', address = ''] = process.argv.slice(2);
register();
await serveEcho(new XdsServer(), name, address, new XdsServerCredentials(ServerCredentials.createInsecure()));
