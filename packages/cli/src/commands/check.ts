// `heddle check`: looks at a running mesh from end to end, from the files to the instances. Every finding says how to mend it.
import { X509Certificate } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { decodePem } from '@heddle/core';
import { type AuthorityView, openControl, type ControlClient } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatAge, formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { readStateFile, requireStateDirectory } from '../state-directory.ts';
import { readUpInfo } from '../up/lock.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { VERSION } from '../version.ts';
import { tokenFindings } from './check-tokens.ts';
import { proxyRow, syncTrouble } from './get.ts';

export interface CheckOptions {
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export interface Finding {
  readonly check: string;
  readonly result: 'ok' | 'failed';
  readonly detail: string;
  /** What to do; empty when there is nothing to do. */
  readonly mend: string;
}

const NODE_MAJOR_MIN = 24;
/** A root that ends sooner must be replaced now. */
const ROOT_LEFT_MIN_MS = 30 * 86_400_000;

export async function check({ output, stateDir }: CheckOptions): Promise<ExitCode> {
  const findings: Finding[] = [];
  for await (const finding of findAll(stateDir)) findings.push(finding);
  const failed = findings.filter(({ result }) => result === 'failed').length;
  if (output !== 'table') {
    process.stdout.write(formatData({ ok: failed === 0, findings }, output));
  } else {
    const palette = paletteFor(process.stdout, process.env);
    for (const { check: name, result, detail, mend } of findings) {
      const mark = result === 'ok' ? palette.good('ok    ') : palette.bad('FAILED');
      process.stdout.write(`${mark}  ${name}: ${detail}\n${mend === '' ? '' : `        mend: ${mend}\n`}`);
    }
    process.stdout.write(failed === 0 ? `\n${findings.length} checks, all ok\n` : `\n${failed} of ${findings.length} checks failed\n`);
  }
  return failed === 0 ? 0 : 1;
}

const ok = (name: string, detail: string): Finding => ({ check: name, result: 'ok', detail, mend: '' });
const failed = (name: string, detail: string, mend: string): Finding => ({ check: name, result: 'failed', detail, mend });

async function* findAll(stateDir: string | undefined): AsyncGenerator<Finding> {
  yield checkNode();
  let directory: string;
  try {
    directory = requireStateDirectory(stateDir);
  } catch (error) {
    yield asFailure('state directory', error);
    return;
  }
  yield* checkStateDirectory(directory);
  yield* checkRoot(directory);
  yield* checkProxyOfUp(directory);
  let control: ControlClient;
  try {
    control = openControl(directory);
  } catch (error) {
    yield asFailure('control plane', error);
    return;
  }
  try {
    yield* checkControl(control);
  } catch (error) {
    yield asFailure('control plane', error);
  } finally {
    control.close();
  }
}

function asFailure(name: string, error: unknown): Finding {
  return failed(name, (error as Error).message, error instanceof CliError ? (error.mend ?? '') : '');
}

function checkNode(): Finding {
  const name = 'Node.js';
  const major = Number(process.versions.node.split('.')[0]);
  return major >= NODE_MAJOR_MIN
    ? ok(name, process.version)
    : failed(name, `${process.version} is too old`, `install Node.js ${NODE_MAJOR_MIN} or newer`);
}

/** What only its owner may read. */
const SECRETS = ['operator.token', 'ca/root.key.pem', 'ca/next.key.pem', 'ca/issued.jsonl'];

function* checkStateDirectory(directory: string): Generator<Finding> {
  const open = [directory, ...SECRETS.map((name) => join(directory, name)).filter(existsSync)].filter(
    (path) => (statSync(path).mode & 0o077) !== 0,
  );
  yield open.length === 0
    ? ok('state directory', `${directory}, closed to others`)
    : failed('state directory', `other users of this machine can get at ${open.join(', ')}`, `chmod go= ${open.join(' ')}`);
}

function* checkRoot(directory: string): Generator<Finding> {
  const name = 'root certificate';
  const pem = readStateFile(directory, 'ca', 'roots.pem') ?? readStateFile(directory, 'ca', 'root.pem');
  if (pem === undefined) return yield failed(name, `${join(directory, 'ca/roots.pem')} is missing`, 'start the mesh with `heddle up`');
  // While a root is being replaced there are two.
  const leftMs = Math.min(...decodePem('CERTIFICATE', pem).map((der) => new X509Certificate(der).validToDate.getTime())) - Date.now();
  yield leftMs > ROOT_LEFT_MIN_MS
    ? ok(name, `ends in ${formatAge(leftMs)}`)
    : failed(
        name,
        leftMs > 0 ? `ends in ${formatAge(leftMs)}` : 'has ended',
        leftMs > 0
          ? 'replace it while everything runs: `heddle ca rotate --auto`'
          : 'stop the mesh, move the directory `ca` and `identities` of the state directory away, and start again: a new root is made and everything joins anew',
      );
}

/** The certificates that the proxy of `heddle up` holds, from its own metrics. */
async function* checkProxyOfUp(directory: string): AsyncGenerator<Finding> {
  const info = readUpInfo(directory);
  if (info === undefined) return;
  const admin = new ProxyAdmin(info.adminPort, () => undefined);
  try {
    const missing = await admin.missing();
    yield missing.length === 0
      ? ok('proxy', 'serves everything it was given')
      : failed(
          'proxy',
          `waits for ${missing.slice(0, 5).join('; ')}${missing.length > 5 ? `; and ${missing.length - 5} more` : ''}`,
          'the log of the proxy says why, after `proxy |` in the output of `heddle up`',
        );
    const metrics = await admin.metrics();
    yield certificateFinding(metrics, Date.now());
    yield* tokenFindings(metrics);
  } catch (error) {
    yield failed(
      'proxy',
      `its admin API on port ${info.adminPort} does not answer: ${(error as Error).message}`,
      'see the output of `heddle up`, which restarts it',
    );
  }
}

/** @param metrics Prometheus text of a proxy. */
export function certificateFinding(metrics: string, nowMs: number): Finding {
  const name = 'certificates';
  const expiries = [...metrics.matchAll(/^heddle_identity_expiry_timestamp_seconds\{workload="([^"]*)"\} (\S+)$/gm)].map(
    ([, workload = '', seconds]) => ({ workload, leftMs: Number(seconds) * 1_000 - nowMs }),
  );
  const overdue = [...metrics.matchAll(/^heddle_identity_overdue\{workload="([^"]*)"\} 1$/gm)].map(([, workload = '']) => workload);
  const trouble = [...new Set([...overdue, ...expiries.filter(({ leftMs }) => leftMs <= 0).map(({ workload }) => workload)])];
  if (trouble.length > 0)
    return failed(name, `not renewed in time or missing: ${trouble.join(', ')}`, 'see whether the control plane answers; it issues them');
  const soonestMs = Math.min(...expiries.map(({ leftMs }) => leftMs));
  return ok(
    name,
    expiries.length === 0
      ? 'the proxy holds none'
      : `${expiries.length} held by the proxy, the first one ends in ${formatAge(soonestMs)} and is renewed before`,
  );
}

async function* checkControl(control: ControlClient): AsyncGenerator<Finding> {
  const mesh = await control.mesh();
  yield ok(
    'control plane',
    `answers at ${control.info.address}:${control.info.port}, mesh ${mesh.mesh}, up for ${formatAge(Date.now() - mesh.startedMs)}`,
  );
  yield mesh.version === VERSION
    ? ok('versions', `${VERSION} throughout`)
    : failed('versions', `the control plane is ${mesh.version}, this command ${VERSION}`, 'restart the mesh with the newer one');
  yield authorityFinding(await control.authority());
  const behind = (await control.proxies()).map(proxyRow).filter(({ inSync }) => !inSync);
  yield behind.length === 0
    ? ok('proxies', 'all have applied the newest configuration')
    : failed(
        'proxies',
        behind.map((row) => `${row.node}: ${syncTrouble(row)}`).join('; '),
        'see the log of the proxy; a rejected configuration is a fault to report',
      );
  yield* checkInstances(control);
}

/** Whether what is issued is written down, and whether a root that is being replaced waits for somebody to go on. */
function authorityFinding({ phase, isAutomatic, isLogFailing, obstacles }: AuthorityView): Finding {
  const name = 'certificate authority';
  if (isLogFailing)
    return failed(
      name,
      'the log of issued certificates cannot be written',
      'make room on the disk of the control plane; its log names the file',
    );
  if (phase === 'none') return ok(name, 'signs, and writes down what it issues');
  const waiting = obstacles.length === 0 ? '' : `, waiting: ${obstacles.join('; ')}`;
  return ok(
    name,
    `its root is being replaced (${phase}${isAutomatic ? ', goes on by itself' : ', see `heddle ca rotate status`'})${waiting}`,
  );
}

async function* checkInstances(control: ControlClient): AsyncGenerator<Finding> {
  const instances = await control.instances();
  const sick = instances.filter(({ health }) => health === 'unhealthy' || health === 'starting');
  yield sick.length === 0
    ? ok('instances', `${instances.length}, none of them unhealthy`)
    : failed(
        'instances',
        sick.map(({ id, health, healthReason }) => `${id} is ${health}: ${healthReason}`).join('; '),
        'see what the instance writes in the output of `heddle up`',
      );
  const empty = (await control.services()).filter(
    ({ namespace, name }) =>
      !instances.some(({ service, health }) => service.namespace === namespace && service.name === name && health === 'healthy'),
  );
  yield empty.length === 0
    ? ok('services', 'each has a healthy instance')
    : failed(
        'services',
        `without a healthy instance: ${empty.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')}`,
        'start an instance: in the mesh file with `run:`, or with `heddle run`',
      );
}
