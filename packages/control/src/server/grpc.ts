// The gRPC server behind the TLS door: all contracts on one port, each call authenticated, health and reflection beside them.
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { UntypedServiceImplementation, ServiceDefinition } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { CONTROL_KEEPALIVE, reflectionPackage } from '@heddle/api';
import type { Clock, Logger } from '@heddle/runtime';
import { HealthImplementation } from 'grpc-health-check';
import { ACCESS, accessInterceptor } from './access.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Authenticator } from './authenticator.ts';
import { OpenStreams } from './handlers.ts';
import { openDoor } from './tls-door.ts';
import type { Door, DoorOptions } from './tls-door.ts';

export interface GrpcServerOptions extends Omit<DoorOptions, 'onConnection'> {
  readonly authenticator: Authenticator;
  readonly audit: Pick<AuditLog, 'refused'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Adds the services. Streams that stay open are to be added to `streams`. */
  readonly addServices: (server: Server, streams: OpenStreams) => void;
}

export interface GrpcServer extends Pick<Door, 'address' | 'port' | 'setIdentity' | 'dropDenied'> {
  /** Tells health watchers, ends streams with UNAVAILABLE, lets unary calls finish for up to `graceMs`, then drops connections. */
  close(graceMs: number): Promise<void>;
}

/** Streams of one connection. A data plane needs one for ADS and one for each workload; nobody needs more than a few hundred. */
const STREAMS_PER_CONNECTION_MAX = 1_024;
/** A registration with all its labels and ports has some 100 kB; an ADS request with every name of a large mesh has some 4 MB. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
/** Of one connection, in MB, headers and unsent frames together. */
const SESSION_MEMORY_MB = 64;

/** Rejects with ListenError when the port cannot be taken. */
export async function openGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { clock } = options;
  const streams = new OpenStreams();
  const server = new Server({
    'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': -1,
    'grpc-node.max_session_memory': SESSION_MEMORY_MB,
    'grpc.enable_channelz': 0,
    // A data plane that vanished without a word is noticed within 5 s. Ours send something more often by themselves; others need not.
    'grpc.keepalive_time_ms': CONTROL_KEEPALIVE.timeMs,
    'grpc.keepalive_timeout_ms': CONTROL_KEEPALIVE.timeoutMs,
    interceptors: [accessInterceptor(options)],
  });
  checkEveryMethodIsInTheTable(server);
  options.addServices(server, streams);
  const health = new HealthImplementation({ '': 'SERVING' });
  health.addToServer(server);
  new ReflectionService(reflectionPackage() as unknown as ConstructorParameters<typeof ReflectionService>[0]).addToServer(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const door = await openDoor({ ...options, onConnection: (socket) => injector.injectConnection(socket) });
  return {
    address: door.address,
    port: door.port,
    setIdentity: (identity) => door.setIdentity(identity),
    dropDenied: () => door.dropDenied(),
    close: async (graceMs) => {
      health.setStatus('', 'NOT_SERVING');
      const closed = door.close();
      streams.failAll({ code: status.UNAVAILABLE, details: 'the control plane is stopping' });
      // Says goodbye on every connection. When it calls back is of no use: it counts connections as closed that are still closing.
      server.tryShutdown(() => {});
      const grace = clock.after(graceMs, () => door.dropConnections());
      await closed;
      grace.cancel();
    },
  };
}

/** A method without an entry would be refused to everybody: noticed when the server is built, not when somebody calls. */
function checkEveryMethodIsInTheTable(server: Server): void {
  const add = server.addService.bind(server);
  server.addService = (service: ServiceDefinition, implementation: UntypedServiceImplementation) => {
    for (const { path } of Object.values(service))
      if (ACCESS[path] === undefined) throw new Error(`nobody may call ${path}: add it to the access table`);
    add(service, implementation);
  };
}
