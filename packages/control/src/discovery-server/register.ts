// One Register stream: the first message registers, each further one is a heartbeat. Messages are taken one after the other,
// each answered before the next is read. When the stream ends, however it ends, the lease runs on.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import type { HealthReport } from '../registry/records.ts';
import type { Lease, Registry } from '../registry/registry.ts';
import type { Caller } from '../server/caller.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { statusOf } from '../server/status.ts';
import { requireOwn } from './own.ts';

type Call = ServerDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>;

export async function serveRegister(call: Call, caller: Caller, registry: Registry, streams: OpenStreams, logger: Logger): Promise<void> {
  let over = false;
  const fail = (error: object): void => {
    if (over) return;
    over = true;
    call.emit('error', error);
  };
  streams.add(call, {
    fail,
    stop: () => {
      over = true;
    },
  });
  try {
    let lease: Lease | undefined;
    // Not destroyed at the end of the requests: the answer is still to come.
    for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<discovery.RegisterRequest>) {
      let revision: number;
      if (lease === undefined) {
        lease = await register(request, caller, registry);
        ({ revision } = lease);
      } else {
        revision = await registry.heartbeat(lease, reportOf(request));
      }
      if (over) return;
      await write(call, { leaseTtlMs: lease.ttlMs, revision });
    }
    if (!over) call.end();
    over = true;
  } catch (error) {
    // A broken stream throws here too; then nobody is there to be told.
    if (!call.cancelled) fail(statusOf(error, logger));
  }
}

async function register(request: discovery.RegisterRequest, caller: Caller, registry: Registry): Promise<Lease> {
  const { health: _ignored, healthReason: _too, ...registration } = discovery.instanceFromMessage(request.instance);
  requireOwn(caller, registration.service, 'register');
  return await registry.register(registration, request.leaseTtlMs, reportOf(request));
}

function reportOf(request: discovery.RegisterRequest): HealthReport | undefined {
  const health = discovery.healthFromMessage(request.health);
  return health === undefined ? undefined : { health, reason: request.healthReason };
}

/** Resolves when the message has left, so that one slow client holds one message. */
function write(call: Call, response: discovery.RegisterResponse): Promise<void> {
  return new Promise((resolve, reject) => call.write(response, (error?: Error | null) => (error ? reject(error) : resolve())));
}
