// Keeps one instance registered: one stream with heartbeats, made anew on a new connection, with back-off, whenever it breaks or a
// heartbeat is not answered. The registry's lease bridges the gap; when it has ended meanwhile, registering again brings the instance back.
import { discovery } from '@heddle/api';
import { backoffMs, type Instance, Patience, RECONNECT_BACKOFF, StreamWatch, type StreamWatchPolicy } from '@heddle/core';
import type { Clock, GrpcChannel, GrpcError, Logger, Metrics, Random, Timer } from '@heddle/runtime';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import { callControl, type ControlStream, openControlStream } from '../identity/control-channel.ts';
import type { Verdict } from './health-monitor.ts';
import { type RestartReason, StreamRestarts } from './stream-restarts.ts';

export interface RegistrationOptions {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Who may still choose an instance that is draining, as the control plane says. */
export interface DrainReport {
  readonly outcome: 'waiting' | 'complete' | 'timed-out' | 'returned';
  readonly dataPlanes: number;
  readonly acknowledged: number;
  readonly gone: number;
  /** Names of data planes. */
  readonly stragglers: readonly string[];
}

/** `unsupported`: a control plane that says nothing of this. */
export type DrainNews = DrainReport | 'unsupported';

export interface RegistrationState {
  readonly registered: boolean;
  /** Why not, when not. */
  readonly reason: string;
}

type Stream = ControlStream<discovery.RegisterRequest>;

/** Deregistering is a courtesy (the lease would end anyway): a control plane that does not answer may not hold up a stop. */
const DEREGISTER_DEADLINE_MS = 2_000;
const DEFAULT_TTL_MS = 10_000;
/** Heartbeats in the time of a lease: three may be lost. Each is answered, which also watches the connection. */
const BEATS_PER_LEASE = 4;
/** A stream that lasted so long was no failed attempt. */
const STEADY_MS = 5_000;
/** A try that has waited less is left alone when word comes that the control plane answers. */
const HURRY_AFTER_MS = 1_000;

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #restarts: StreamRestarts;
  #newChannel: (() => GrpcChannel) | undefined;
  #channel: GrpcChannel | undefined;
  #stream: Stream | undefined;
  #watch: StreamWatch | undefined;
  readonly #patience = new Patience();
  #startedMs = 0;
  /** When the first answer of the present stream came. */
  #upMs: number | undefined;
  #timer: Timer | undefined;
  #attempt = 0;
  #ttlMs = DEFAULT_TTL_MS;
  #verdict: Verdict = { state: 'starting', reason: 'no check has ended yet' };
  #draining = false;
  #drainTimeoutMs = 0;
  #drainNews: DrainNews | undefined;
  /** Messages that have not been answered. */
  #unanswered = 0;
  /** Called when `drainNews` or `state` is another. */
  onDrainNews: (() => void) | undefined;
  /** Another data plane has registered the same instance since: it is theirs now. */
  #superseded = false;
  /** That is meant to happen. */
  #successorExpected = false;
  #state: RegistrationState = { registered: false, reason: 'not yet connected to the control plane' };

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#restarts = new StreamRestarts(options.metrics, 'registration');
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /** Starts, or goes on over another channel (after a renewal of the certificate). Called for each attempt; what it gives is closed here. */
  use(newChannel: () => GrpcChannel): void {
    if (this.#stream !== undefined) this.#restarts.count('identity');
    this.#dropStream();
    this.#newChannel = newChannel;
    if (!this.#superseded) this.#connect();
  }

  /** The control plane has just answered another stream of this data plane: what waits or pauses is tried anew at once. */
  hurry(): void {
    if (this.#newChannel === undefined || this.#superseded || this.#upMs !== undefined) return;
    if (this.#stream !== undefined && this.#options.clock.nowMs() - this.#startedMs < HURRY_AFTER_MS) return;
    this.#dropStream();
    this.#connect();
  }

  /** Reports at once; repeated with every heartbeat so that a control plane that lost it learns it again. */
  report(verdict: Verdict): void {
    this.#verdict = verdict;
    this.#beat();
  }

  /** From now on the instance is reported as draining: callers stop choosing it while it still answers. `timeoutMs`: how long they are waited for. */
  drain(timeoutMs: number): void {
    this.#draining = true;
    this.#drainTimeoutMs = timeoutMs;
    this.#drainNews = undefined;
    this.#beat();
  }

  /** It is no longer; the verdict is anew, as what was checked before may be another process by now. */
  undrain(verdict: Verdict): void {
    this.#draining = false;
    this.#drainNews = undefined;
    this.report(verdict);
  }

  /** Undefined: the instance is not draining, or the control plane has not said anything yet. */
  get drainNews(): DrainNews | undefined {
    return this.#drainNews;
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
    this.#newChannel = undefined;
  }

  /** Takes the instance out of the registry and ends. Never rejects. */
  async stop(): Promise<void> {
    const newChannel = this.#newChannel;
    this.#newChannel = undefined;
    const open = this.#channel;
    this.#channel = undefined;
    this.#dropStream();
    // Over the connection that is there, if there is one.
    const last = open ?? newChannel?.();
    if (newChannel !== undefined && last !== undefined && !this.#superseded) await this.#deregister(last);
    last?.close();
  }

  async #deregister(channel: GrpcChannel): Promise<void> {
    const { service, id } = this.#options.instance;
    const request = { namespace: service.namespace, service: service.name, instance: id, expected: undefined };
    try {
      await callControl(channel, discovery.DiscoveryService.deregister, request, { timeoutMs: DEREGISTER_DEADLINE_MS });
    } catch (error) {
      this.#options.logger.warn({ error: (error as Error).message }, 'could not deregister; the lease will end by itself');
    }
  }

  #connect(): void {
    const { logger, clock } = this.#options;
    if (this.#newChannel === undefined) return;
    this.#channel = this.#newChannel();
    const stream: Stream = openControlStream(this.#channel, discovery.DiscoveryService.register, {
      onMessage: (response) => {
        if (this.#stream !== stream) return;
        this.#upMs ??= clock.nowMs();
        this.#heard(response);
        this.#hearOfDrain(response);
        // That may be a new stream under a registration that stands: the certificate was renewed.
        if (this.#state.registered) return;
        logger.info({ ttlMs: this.#ttlMs }, 'registered');
        this.#state = { registered: true, reason: '' };
        this.onDrainNews?.();
      },
      onEnd: (error) => this.#ended(stream, error),
    });
    this.#stream = stream;
    this.#unanswered = 0;
    this.#upMs = undefined;
    this.#startedMs = clock.nowMs();
    const watch = new StreamWatch(this.#policy(), this.#startedMs);
    this.#watch = watch;
    this.#write(discovery.instanceToMessage(this.#options.instance));
    this.#arm(watch);
  }

  #ended(stream: Stream, error: GrpcError | undefined): void {
    if (error === undefined) this.#broken(stream, 'the control plane ended the stream', 'broken');
    else if (error.code === GRPC_STATUS.ABORTED) this.#lost(stream, error.details);
    else this.#broken(stream, error.message, this.#upMs === undefined ? 'unreachable' : 'broken');
  }

  #write(instance: discovery.InstanceMessage | undefined): void {
    const drainTimeoutMs = this.#draining ? this.#drainTimeoutMs : 0;
    this.#unanswered += 1;
    this.#stream?.write({ instance, ...this.#health(), leaseTtlMs: 0, expected: undefined, drainTimeoutMs });
  }

  /** Answers come in order: the last one knows all that was said. What comes unasked always has news. */
  #hearOfDrain({ drain }: discovery.RegisterResponse): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    if (!this.#draining) return;
    const news = drain === undefined ? (this.#unanswered === 0 ? 'unsupported' : undefined) : reportOf(drain);
    if (news === undefined) return;
    this.#drainNews = news;
    this.onDrainNews?.();
  }

  #heard({ leaseTtlMs }: discovery.RegisterResponse): void {
    const ttlMs = leaseTtlMs || DEFAULT_TTL_MS;
    const nowMs = this.#options.clock.nowMs();
    const isOther = ttlMs !== this.#ttlMs;
    this.#ttlMs = ttlMs;
    if (this.#patience.calmed(nowMs - (this.#upMs ?? nowMs)) || isOther) this.#watch = new StreamWatch(this.#policy(), nowMs);
    this.#watch?.heard(nowMs);
    this.#arm(this.#watch);
  }

  #policy(): StreamWatchPolicy {
    const { policy, factor } = this.#patience;
    // Two tries beside one another would take the instance from each other, so one that waits must be given time.
    return { connectMs: policy.connectMs * factor, quietMs: this.#ttlMs / BEATS_PER_LEASE, answerMs: policy.answerMs };
  }

  #arm(watch: StreamWatch | undefined): void {
    const { clock } = this.#options;
    this.#timer?.cancel();
    if (watch === undefined) return;
    this.#timer = clock.after(Math.max(1, Math.ceil(watch.dueMs - clock.nowMs())), () => this.#look(watch));
  }

  #look(watch: StreamWatch): void {
    const stream = this.#stream;
    if (stream === undefined || this.#watch !== watch) return;
    const action = watch.handleTimeout(this.#options.clock.nowMs());
    if (action === 'ask') return this.#beat();
    if (action === 'replace') this.#patience.lapsed();
    if (action === 'replace' && this.#upMs === undefined) return this.#broken(stream, 'the control plane does not answer', 'unreachable');
    if (action === 'replace') return this.#broken(stream, 'the control plane does not answer heartbeats', 'stalled');
    this.#arm(watch);
  }

  #broken(stream: Stream, reason: string, why: RestartReason): void {
    if (this.#stream !== stream) return;
    const { clock, random, logger } = this.#options;
    if (this.#upMs !== undefined && clock.nowMs() - this.#upMs >= STEADY_MS) this.#attempt = 0;
    this.#restarts.count(why);
    this.#dropStream();
    const delayMs = backoffMs(RECONNECT_BACKOFF, this.#attempt, () => random.next());
    // One line for each outage, not one for each try.
    logger[this.#attempt === 0 ? 'warn' : 'debug']({ reason, delayMs: Math.round(delayMs) }, 'registration broke; will register again');
    this.#attempt += 1;
    this.#state = { registered: false, reason };
    this.onDrainNews?.();
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

  /** Messages of a stream are taken in order, so a beat may follow the registration before that is answered. */
  #beat(): void {
    if (this.#stream === undefined) return;
    this.#write(undefined);
    this.#watch?.asked(this.#options.clock.nowMs());
    this.#arm(this.#watch);
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
    this.#upMs = undefined;
    stream?.cancel();
    this.#channel?.close();
    this.#channel = undefined;
  }
}

function reportOf({ outcome, dataPlanes, acknowledged, gone, stragglers }: discovery.DrainProgressMessage): DrainReport {
  return { outcome: OUTCOMES[outcome] ?? 'waiting', dataPlanes, acknowledged, gone, stragglers: stragglers.map(({ node }) => node) };
}

const OUTCOMES: Readonly<Record<number, DrainReport['outcome']>> = {
  [discovery.DrainOutcome.DRAIN_OUTCOME_COMPLETE]: 'complete',
  [discovery.DrainOutcome.DRAIN_OUTCOME_TIMED_OUT]: 'timed-out',
  [discovery.DrainOutcome.DRAIN_OUTCOME_RETURNED]: 'returned',
};
