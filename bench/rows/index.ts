// The rows, in the order in which they run.
import type { Scenario } from '../contestants/contestant.ts';
import { inProcessRow } from './in-process.ts';
import { latencyRow } from './latency.ts';
import type { Row } from './row.ts';
import { connectionsRow, requestsRow } from './soak.ts';
import { startupRow } from './startup.ts';
import { throughputRow } from './throughput.ts';

const HTTP1: Scenario = { http: 'http1', grpc: false, tls: false, pair: false, bodyBytes: 1024 };
const HTTP2: Scenario = { ...HTTP1, http: 'http2' };
const GRPC: Scenario = { ...HTTP2, grpc: true, bodyBytes: 100 };
const KB = 1024;

export const ROWS: readonly Row[] = [
  throughputRow({ name: 'h1', group: 'h1', title: 'HTTP/1.1 → HTTP/1.1', scenario: HTTP1, connections: 64, streams: 1 }),
  throughputRow({ name: 'h2', group: 'h2', title: 'HTTP/2 → HTTP/2', scenario: HTTP2, connections: 8, streams: 16 }),
  throughputRow({ name: 'grpc', group: 'grpc', title: 'gRPC, unary calls', scenario: GRPC, connections: 8, streams: 16 }),
  throughputRow({
    name: 'tls',
    group: 'tls',
    title: 'HTTP/1.1 with TLS 1.3 → HTTP/1.1',
    scenario: { ...HTTP1, tls: true },
    connections: 64,
    streams: 1,
  }),
  throughputRow({
    name: 'pair',
    group: 'pair',
    title: 'Pair: HTTP/1.1 → proxy → HTTP/2 over mutual TLS → proxy → HTTP/1.1',
    scenario: { ...HTTP1, pair: true },
    connections: 64,
    streams: 1,
  }),
  throughputRow({
    name: 'pair-grpc',
    group: 'pair',
    title: 'Pair: gRPC → proxy → HTTP/2 over mutual TLS → proxy → gRPC',
    scenario: { ...GRPC, pair: true },
    connections: 8,
    streams: 16,
  }),
  latencyRow({ name: 'latency-h1-1000', title: 'Latency, HTTP/1.1, 1,000 requests/s', scenario: HTTP1, requestsPerSecond: 1000 }),
  latencyRow({ name: 'latency-h1-2000', title: 'Latency, HTTP/1.1, 2,000 requests/s', scenario: HTTP1, requestsPerSecond: 2000 }),
  latencyRow({ name: 'latency-h2-2000', title: 'Latency, HTTP/2, 2,000 requests/s', scenario: HTTP2, requestsPerSecond: 2000 }),
  latencyRow({
    name: 'latency-pair-1000',
    title: 'Latency of the pair, 1,000 requests/s',
    scenario: { ...HTTP1, pair: true },
    requestsPerSecond: 1000,
  }),
  inProcessRow({ name: 'in-process-fetch', title: 'The data plane inside, fetch → node:http', api: 'fetch' }),
  inProcessRow({ name: 'in-process-http', title: 'The data plane inside, node:http → node:http', api: 'http' }),
  inProcessRow({ name: 'in-process-grpc', title: 'The data plane inside, grpc-js → grpc-js, unary', api: 'grpc' }),
  throughputRow({
    name: 'h1-64k',
    group: 'large',
    title: 'HTTP/1.1, responses of 64 kB',
    scenario: { ...HTTP1, bodyBytes: 64 * KB },
    connections: 64,
    streams: 1,
  }),
  throughputRow({
    name: 'h1-1m',
    group: 'large',
    title: 'HTTP/1.1, responses of 1 MB',
    scenario: { ...HTTP1, bodyBytes: KB * KB },
    connections: 16,
    streams: 1,
  }),
  throughputRow({
    name: 'h2-64k',
    group: 'large',
    title: 'HTTP/2, responses of 64 kB',
    scenario: { ...HTTP2, bodyBytes: 64 * KB },
    connections: 8,
    streams: 8,
  }),
  throughputRow({
    name: 'h2-1m',
    group: 'large',
    title: 'HTTP/2, responses of 1 MB',
    scenario: { ...HTTP2, bodyBytes: KB * KB },
    connections: 8,
    streams: 2,
  }),
  startupRow(HTTP1),
  requestsRow('soak-h1', 'A million requests, HTTP/1.1', HTTP1),
  requestsRow('soak-h2', 'A million requests, HTTP/2', HTTP2),
  connectionsRow(HTTP1),
];

export const GROUPS: readonly string[] = [...new Set(ROWS.map(({ group }) => group))];
