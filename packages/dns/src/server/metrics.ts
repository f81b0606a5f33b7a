// What the DNS server counts. Handles are made once; a plane without metrics counts into nothing.
import type { Counter, Gauge, Metrics } from '@heddle/runtime';
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
  const counter = (name: string, help: string, labels?: Record<string, string>): Counter => metrics?.counter(name, help, labels) ?? nothing;
  const gauge = (name: string, help: string): Gauge => metrics?.gauge(name, help) ?? nothing;
  const queries = new Map<string, Counter>();
  const forwarded = (result: string): Counter =>
    counter('heddle_dns_forwarded_total', 'Questions that were sent to other resolvers, by whether any of these answered.', { result });
  const limited = (action: string): Counter =>
    counter('heddle_dns_rate_limited_total', 'Queries of clients that ask too often, by what they got: a cut answer, or none.', { action });
  const ignored = (reason: string): Counter =>
    counter('heddle_dns_ignored_total', 'Messages that are no query: too short for one, or a response.', { reason });
  return {
    answered(type, rcode) {
      const name = `${type === undefined ? 'none' : typeName(type)} ${rcodeName(rcode)}`;
      let handle = queries.get(name);
      if (handle === undefined) {
        const [label = '', code = ''] = name.split(' ');
        handle = counter('heddle_dns_queries_total', 'Queries that were answered, by type and response code.', {
          type: label,
          rcode: code,
        });
        queries.set(name, handle);
      }
      handle.add(1);
    },
    forwarded: { answered: forwarded('answered'), failed: forwarded('failed') },
    cacheHits: counter('heddle_dns_cache_hits_total', 'Forwarded queries that were answered from the cache.'),
    cacheMisses: counter('heddle_dns_cache_misses_total', 'Forwarded queries that were not in the cache.'),
    cacheEntries: gauge('heddle_dns_cache_entries', 'Answers of other resolvers that are kept.'),
    rateLimited: { cut: limited('cut'), dropped: limited('dropped') },
    ignored: { short: ignored('short'), response: ignored('response') },
    loops: counter('heddle_dns_loops_total', 'Questions that were forwarded and came back to this server.'),
    connections: gauge('heddle_dns_connections', 'Open TCP connections to the DNS server.'),
    onExpose: (update) => metrics?.onExpose(update),
  };
}

const nothing = { add() {}, set() {} };
