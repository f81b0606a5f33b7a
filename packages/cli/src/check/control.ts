// What the control plane knows: clocks, versions, certificates, what data planes have, whether services can be reached, and what it goes by.
import { readFileSync } from 'node:fs';
import type { admin } from '@heddle/api';
import { serviceKey, type Instance } from '@heddle/core';
import { proxyRow, syncTrouble } from '../commands/get.ts';
import type { AuthorityView, ControlClient } from '../control-client.ts';
import { formatAge } from '../output/format.ts';
import { VERSION } from '../version.ts';
import { clockFinding } from './clocks.ts';
import { failed, notice, ok, someOf, type Finding } from './finding.ts';
import { checkNames } from './names.ts';

/** Certificates are renewed at half of their lives. */
const OVERDUE_SHARE = 0.75;
/** Longer than any data plane takes for what it is told. */
const BEHIND_MAX_MS = 10_000;

export async function* checkControl(control: ControlClient): AsyncGenerator<Finding> {
  const askedMs = Date.now();
  const mesh = await control.mesh();
  const answeredMs = Date.now();
  yield ok(
    'control plane',
    `answers at ${control.info.address}:${control.info.port}, mesh ${mesh.mesh}, up for ${formatAge(mesh.clockMs - mesh.startedMs)}`,
  );
  yield clockFinding('clock of the control plane', mesh.clockMs - (askedMs + answeredMs) / 2, answeredMs - askedMs);
  const [proxies, instances, services] = await Promise.all([control.proxies(), control.instances(), control.services()]);
  yield versionFinding(mesh.version, proxies);
  yield authorityFinding(await control.authority());
  yield renewalFinding((await control.identities()).certificates, instances, answeredMs);
  yield syncFinding(proxies, answeredMs);
  yield connectionFinding(instances, proxies);
  yield* instanceFindings(instances, services);
  const named = services.find((service) => isHealthy(service, instances)) ?? services[0];
  yield await checkNames(control.info, named && `${named.name}.${named.namespace}.mesh.internal`);
  yield await configurationFinding(mesh, control);
}

/** Data planes of others have versions of their own. */
export function versionFinding(version: string, proxies: readonly Pick<admin.ProxyMessage, 'node' | 'userAgent'>[]): Finding {
  const name = 'versions';
  const others = proxies.filter(({ userAgent }) => userAgent.startsWith('heddle ') && userAgent !== `heddle ${version}`);
  const said = [
    ...(version === VERSION ? [] : [`this command is ${VERSION}`]),
    ...others.map(({ node, userAgent }) => `${node} is ${userAgent.slice('heddle '.length)}`),
  ];
  if (said.length === 0) return ok(name, `${version} throughout`);
  return failed(
    name,
    `the control plane is ${version}, ${someOf(said)}`,
    'what only one of them knows is not done by the other',
    'bring all to the newest one, the control plane first',
  );
}

/** Whether what is issued is written down, and whether a root that is being replaced waits for somebody to go on. */
function authorityFinding({ phase, isAutomatic, isLogFailing, obstacles }: AuthorityView): Finding {
  const name = 'certificate authority';
  if (isLogFailing)
    return failed(
      name,
      'the log of issued certificates cannot be written',
      'a root cannot be replaced safely by who does not know what leads to it',
      'make room on the disk of the control plane; its log names the file',
    );
  if (phase === 'none') return ok(name, 'signs, and writes down what it issues');
  const waiting = obstacles.length === 0 ? '' : `, waiting: ${obstacles.join('; ')}`;
  return notice(
    name,
    `its root is being replaced (${phase}${isAutomatic ? ', goes on by itself' : ''})${waiting}`,
    'see `heddle ca rotate status`',
  );
}

/** Of services with instances: the newest certificate of each should have been replaced by now. */
export function renewalFinding(
  certificates: readonly Pick<admin.IssuedCertificateMessage, 'id' | 'issuedMs' | 'notAfterMs'>[],
  instances: readonly Pick<Instance, 'service'>[],
  nowMs: number,
): Finding {
  const name = 'renewals';
  const present = new Set(instances.map(({ service }) => `/ns/${service.namespace}/svc/${service.name}`));
  const newest = new Map<string, (typeof certificates)[number]>();
  for (const one of certificates) if ((newest.get(one.id)?.issuedMs ?? 0) <= one.issuedMs) newest.set(one.id, one);
  const overdue = [...newest.values()].filter(
    ({ id, issuedMs, notAfterMs }) =>
      [...present].some((path) => id.endsWith(path)) && nowMs > issuedMs + OVERDUE_SHARE * (notAfterMs - issuedMs),
  );
  if (overdue.length === 0) return ok(name, `${certificates.length} certificates are valid, none of them overdue`);
  return failed(
    name,
    `overdue: ${someOf(overdue.map(({ id, notAfterMs }) => `${id} (ends in ${formatAge(notAfterMs - nowMs)})`))}`,
    'when they end, nobody talks to these workloads any more',
    'see the logs of their data planes: each renews at half of the life of its certificate',
  );
}

