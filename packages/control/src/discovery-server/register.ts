// One Register stream: the first message registers, each further one is a heartbeat. Messages are taken one after the other,
// each answered before the next is read, so that a client which floods or never reads costs a message. When the stream ends, however
// it ends, the lease runs on.
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { Clock, Logger } from '@heddle/runtime';
import { changeInstance } from '../admin/instance-changes.ts';
import type { ChangeDesk } from '../admin/instance-changes.ts';
import type { Doer } from '../audit/entry.ts';
import type { DrainDesk } from '../drain/desk.ts';
import type { HealthReport } from '../registry/records.ts';
import type { Lease } from '../registry/lease.ts';
import type { Caller } from '../server/caller.ts';
import { logRefusal } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import { requireOwn } from './own.ts';
import { RegisterDrain } from './register-drain.ts';
import type { Registrants } from './registrants.ts';

type Call = ServerDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>;

export interface RegisterOptions extends ChangeDesk {
  readonly drains: DrainDesk;
  readonly registrants: Registrants;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A heartbeat is due every third of a lease, at most three a second; reports of health come besides. */
const MESSAGES_PER_SECOND = 20;
/** What may come at once: a program that stood still catches up. */
const MESSAGES_BURST = 200;

export async function serveRegister(call: Call, by: Doer & { readonly caller: Caller }, options: RegisterOptions): Promise<void> {
  const { registry, drains, registrants, streams, clock, logger } = options;
  let over = false;
  let lease: Lease | undefined;
  const answer = (revision: number): discovery.RegisterResponse => {
    const instanceRevision = lease === undefined ? 0 : (registry.instance(lease.ref)?.revision ?? 0);
    return { leaseTtlMs: lease?.ttlMs ?? 0, revision, instanceRevision, drain: drain.progress };
  };
  const drain = new RegisterDrain({
    drains,
    clock,
    // One who has gone meanwhile is told nothing.
    onStep: () => void (over || call.cancelled || call.write(answer(registry.revision))),
  });
  const fail = (error: object): void => {
    if (over) return;
    over = true;
    call.emit('error', error);
  };
  streams.add(call, {
    fail,
    stop: () => {
      over = true;
      drain.close();
      if (lease !== undefined) registrants.remove(lease);
    },
  });
  const pace = new Pace(clock);
  try {
    // Not destroyed at the end of the requests: the answer is still to come.
    for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<discovery.RegisterRequest>) {
      pace.take();
      let revision: number;
      if (lease === undefined) {
        lease = await register(request, by, options);
        ({ revision } = lease);
        if (!over) registrants.add(lease);
      } else {
        revision = await registry.heartbeat(lease, reportOf(request), request.expected?.value);
      }
      if (over) return;
      drain.took(request, lease.ref);
      await write(call, answer(revision));
    }
    if (!over) call.end();
    over = true;
  } catch (error) {
    // A broken stream throws here too; then nobody is there to be told.
    if (call.cancelled || over) return;
    const refused = statusOf(error, logger);
    logRefusal(call, refused, logger);
    fail(refused);
  }
}

async function register(request: discovery.RegisterRequest, by: Doer & { readonly caller: Caller }, desk: ChangeDesk): Promise<Lease> {
  const { health: _ignored, healthReason: _too, revision: _also, ...registration } = discovery.instanceFromMessage(request.instance);
  requireOwn(by.caller, registration.service, 'register');
  return await changeInstance(desk, by, 'register-instance', registration, () =>
    desk.registry.register(registration, request.leaseTtlMs, reportOf(request), request.expected?.value),
  );
}

function reportOf(request: discovery.RegisterRequest): HealthReport | undefined {
  const health = discovery.healthFromMessage(request.health);
  return health === undefined ? undefined : { health, reason: request.healthReason };
}

/** How many messages may still come: refilled with time, up to a burst. */
class Pace {
  readonly #clock: Clock;
  #left = MESSAGES_BURST;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.nowMs();
  }

  /** Throws CallError RESOURCE_EXHAUSTED. */
  take(): void {
    const nowMs = this.#clock.nowMs();
    this.#left = Math.min(MESSAGES_BURST, this.#left + ((nowMs - this.#atMs) * MESSAGES_PER_SECOND) / 1_000) - 1;
    this.#atMs = nowMs;
    if (this.#left >= 0) return;
    throw new CallError(
      status.RESOURCE_EXHAUSTED,
      `more than ${MESSAGES_PER_SECOND} messages a second came on one stream; send a heartbeat within each third of the lease, and reports only when the health changes`,
    );
  }
}

/** Resolves when the message has left, so that one slow client holds one message. */
function write(call: Call, response: discovery.RegisterResponse): Promise<void> {
  return new Promise((resolve, reject) => call.write(response, (error?: Error | null) => (error ? reject(error) : resolve())));
}
