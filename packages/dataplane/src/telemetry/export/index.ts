// Where spans and lines of all listeners of a data plane come together: one exporter for each collector, one writer for each file. A door by itself: only
// data planes that trace or log load it.
import { gzip } from 'node:zlib';
import type { AccessLogPolicy, TracingPolicy } from '@heddle/core';
import { openLines, readSmallFile, variable } from '@heddle/runtime/node';
import { serviceOfWorkload } from '../../stack/context.ts';
import type { Context } from '../../stack/context.ts';
import type { RequestObserver } from '../../stack/ended-request.ts';
import type { RequestSpan } from '../request-span.ts';
import { Tracer } from '../tracer.ts';
import { AccessLog } from './access-log.ts';
import type { Tell } from './held-requests.ts';
import { LineWriter } from './line-writer.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { resourceOf, writeSpan } from './span-record.ts';

const SECRETS = { variable, file: readSmallFile };

export class TelemetryOutlets {
  private readonly context: Context;
  private readonly node: string;
  /** By what they are made of. */
  private readonly exporters = new Map<string, OtlpExporter>();
  private readonly writers = new Map<string, LineWriter>();

  constructor(context: Context, node: string) {
    this.context = context;
    this.node = node;
  }

  /** @param workload of the listener; undefined: several call by it. */
  tracer(policy: TracingPolicy, workload: string | undefined): Tracer {
    const { context, node } = this;
    const { clock } = context;
    const exporter = this.exporterOf(policy);
    const attributes = Object.entries(policy.attributes).flat();
    // Between two looks at the clock on the wall nothing jumps.
    let wallMs = 0;
    let lookedMs = -Infinity;
    const write: Tell<RequestSpan> = (held, span) => {
      const nowMs = clock.nowMs();
      if (nowMs - lookedMs > WALL_MS) {
        wallMs = clock.wallMs() - nowMs;
        lookedMs = nowMs;
      }
      const { labels } = held;
      const service =
        workload === undefined ? (labels.direction === 'inbound' ? labels.destination : labels.source) : serviceOfWorkload(workload);
      const writer = exporter.writer(workload ?? service, () => resourceOf(service, workload ?? '', node));
      if (writer === undefined) return;
      exporter.wrote(writeSpan(writer, span, held, attributes, wallMs));
    };
    return new Tracer(policy, { clock, random: context.random, exporter: { add: (request, span) => exporter.add(request, span, write) } });
  }

  log(policy: AccessLogPolicy): RequestObserver {
    const { to } = policy;
    let writer = this.writers.get(to);
    if (writer === undefined) this.writers.set(to, (writer = new LineWriter(to, openLines(to), this.context)));
    return new AccessLog(policy, writer, this.node, this.context);
  }

  private exporterOf({ collector }: TracingPolicy): OtlpExporter {
    const key = JSON.stringify(collector);
    let exporter = this.exporters.get(key);
    if (exporter === undefined) {
      exporter = new OtlpExporter(collector, { ...this.context, secrets: SECRETS, compress });
      this.exporters.set(key, exporter);
    }
    return exporter;
  }

  /** Those that no listener has any more send what they have, and go. */
  retain(policies: readonly { readonly tracing?: TracingPolicy; readonly accessLog?: AccessLogPolicy }[]): void {
    const collectors = new Set(policies.map(({ tracing }) => tracing && JSON.stringify(tracing.collector)));
    const files = new Set(policies.map(({ accessLog }) => accessLog?.to));
    for (const [key, exporter] of this.exporters) {
      if (collectors.has(key)) continue;
      this.exporters.delete(key);
      void exporter.end(LEAVING_MS);
    }
    for (const [to, writer] of this.writers) {
      if (files.has(to)) continue;
      this.writers.delete(to);
      void writer.end(LEAVING_MS);
    }
  }

  /** Everything goes out, as long as there is time. */
  async end(timeoutMs: number): Promise<void> {
    const all = [...this.exporters.values(), ...this.writers.values()];
    this.exporters.clear();
    this.writers.clear();
    await Promise.all(all.map((one) => one.end(timeoutMs)));
  }
}

const WALL_MS = 1_000;
const LEAVING_MS = 10_000;

function compress(bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gzip(bytes, (error, compressed) => (error === null ? resolve(compressed) : reject(error)));
  });
}
