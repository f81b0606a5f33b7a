// `npm run bench:telemetry`: what traces and access logs cost a request, beside the same proxy without them, round by round. The targets are about
// 1 % of traces with a sampled access log; everything traced and logged shows what a trace and a line cost by themselves.
// Arguments: rounds (9), seconds of each (2), rows with commas (h1,h2,pair,pair-grpc).
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePorts } from '../tests/support/ports.ts';
import type { Contestant, Scenario } from './contestants/contestant.ts';
import { heddle, heddleWith, type Telemetry } from './contestants/heddle.ts';
import { Field } from './rows/field.ts';
import { throughputRow } from './rows/throughput.ts';
import { ratios, spread, spreadText } from './support/figures.ts';
import { table } from './support/report.ts';

const HTTP1: Scenario = { http: 'http1', grpc: false, tls: false, pair: false, bodyBytes: 1_024 };
const ROWS = [
  throughputRow({ name: 'h1', group: 'h1', title: 'HTTP/1.1 → HTTP/1.1', scenario: HTTP1, connections: 64, streams: 1 }),
  throughputRow({ name: 'h2', group: 'h2', title: 'HTTP/2 → HTTP/2', scenario: { ...HTTP1, http: 'http2' }, connections: 8, streams: 16 }),
  throughputRow({
    name: 'pair',
    group: 'pair',
    title: 'Pair of proxies with mutual TLS',
    scenario: { ...HTTP1, pair: true },
    connections: 64,
    streams: 1,
  }),
  throughputRow({
    name: 'pair-grpc',
    group: 'pair',
    title: 'Unary gRPC by a pair of proxies with mutual TLS',
    scenario: { http: 'http2', grpc: true, tls: false, pair: true, bodyBytes: 100 },
    connections: 8,
    streams: 16,
  }),
];

async function main([rounds = '9', seconds = '2', only = 'h1,h2,pair,pair-grpc']: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'));
  const [port = 0] = await freePorts(1);
  const told = (sample: number, logged: number): Telemetry => ({
    tracing: {
      collector: { url: `http://127.0.0.1:${port}/v1/traces`, headers: [], timeoutMs: 5_000 },
      samplePercent: sample,
      attributes: {},
    },
    accessLog: { format: 'json', to: join(folder, 'access.log'), samplePercent: logged, restPercent: 0, headers: [] },
  });
  const contestants: Contestant[] = [
    heddle,
    heddleWith('traced 1 %, logged 1 %', told(1, 1)),
    heddleWith('traced 100 %', { tracing: told(100, 0).tracing! }),
    heddleWith('logged 100 %', { accessLog: told(0, 100).accessLog! }),
  ];
  const cores = availableParallelism() >= 2 ? { load: 0, proxies: 1 } : undefined;
  const field = new Field({ folder, contestants, heddleRoot: resolve(import.meta.dirname, '..'), built: false, cores });
  try {
    for (const row of ROWS.filter(({ name }) => only.split(',').includes(name))) {
      await field.spawnProgram('otlp-sink', [String(port)]).listensOn(port);
      const result = await row.run(field, { rounds: Number(rounds), seconds: Number(seconds), quick: false });
      console.log(table(row, result));
      const cpuOf = (name: string): number[] =>
        (result.standings.find((one) => one.name === name)?.rounds ?? []).map((round) => round['cpuUsPerRequest']!);
      for (const { name } of contestants.slice(1))
        console.log(`${name} / without: ${spreadText(spread(ratios(cpuOf(name), cpuOf('heddle'))), 3)}`);
      await field.stopAll();
    }
  } finally {
    await field.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main(process.argv.slice(2));
