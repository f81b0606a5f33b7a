// Sends spans to a collector, by OTLP over HTTP: in batches, one at a time, again for a while when the collector is busy or away. What waits is bounded, and
// what does not fit is counted and gone: traffic never waits for a collector.
import { ProtoWriter, SpanWriter, writeBatch } from '@heddle/api/otlp';
import type { Attributes, ResourceSpans } from '@heddle/api/otlp';
import { EXPORT_METRICS, parseRetryAfter } from '@heddle/core';
import type { TraceCollector } from '@heddle/core';
import type { Counter, Timer } from '@heddle/runtime';
import { HttpsClient, NoAnswerError } from '../../asking/https-client.ts';
import type { HttpAnswer } from '../../asking/https-client.ts';
import type { Context } from '../../stack/context.ts';
import type { EndedRequest } from '../../stack/ended-request.ts';
import type { RequestSpan } from '../request-span.ts';
import { collectorHeaders, isSecret } from './collector-headers.ts';
import type { ReadSecrets } from './collector-headers.ts';
import { HeldRequests } from './held-requests.ts';
import type { Tell } from './held-requests.ts';

/** Spans are sent so long after the first of a batch: a person who looks for a trace has hardly switched windows. */
const BATCH_MS = 1_000;
/** From the beginning of one batch to that of the next, while spans keep coming: each costs some milliseconds, whatever is in it. */
const STEADY_MS = 5_000;
/** Spans of one batch: some 1.2 MB, which collectors take (4 MiB and more). Each batch costs several milliseconds, whatever is in it. */
const BATCH_SPANS = 2_048;
/** Also where spans are larger than usual. */
const BATCH_BYTES_MAX = 2_097_152;
const BATCH_BYTES = 65_536;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
/** A collector that is away longer loses spans anyway, as more come. */
const TRIES_MAX = 6;
/** OTLP/HTTP, "Retryable Response Codes". */
const RETRYABLE: readonly number[] = [429, 502, 503, 504];
const PROTOBUF = 'application/x-protobuf';

export interface ExporterDeps extends Pick<Context, 'network' | 'clock' | 'random' | 'logger' | 'metrics' | 'limits'> {
  readonly secrets: ReadSecrets;
  readonly compress: (bytes: Buffer) => Promise<Buffer>;
}

interface Batch {
  readonly written: ProtoWriter;
  readonly bytes: Buffer;
  readonly spans: number;
}

type Outcome =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'later'; readonly reason: string; readonly afterMs: number | undefined };

export class OtlpExporter {
  private readonly collector: TraceCollector;
  private readonly deps: ExporterDeps;
  private readonly client: HttpsClient;
  private readonly sent: Counter;
  private readonly dropped: Readonly<Record<'full' | 'refused' | 'unreachable', Counter>>;
  private readonly held = new HeldRequests<RequestSpan>();
  /** The batch that is being filled, by the resource that the spans are of. */
  private readonly open = new Map<string, ResourceSpans>();
  private openSpans = 0;
  private openBytes = 0;
  /** Full batches, the oldest first. */
  private full: Batch[] = [];
  private fullBytes = 0;
  /** Of a batch that is done: memory that is asked for over and over has the engine look for garbage everywhere. */
  private spare: ProtoWriter | undefined;
  private timer: Timer | undefined;
  private begunMs = -Infinity;
  /** Ends the pause before a batch is sent again. */
  private hurry: (() => void) | undefined;
  private sending: Promise<void> | undefined;
  private isEnding = false;
  private isFailing = false;

  constructor(collector: TraceCollector, deps: ExporterDeps) {
    const { metrics, network, clock, limits } = deps;
    this.collector = collector;
    this.deps = deps;
    this.client = new HttpsClient({ network, clock, limits });
    this.sent = metrics.counter(EXPORT_METRICS.spansExported);
    const dropped = (reason: string): Counter => metrics.counter(EXPORT_METRICS.spansDropped, { reason });
    this.dropped = { full: dropped('full'), refused: dropped('refused'), unreachable: dropped('unreachable') };
  }

  /** @param write is called when it is time to: see `writer`. */
  add(request: EndedRequest, span: RequestSpan, write: Tell<RequestSpan>): void {
    if (this.isEnding) return this.dropped.full.add(1);
    this.held.add(request, span, write);
    if (this.held.isFull) this.held.tellAll();
    else if (this.sending === undefined) this.schedule();
  }

  /**
   * Where the next span is to be written, followed by `wrote`. Undefined: there is no room, and it is counted as lost.
   * @param key of the resource. @param resource is asked for with the first span of a batch.
   */
  writer(key: string, resource: () => Attributes): SpanWriter | undefined {
    if (this.isEnding || this.fullBytes + this.openBytes >= this.deps.limits.spanQueueBytesMax) {
      this.dropped.full.add(1);
      return undefined;
    }
    let group = this.open.get(key);
    if (group === undefined) this.open.set(key, (group = { resource: resource(), spans: new SpanWriter() }));
    return group.spans;
  }

  wrote(bytes: number): void {
    this.openSpans += 1;
    this.openBytes += bytes;
    if (this.openSpans >= BATCH_SPANS || this.openBytes >= BATCH_BYTES_MAX) this.seal();
    if (this.sending !== undefined) return;
    if (this.full.length > 0) this.begin();
    else this.schedule();
  }

