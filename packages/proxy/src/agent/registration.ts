// Keeps one instance registered: one stream with heartbeats, made anew with back-off whenever it breaks. The registry's lease
// bridges the gap; when it has ended meanwhile, registering again brings the instance back.
import { type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import { backoffMs, type Instance, RECONNECT_BACKOFF } from '@heddle/core';
import type { Clock, Logger, Random, Timer } from '@heddle/runtime';
import type { Verdict } from './health-monitor.ts';

export interface RegistrationOptions {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface RegistrationState {
  readonly registered: boolean;
  /** Why not, when not. */
  readonly reason: string;
}

type Stream = ClientDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>;

/** Deregistering is a courtesy (the lease would end anyway): a control plane that does not answer may not hold up a stop. */
const DEREGISTER_DEADLINE_MS = 2_000;
const DEFAULT_TTL_MS = 10_000;

export class Registration {
  readonly #options: RegistrationOptions;
  #client: discovery.DiscoveryClient | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #attempt = 0;
  #ttlMs = DEFAULT_TTL_MS;
  #verdict: Verdict = { state: 'starting', reason: 'no check has ended yet' };
  #draining = false;
  /** Another data plane has registered the same instance since: it is theirs now. */
  #superseded = false;
  /** That is meant to happen. */
  #successorExpected = false;
  #state: RegistrationState = { registered: false, reason: 'not yet connected to the control plane' };

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /** Starts, or goes on over another client (after a renewal of the certificate). The registration owns the client and closes it. */
  use(client: discovery.DiscoveryClient): void {
    this.#dropStream();
    this.#client?.close();
    this.#client = client;
    if (!this.#superseded) this.#connect();
  }

  /** Reports at once; repeated with every heartbeat so that a control plane that lost it learns it again. */
  report(verdict: Verdict): void {
    this.#verdict = verdict;
    this.#beat();
  }

  /** From now on the instance is reported as draining: callers stop choosing it while it still answers. */
  drain(): void {
    this.#draining = true;
    this.#beat();
  }

  /** Whether another process is about to register the instance in this one's place. False again: it has failed, and the instance is taken back. */
  expectSuccessor(isExpected: boolean): void {
    this.#successorExpected = isExpected;
    if (isExpected || !this.#superseded) return;
    this.#superseded = false;
    this.#connect();
  }

  /** Ends, and leaves the instance to whoever has registered it. */
  leave(): void {
    this.#superseded = true;
    this.#dropStream();
    this.#client?.close();
    this.#client = undefined;
  }

  /** Takes the instance out of the registry and ends. Never rejects. */
  async stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#dropStream();
    if (client === undefined) return;
    if (!this.#superseded) await this.#deregister(client);
    client.close();
  }

  #deregister(client: discovery.DiscoveryClient): Promise<void> {
    const { instance, clock, logger } = this.#options;
    const { service, id } = instance;
    return new Promise((resolve) => {
      const deadline = new Date(clock.wallMs() + DEREGISTER_DEADLINE_MS);
      client.deregister(
        { namespace: service.namespace, service: service.name, instance: id },
        new Metadata(),
        { deadline },
        (error: Error | null) => {
          if (error !== null) logger.warn({ error: error.message }, 'could not deregister; the lease will end by itself');
          resolve();
        },
      );
    });
  }

  #connect(): void {
    const { logger } = this.#options;
    if (this.#client === undefined) return;
    const stream = this.#client.register();
    this.#stream = stream;
    let answered = false;
    stream.on('data', (response: discovery.RegisterResponse) => {
      if (this.#stream !== stream) return;
      this.#attempt = 0;
      this.#ttlMs = response.leaseTtlMs || DEFAULT_TTL_MS;
      // The first answer of a stream tells the lease's time. That may be a new stream under a registration that stands: the certificate was renewed.
      if (!answered) this.#heartbeatLater();
      answered = true;
      if (this.#state.registered) return;
      logger.info({ ttlMs: this.#ttlMs }, 'registered');
      this.#state = { registered: true, reason: '' };
    });
    stream.on('error', (error: ServiceError) => {
      if (error.code === status.ABORTED) this.#lost(stream, error.details);
      else this.#broken(stream, error.message);
    });
    stream.on('end', () => this.#broken(stream, 'the control plane ended the stream'));
    stream.write({ instance: discovery.instanceToMessage(this.#options.instance), ...this.#health(), leaseTtlMs: 0 });
  }

  #broken(stream: Stream, reason: string): void {
    if (this.#stream !== stream) return;
    const { clock, random, logger } = this.#options;
    this.#dropStream();
    const delayMs = backoffMs(RECONNECT_BACKOFF, this.#attempt, () => random.next());
    // One line for each outage, not one for each try.
    logger[this.#attempt === 0 ? 'warn' : 'debug']({ reason, delayMs: Math.round(delayMs) }, 'registration broke; will register again');
    this.#attempt += 1;
    this.#state = { registered: false, reason };
    this.#timer = clock.after(delayMs, () => this.#connect());
  }

  /** Registering again would take the instance back, and the two would take turns for ever. */
  #lost(stream: Stream, reason: string): void {
    if (this.#stream !== stream) return;
    this.#dropStream();
    this.#superseded = true;
    this.#state = { registered: false, reason: `another data plane has registered this instance (${reason}); stop one of the two` };
    if (this.#successorExpected) return;
    this.#options.logger.error({ reason }, 'another data plane has registered this instance; it is left to that one');
  }

  #heartbeatLater(): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(this.#ttlMs / 3, () => this.#beat());
  }

  /** Messages of a stream are taken in order, so a beat may follow the registration before that is answered. */
  #beat(): void {
    if (this.#stream === undefined) return;
    this.#stream.write({ instance: undefined, ...this.#health(), leaseTtlMs: 0 });
    this.#heartbeatLater();
  }

  #health(): { health: discovery.Health; healthReason: string } {
    if (this.#draining) return { health: discovery.Health.HEALTH_DRAINING, healthReason: 'draining' };
    const healthReason = this.#verdict.reason.slice(0, discovery.HEALTH_REASON_LENGTH_MAX);
    return { health: discovery.healthToMessage(this.#verdict.state), healthReason };
  }

  #dropStream(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.removeAllListeners('data');
    stream?.on('error', () => {});
    stream?.cancel();
  }
}
