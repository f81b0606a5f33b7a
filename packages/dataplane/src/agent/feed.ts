// What a data plane tells the control plane while it runs (heddle.telemetry.v1), and what it is asked: on the connection that carries the
// configuration and for as long as that is up; no connection, no back-off and no certificate of its own. A report that cannot be sent is not
// made up for: what has happened goes into the next one.
import { telemetry } from '@heddle/api';
import type { AccessDecision } from '@heddle/core';
import type { Clock, GrpcChannel, GrpcError, Logger, Timer } from '@heddle/runtime';
import type { FamilyValues } from '@heddle/runtime/node';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import { type ControlStream, openControlStream } from '../identity/index.ts';
import type { TapPort } from '../data-plane-types.ts';
import { TrafficMeter } from '../telemetry/traffic-meter.ts';

/** Where it is read what is told. */
export interface FeedSource {
  /** Brings the metrics of all processes up to date. */
  readonly refresh: () => Promise<void>;
  readonly families: () => Iterable<FamilyValues>;
  /** Access decisions since the call before, newest last; `lost`: so many more there were. Absent: there are none. */
  readonly decisions?: () => { readonly decisions: readonly AccessDecision[]; readonly lost: number };
  /** What would become of a request. Rejects with words for people; a QuestionError where the question is at fault. */
  readonly explain?: (question: telemetry.ExplainQuestion) => Promise<telemetry.ExplainOutcome>;
  readonly taps: TapPort;
}

export interface FeedOptions extends FeedSource {
  readonly node: string;
  readonly version: string;
  /** What this data plane has applied, in short: `stateHash`. */
  readonly stateHash: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Stream = ControlStream<telemetry.AttachRequest>;

/** After a refusal; the connection itself is fine. */
const RETRY_MS = 30_000;
/** What a control plane may ask for. */
const INTERVAL_MS = { least: 100, most: 600_000 } as const;

export class Feed {
  readonly #options: FeedOptions;
  readonly #meter = new TrafficMeter();
  #channel: GrpcChannel | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #intervalMs = 0;
  #lastMs: number;

  constructor(options: FeedOptions) {
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
    const { node, version, stateHash } = this.#options;
    const stream: Stream = openControlStream(channel, telemetry.TelemetryService.attach, {
      onMessage: ({ message }) => this.#told(stream, message),
      onEnd: (error) => this.#ended(stream, error),
    });
    this.#stream = stream;
    stream.write({ message: { $case: 'hello', value: { node, version, stateHash: stateHash() } } });
  }

  #told(stream: Stream, message: telemetry.AttachResponse['message']): void {
    if (this.#stream !== stream || message === undefined) return;
    const { taps, logger } = this.#options;
    switch (message.$case) {
      case 'instruction':
        this.#intervalMs = Math.min(Math.max(message.value.intervalMs, INTERVAL_MS.least), INTERVAL_MS.most);
        return this.#plan(stream);
      case 'explainQuestion':
        return void this.#explain(stream, message.value);
      case 'tapStart':
        return taps.start(telemetry.readTapStart(message.value), (told) => this.#tell(stream, telemetry.tapToldMessage(told)));
      case 'tapStop':
        return taps.stop(message.value.id);
      default:
        logger.debug(
          { message: (message as { $case: string }).$case },
          'the control plane asks for something that this version does not know',
        );
    }
  }

  #tell(stream: Stream, message: telemetry.FromDataPlane): boolean {
    if (this.#stream !== stream || stream.isBlocked) return false;
    stream.write({ message });
    return true;
  }

  #plan(stream: Stream): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(this.#intervalMs, () => void this.#report(stream));
  }

  async #report(stream: Stream): Promise<void> {
    const { clock, refresh, families, stateHash, decisions } = this.#options;
    // What the workers said last will have to do.
    await refresh().catch(() => {});
    if (this.#stream !== stream) return;
    const nowMs = clock.nowMs();
    // A control plane that does not read gets nothing more.
    if (!stream.isBlocked) {
      const report = this.#meter.take(families(), Math.max(1, nowMs - this.#lastMs));
      this.#lastMs = nowMs;
      stream.write({ message: telemetry.reportMessage(report, stateHash()) });
      const made = decisions?.();
      if (made !== undefined && made.decisions.length + made.lost > 0)
        stream.write({ message: telemetry.decisionsMessage(made.decisions, made.lost) });
    }
    this.#plan(stream);
  }

  async #explain(stream: Stream, question: telemetry.ExplainQuestion): Promise<void> {
    const { explain } = this.#options;
    const outcome: telemetry.ExplainOutcome =
      explain === undefined ? { problem: 'this data plane explains nothing', isQuestionAtFault: false } : await explain(question);
    this.#tell(stream, telemetry.explainAnswerMessage(question.id, outcome));
  }

  #ended(stream: Stream, error: GrpcError | undefined): void {
    if (this.#stream !== stream) return;
    const { logger, clock } = this.#options;
    const channel = this.#channel;
    this.#leave();
    this.#channel = channel;
    if (error?.code === GRPC_STATUS.UNIMPLEMENTED) return;
    logger.debug({ reason: error?.message ?? 'the control plane ended the stream' }, 'traffic cannot be reported; trying again');
    this.#timer = clock.after(RETRY_MS, () => this.use(channel));
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    if (stream !== undefined) this.#options.taps.stopAll();
  }
}
