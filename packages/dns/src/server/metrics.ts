// What the DNS server counts. Handles are made once; a plane without metrics counts into nothing.
import { DNS_METRICS } from '@heddle/core';
import type { CounterDefinition, GaugeDefinition } from '@heddle/core';
import type { Counter, Gauge, LabelValues, Metrics } from '@heddle/runtime';
import { rcodeName, typeName } from '../wire/codes.ts';

export interface DnsMetrics {
  answered(type: number | undefined, rcode: number): void;
  readonly forwarded: { readonly answered: Counter; readonly failed: Counter };
  readonly cacheHits: Counter;
  readonly cacheMisses: Counter;
  readonly cacheEntries: Gauge;
  readonly rateLimited: { readonly cut: Counter; readonly dropped: Counter };
  readonly ignored: { readonly short: Counter; readonly response: Counter };
  readonly loops: Counter;
  readonly connections: Gauge;
  onExpose(update: () => void): void;
}

export function dnsMetrics(metrics: Metrics | undefined): DnsMetrics {
  const counter = <L extends string>(definition: CounterDefinition<L>, labels?: LabelValues<L>): Counter =>
    metrics?.counter(definition, labels) ?? nothing;
  const gauge = (definition: GaugeDefinition<never>): Gauge => metrics?.gauge(definition) ?? nothing;
  const queries = new Map<string, Counter>();
  const forwarded = (result: string): Counter => counter(DNS_METRICS.forwarded, { result });
  const limited = (action: string): Counter => counter(DNS_METRICS.rateLimited, { action });
  const ignored = (reason: string): Counter => counter(DNS_METRICS.ignored, { reason });
  return {
    answered(type, rcode) {
      const name = `${type === undefined ? 'none' : typeName(type)} ${rcodeName(rcode)}`;
      let handle = queries.get(name);
      if (handle === undefined) {
        const [label = '', code = ''] = name.split(' ');
        handle = counter(DNS_METRICS.queries, {
          type: label,
          rcode: code,
        });
        queries.set(name, handle);
      }
      handle.add(1);
    },
    forwarded: { answered: forwarded('answered'), failed: forwarded('failed') },
    cacheHits: counter(DNS_METRICS.cacheHits),
    cacheMisses: counter(DNS_METRICS.cacheMisses),
    cacheEntries: gauge(DNS_METRICS.cacheEntries),
    rateLimited: { cut: limited('cut'), dropped: limited('dropped') },
    ignored: { short: ignored('short'), response: ignored('response') },
    loops: counter(DNS_METRICS.loops),
    connections: gauge(DNS_METRICS.connections),
    onExpose: (update) => metrics?.onExpose(update),
  };
}

const nothing = { add() {}, set() {} };
