// Certificates that live for seconds, and roots that are replaced one after the other, under load: what a mesh goes through in years, in minutes.
// Every request must be answered. Control plane and data planes are real ones, on real sockets, in this process.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { authorityOf, identitiesOf, rotate, withRootsOf } from '../support/authority.ts';
import { type Outcome, startLoad, summarize } from '../support/load.ts';
import {
  application,
  Cleanup,
  control,
  type ControlRef,
  host,
  machine,
  metric,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

export interface CertificatesOptions {
  readonly seconds: number;
  /** Life of a certificate. */
  readonly ttlMs: number;
  readonly requestsPerSecond: number;
  readonly say: (line: string) => void;
}

export interface CertificatesReport {
  readonly seconds: number;
  readonly ttlMs: number;
  readonly requests: number;
  /** By status or error. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Certificates of workloads that were issued, and roots that were replaced by new ones. */
  readonly certificates: number;
  readonly rotations: number;
  /** Connections between the data planes that were made: new ones with each new certificate and each change of the roots. */
  readonly connections: number;
  /** TLS handshakes that were refused, by listeners and by callers. */
  readonly refused: number;
  /** How often an alarm said that a certificate was not renewed in time. */
  readonly overdue: number;
}

/** A load remembers what became of each of its requests; so long it goes on before the next takes its place. */
const ROUND_MS = 20_000;
const LOOK_EVERY_MS = 250;
const URL = 'http://echo.mesh.internal/';
/** So much of a certificate's life a replacement takes, and some time for all to hear of it. */
const LIVES_PER_ROTATION = 3;

/** Rejects when the mesh does not come up. */
export async function runCertificates({ seconds, ttlMs, requestsPerSecond, say }: CertificatesOptions): Promise<CertificatesReport> {
  const cleanup = new Cleanup();
  try {
    const stateDir = await temporaryDirectory(cleanup);
    const plane = await control(cleanup, { stateDir, certificateTtlMs: ttlMs });
    const now = (): ControlRef => (existsSync(join(stateDir, 'ca', 'roots.pem')) ? withRootsOf(plane, stateDir) : plane);
    const far = await machine(cleanup, plane, { node: 'far' });
    for (const name of ['echo-1', 'echo-2']) await host(far, plane, name, (await application(cleanup, name)).port);
    const near = await machine(cleanup, plane, { node: 'near' });
    await untilReady(far, near);
    await untilEndpoints(near, 'echo', ['echo-1', 'echo-2']);

    const endMs = performance.now() + seconds * 1_000;
    const seen = new Set<string>();
    let overdue = 0;
    let rotations = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const { certificates } = await identitiesOf(now());
        for (const { serial, why } of certificates) if (why !== 'control') seen.add(serial);
        for (const one of [far, near]) overdue += await metric(one, 'heddle_identity_overdue');
        await delay(LOOK_EVERY_MS);
      }
    })();
    const replacing = (async () => {
      while (performance.now() + ttlMs * LIVES_PER_ROTATION < endMs) {
        await rotate(now(), 'start', { automatic: true });
        await waitFor('the new root', async () => (await authorityOf(now())).phase === 'none', ttlMs * 10 + 30_000);
        rotations += 1;
        say(`${Math.round((endMs - performance.now()) / 1_000)} s left: ${seen.size} certificates, root ${rotations + 1}`);
      }
    })();
    const outcomes: Outcome[] = [];
    while (performance.now() < endMs) {
      const load = startLoad({ proxy: through(near), url: URL }, requestsPerSecond);
      await delay(Math.min(ROUND_MS, endMs - performance.now()));
      // A long run keeps no answers.
      for (const outcome of await load.stop()) outcomes.push({ ...outcome, body: '' });
    }
    await replacing;
    isOver = true;
    await watching;
    return {
      seconds,
      ttlMs,
      requests: outcomes.length,
      outcomes: summarize(outcomes),
      slowestMs: Math.round(outcomes.reduce((slowest, { durationMs }) => Math.max(slowest, durationMs), 0)),
      certificates: seen.size,
      rotations,
      connections: await metric(near, 'heddle_upstream_connections_total', 'outbound/'),
      refused: (await metric(far, 'heddle_tls_refused_handshakes_total')) + (await metric(near, 'heddle_upstream_tls_failures_total')),
      overdue,
    };
  } finally {
    await cleanup.run();
  }
}

/** What must not have been. */
export function certificatesProblems({ seconds, ttlMs, requests, outcomes, certificates, overdue, refused }: CertificatesReport): string[] {
  const problems: string[] = [];
  const failed = requests - (outcomes['200'] ?? 0);
  if (failed > 0 || requests === 0) problems.push(`${failed} of ${requests} requests failed: ${JSON.stringify(outcomes)}`);
  // Renewed at half of their life, three workloads and two data planes; half as many may be seen where the machine is slow.
  const least = Math.floor((seconds * 1_000) / ttlMs);
  if (certificates < least) problems.push(`only ${certificates} certificates were issued, at least ${least} are expected`);
  if (overdue > 0) problems.push(`certificates were not renewed in time (seen ${overdue} times)`);
  if (refused > 0) problems.push(`${refused} TLS handshakes were refused`);
  return problems;
}