function syncFinding(proxies: readonly admin.ProxyMessage[], nowMs: number): Finding {
  const name = 'configuration of data planes';
  const rows = proxies.map(proxyRow);
  const behind = rows.filter(
    ({ inSync, sync }) =>
      !inSync &&
      sync.some(
        ({ state, behindSince }) => state === 'rejected' || (behindSince !== null && nowMs - Date.parse(behindSince) > BEHIND_MAX_MS),
      ),
  );
  // What it says it has, and what it has acknowledged; the former comes with its load reports, so it may be older.
  const astray = rows.filter(
    ({ inSync, reported, heldHash, acked }) =>
      inSync &&
      reported !== null &&
      reported.hash !== heldHash &&
      acked !== null &&
      Date.parse(reported.time) > Date.parse(acked) + BEHIND_MAX_MS,
  );
  if (behind.length + astray.length === 0)
    return ok(name, proxies.length === 0 ? 'no data plane is connected' : `${proxies.length} connected, all have the newest`);
  return failed(
    name,
    someOf([
      ...behind.map((row) => `${row.node}: ${syncTrouble(row)}`),
      ...astray.map(({ node }) => `${node} has something else than it has acknowledged`),
    ]),
    'they carry calls by what they had before',
    'see `heddle describe proxy NODE` and the log of the proxy; a rejected configuration is a fault to report',
  );
}

/** Who registers without a data plane of ours has none to be connected. */
function connectionFinding(instances: readonly Instance[], proxies: readonly admin.ProxyMessage[]): Finding {
  const name = 'data planes of instances';
  const connected = new Set(proxies.map(({ node }) => node));
  const away = [...new Set(instances.map(({ node }) => node))].filter((node) => !connected.has(node));
  if (away.length === 0) return ok(name, 'all are connected');
  return notice(
    name,
    `${someOf(away)} ${away.length === 1 ? 'has instances and is' : 'have instances and are'} not connected`,
    'unless others registered these instances, see that their proxies run and reach the control plane',
  );
}

type Service = Awaited<ReturnType<ControlClient['services']>>[number];

function isHealthy({ namespace, name }: Pick<Service, 'namespace' | 'name'>, instances: readonly Instance[]): boolean {
  return instances.some(({ service, health }) => service.namespace === namespace && service.name === name && health === 'healthy');
}

function* instanceFindings(instances: readonly Instance[], services: readonly Service[]): Generator<Finding> {
  const sick = instances.filter(({ health }) => health === 'unhealthy' || health === 'starting');
  yield sick.length === 0
    ? ok('instances', `${instances.length}, none of them unhealthy`)
    : failed(
        'instances',
        someOf(sick.map(({ id, health, healthReason }) => `${id} is ${health}: ${healthReason}`)),
        'they get no calls; the others get more',
        'see `heddle describe instance NAME`, and what it writes in the output of `heddle up`',
      );
  const empty = services.filter((service) => !isHealthy(service, instances));
  yield empty.length === 0
    ? ok('services', 'each has a healthy instance')
    : failed(
        'services',
        `without a healthy instance: ${someOf(empty.map(serviceKey))}`,
        'calls to them fail',
        'start an instance: in the mesh file with `run:`, or with `heddle run`',
      );
}

/** Where what holds comes from, and whether the control plane's own file has changed on the disk since it was read. */
async function configurationFinding(mesh: admin.GetMeshResponse, control: ControlClient): Promise<Finding> {
  const name = 'configuration';
  const live = [
    ...(mesh.origin === 'applied' ? ['a mesh file was applied since the start'] : []),
    ...(mesh.splits === 0 ? [] : [`${mesh.splits} ${mesh.splits === 1 ? 'split was' : 'splits were'} changed by \`heddle split\``]),
  ];
  const what = `${mesh.differences} ${mesh.differences === 1 ? 'thing holds' : 'things hold'} otherwise than the control plane's own file says`;
  if (live.length > 0)
    return notice(
      name,
      `${live.join(', ')}; ${what}`,
      'bring the file up to date, or go back to it with `heddle apply -f FILE`: a file that has changed counts at the next start',
    );
  // Only the operator is told the text.
  const own = await control.meshFile().catch(() => undefined);
  if (own === undefined || own.path === '' || own.text === '') return ok(name, 'as the mesh file of the control plane says');
  const text = readIfThere(own.path);
  if (text === undefined || text === own.text) return ok(name, `as ${own.path} says`);
  return notice(
    name,
    `${own.path} has changed since it was read`,
    `see \`heddle diff -f ${own.path}\`; \`heddle apply\` puts it into effect`,
  );
}

/** It may be on another machine. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