  private seal(): void {
    if (this.openSpans === 0) return;
    const written = this.spare ?? new ProtoWriter(BATCH_BYTES);
    this.spare = undefined;
    // Who had nothing to say since the last batch may be gone.
    for (const [key, { spans }] of this.open) if (spans.count === 0) this.open.delete(key);
    writeBatch(written, this.open.values());
    const bytes = written.written;
    this.full.push({ written, bytes, spans: this.openSpans });
    this.fullBytes += bytes.length;
    this.openSpans = 0;
    this.openBytes = 0;
  }

  /** Sends what waits, as long as there is time: pauses are cut short. Spans that come later are dropped. */
  async end(timeoutMs: number): Promise<void> {
    this.held.tellAll();
    this.isEnding = true;
    this.hurry?.();
    const isOver = Promise.withResolvers<void>();
    const timer = this.deps.clock.after(timeoutMs, () => isOver.resolve());
    if (this.sending === undefined) this.begin();
    await Promise.race([this.sending, isOver.promise]);
    timer.cancel();
    this.close();
  }

  /** What waits is lost. */
  close(): void {
    this.held.tellAll();
    this.isEnding = true;
    this.timer?.cancel();
    this.timer = undefined;
    this.seal();
    for (const { spans } of this.full) this.dropped.unreachable.add(spans);
    this.full = [];
    this.hurry?.();
  }

  private schedule(): void {
    const { clock } = this.deps;
    this.timer ??= clock.after(Math.max(BATCH_MS, this.begunMs + STEADY_MS - clock.nowMs()), () => this.begin());
  }

  private begin(): void {
    this.timer?.cancel();
    this.timer = undefined;
    if (this.sending !== undefined) return;
    this.held.tellAll();
    this.seal();
    if (this.full.length === 0) return;
    this.begunMs = this.deps.clock.nowMs();
    this.sending = this.sendAll().finally(() => {
      this.sending = undefined;
      // They came while the last batch was under way.
      if (this.openSpans + this.held.count > 0 && !this.isEnding) this.schedule();
    });
  }

  private async sendAll(): Promise<void> {
    for (;;) {
      if (this.isEnding) this.seal();
      const batch = this.full.shift();
      if (batch === undefined) return;
      this.fullBytes -= batch.bytes.length;
      await this.send(batch);
      batch.written.clear();
      this.spare = batch.written;
    }
  }

  /** Never rejects. */
  private async send({ bytes, spans }: Batch): Promise<void> {
    for (let made = 1; ; made++) {
      const outcome = await this.post(bytes);
      if (outcome.kind === 'taken') {
        this.sent.add(spans);
        return this.works();
      }
      this.fails(outcome.reason);
      if (outcome.kind === 'refused') return this.dropped.refused.add(spans);
      if (made >= TRIES_MAX || this.isEnding) return this.dropped.unreachable.add(spans);
      await this.pause(outcome.afterMs ?? this.backoffMs(made));
    }
  }

  private backoffMs(made: number): number {
    const fullMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** (made - 1));
    return fullMs * (0.5 + this.deps.random.next() / 2);
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.deps.clock.after(Math.min(ms, BACKOFF_MAX_MS), resolve);
      this.hurry = () => {
        timer.cancel();
        resolve();
      };
      if (this.isEnding) this.hurry();
    });
    this.hurry = undefined;
  }

  private async post(batch: Buffer): Promise<Outcome> {
    const { url, timeoutMs, gzip, headers } = this.collector;
    const { secrets, compress } = this.deps;
    try {
      const own = await collectorHeaders(headers, secrets);
      const bytes = gzip === true ? await compress(batch) : batch;
      const encoding = gzip === true ? [['content-encoding', 'gzip'] as const] : [];
      const mayBeRead = !headers.some(isSecret);
      const post = { contentType: PROTOBUF, bytes, headers: [...encoding, ...own], mayBeRead };
      return this.outcomeOf(await this.client.ask({ url, rootsPem: undefined, timeoutMs, post }));
    } catch (error) {
      if (!(error instanceof NoAnswerError)) return { kind: 'refused', reason: (error as Error).message };
      return { kind: 'later', reason: error.message, afterMs: undefined };
    }
  }

  private outcomeOf({ status, retryAfter }: HttpAnswer): Outcome {
    if (status >= 200 && status < 300) return { kind: 'taken' };
    const reason = `answered with status ${status}`;
    if (!RETRYABLE.includes(status)) return { kind: 'refused', reason };
    return { kind: 'later', reason, afterMs: retryAfter === undefined ? undefined : parseRetryAfter(retryAfter, this.deps.clock.wallMs()) };
  }

  /** Told once, until it works again. */
  private fails(reason: string): void {
    if (this.isFailing) return;
    this.isFailing = true;
    this.deps.logger.warn(
      { collector: this.collector.url, reason },
      'the collector takes no spans; they wait for a while, and then they are lost',
    );
  }

  private works(): void {
    if (!this.isFailing) return;
    this.isFailing = false;
    this.deps.logger.info({ collector: this.collector.url }, 'the collector takes spans again');
  }
}
