// Tells the control plane how much goes from where to where (LRS), on the connection that carries the configuration and for as long as that
// is up: no connection, no back-off and no certificate of its own. A report that cannot be sent is not made up for.
import { lrs } from '@heddle/api';
import type { Clock, GrpcChannel, GrpcError, Logger, Timer } from '@heddle/runtime';
import type { FamilyValues } from '@heddle/runtime/node';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import { type ControlStream, openControlStream } from '../identity/index.ts';
import { LoadMeter } from '../telemetry/load-report.ts';

/** Where the load is read. */
export interface LoadSource {
  /** Brings the metrics of all processes up to date. */
  readonly refresh: () => Promise<void>;
  readonly families: () => Iterable<FamilyValues>;
}

export interface LoadReporterOptions extends LoadSource {
  readonly node: string;
  /** What this data plane has applied, in short: `stateHash`. */
  readonly stateHash: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Stream = ControlStream<lrs.LoadStatsRequest>;

/** After a refusal; the connection itself is fine. */
const RETRY_MS = 30_000;

export class LoadReporter {
  readonly #options: LoadReporterOptions;
  readonly #meter = new LoadMeter();
  #channel: GrpcChannel | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #instruction: lrs.LoadInstruction | undefined;
  #lastMs: number;

  constructor(options: LoadReporterOptions) {
    this.#options = options;
    this.#lastMs = options.clock.nowMs();
  }

  /** The connection that is up; undefined: none is. */
  use(channel: GrpcChannel | undefined): void {
    this.#leave();
    this.#channel = channel;
    if (channel !== undefined) this.#open(channel);
  }

  #open(channel: GrpcChannel): void {
    const stream: Stream = openControlStream(channel, lrs.LoadReportingService.streamLoadStats, {
      onMessage: (message) => this.#instructed(stream, message),
      onEnd: (error) => this.#ended(stream, error),
    });
    this.#stream = stream;
    this.#send(stream, []);
  }

  #instructed(stream: Stream, message: lrs.LoadStatsResponse): void {
    if (this.#stream !== stream) return;
    this.#instruction = lrs.instructionFromMessage(message);
    this.#plan(stream, this.#instruction.intervalMs);
  }

  #plan(stream: Stream, delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => void this.#report(stream));
  }

  async #report(stream: Stream): Promise<void> {
    const { clock, refresh, families } = this.#options;
    // What the workers said last will have to do.
    await refresh().catch(() => {});
    const instruction = this.#instruction;
    if (this.#stream !== stream || instruction === undefined) return;
    const nowMs = clock.nowMs();
    // A control plane that does not read gets nothing more; what has happened goes into the next report.
    if (!stream.isBlocked) {
      const loads = this.#meter.take(families(), Math.max(1, nowMs - this.#lastMs));
      this.#lastMs = nowMs;
      this.#send(stream, asked(loads, instruction));
    }
    this.#plan(stream, instruction.intervalMs);
  }

  #send(stream: Stream, loads: readonly lrs.ClusterLoad[]): void {
    const { node, stateHash } = this.#options;
    stream.write(lrs.loadMessage({ id: node, stateHash: stateHash() }, loads));
  }

  #ended(stream: Stream, error: GrpcError | undefined): void {
    if (this.#stream !== stream) return;
    const { logger, clock } = this.#options;
    const channel = this.#channel;
    this.#leave();
    this.#channel = channel;
    if (error?.code === GRPC_STATUS.UNIMPLEMENTED) return;
    logger.debug({ reason: error?.message ?? 'the control plane ended the stream' }, 'load cannot be reported; trying again');
    this.#timer = clock.after(RETRY_MS, () => this.use(channel));
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#instruction = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
  }
}

/** Only the clusters that are wanted, and of each only as much. */
function asked(loads: readonly lrs.ClusterLoad[], { clusters, inParts }: lrs.LoadInstruction): lrs.ClusterLoad[] {
  const wanted = clusters === 'all' ? undefined : new Set(clusters);
  return loads
    .filter(({ cluster }) => wanted === undefined || wanted.has(cluster))
    .map((load) => (inParts ? load : { ...load, bySource: new Map() }));
}
