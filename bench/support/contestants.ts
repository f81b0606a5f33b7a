// What is measured: one proxy between client and application (sidecar), and two with mutual TLS 1.3 between them (pair), each as HAProxy
// and as Heddle, with the same certificates, one thread each, connections kept and reused.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ResourceUpdate, WorkloadIdentity } from '../../packages/proxy/src/data-plane.ts';
import { TestAuthority } from '../../packages/proxy/src/testing/certificates.ts';
import { endpoint, localCluster, meshCluster, routeConfig, TRUST_DOMAIN } from '../../packages/proxy/src/testing/mesh.ts';
import type { PlaneSpec } from './heddle-plane.ts';
import { freePorts, isInstalled, Process } from './processes.ts';

export type Shape = 'sidecar' | 'pair';

export interface Contestant {
  readonly shape: Shape;
  readonly name: 'haproxy' | 'heddle';
  /** Where the client asks. */
  readonly port: number;
  readonly processes: readonly Process[];
}

export interface Field {
  /** For everything that is written: configurations and keys. */
  readonly folder: string;
  readonly certificates: Certificates;
  readonly backendPort: number;
  /** The processor of the proxies. */
  readonly core: number | undefined;
  /** The packages as `npm run build` makes them, in place of the sources. */
  readonly built: boolean;
}

export interface Certificates {
  readonly rootsPem: string;
  readonly web: WorkloadIdentity;
  readonly orders: WorkloadIdentity;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WEB = 'default/web/web-1';
const ORDERS = 'default/orders/orders-1';

/** Why a contestant cannot take part; undefined when it can. */
export function whyNot(name: Contestant['name'], built: boolean): string | undefined {
  if (name === 'haproxy') return isInstalled('haproxy') ? undefined : 'haproxy is not on PATH (Debian: apt-get install haproxy)';
  return !built || existsSync(heddleEntry(true)) ? undefined : 'there is no built package: run `npm run build` first';
}

/** One set for all; written as HAProxy wants it, too. */
export function makeCertificates(folder: string): Certificates {
  const authority = new TestAuthority();
  const made = { rootsPem: authority.rootsPem, web: authority.service('web'), orders: authority.service('orders') };
  writeFileSync(join(folder, 'roots.pem'), made.rootsPem);
  for (const role of ['web', 'orders'] as const)
    writeFileSync(join(folder, `${role}.pem`), made[role].certificatePem + made[role].keyPem, { mode: 0o600 });
  return made;
}

/** Every process is in `started` before anything can go wrong with it, for the caller to stop. */
export async function startContestant(field: Field, shape: Shape, name: Contestant['name'], started: Process[]): Promise<Contestant> {
  const [port = 0, innerPort = 0] = await freePorts(2);
  const processes: Process[] = [];
  const starts = (name === 'haproxy' ? haproxy : heddle)(field, shape, port, innerPort);
  for (const [role, start] of Object.entries(starts)) {
    const process = new Process(`${name} (${role})`, field.core, start.command);
    processes.push(process);
    started.push(process);
    await process.listensOn(start.port);
  }
  return { shape, name, port, processes };
}

interface Start {
  readonly command: readonly string[];
  readonly port: number;
}

/** Servers first: their order is that of starting. */
function haproxy({ folder, backendPort }: Field, shape: Shape, port: number, innerPort: number): Record<string, Start> {
  const start = (role: string, bind: string, server: string): Start => {
    const file = join(folder, `haproxy-${shape}-${role}.cfg`);
    writeFileSync(file, haproxyConfig(bind, server));
    return { command: ['haproxy', '-f', file], port: Number(/:(\d+)/.exec(bind)?.[1]) };
  };
  if (shape === 'sidecar') return { sidecar: start('sidecar', `127.0.0.1:${port}`, `127.0.0.1:${backendPort}`) };
  const tls = (role: 'web' | 'orders') =>
    `ssl crt ${join(folder, `${role}.pem`)} ca-file ${join(folder, 'roots.pem')} verify required alpn http/1.1 ssl-min-ver TLSv1.3`;
  return {
    orders: start('orders', `127.0.0.1:${innerPort} ${tls('orders')}`, `127.0.0.1:${backendPort}`),
    web: start('web', `127.0.0.1:${port}`, `127.0.0.1:${innerPort} ${tls('web')}`),
  };
}

function haproxyConfig(bind: string, server: string): string {
  return `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend in
  bind ${bind}
  default_backend out
backend out
  server s1 ${server}
`;
}

function heddle(field: Field, shape: Shape, port: number, innerPort: number): Record<string, Start> {
  const { folder, certificates, backendPort, built } = field;
  const start = (role: string, listensOn: number, spec: PlaneSpec): Start => {
    const file = join(folder, `heddle-${shape}-${role}.json`);
    writeFileSync(file, JSON.stringify(spec), { mode: 0o600 });
    const conditions = built ? [] : ['--conditions=heddle-source'];
    return {
      command: [process.execPath, ...conditions, join(import.meta.dirname, 'heddle-plane.ts'), heddleEntry(built), file],
      port: listensOn,
    };
  };
  const application = update('cluster', localCluster('orders', 'orders-1', backendPort));
  const toApplication = update('route', routeConfig('r', `local/${ORDERS}`));
  const outbound = {
    name: 'out',
    direction: 'outbound',
    address: '127.0.0.1',
    port,
    workload: WEB,
    filter: { kind: 'http', routeConfigName: 'r' },
  } as const;
  if (shape === 'sidecar')
    return { sidecar: start('sidecar', port, { identities: {}, updates: [application, toApplication, update('listener', outbound)] }) };
  const trust = update('secret', { name: 'trust-bundle', rootsPem: certificates.rootsPem });
  const inbound = {
    name: 'in',
    direction: 'inbound',
    address: '127.0.0.1',
    port: innerPort,
    workload: ORDERS,
    tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: TRUST_DOMAIN },
    filter: { kind: 'http', routeConfigName: 'r' },
  } as const;
  return {
    orders: start('orders', innerPort, {
      identities: { [ORDERS]: certificates.orders },
      updates: [trust, application, toApplication, update('listener', inbound)],
    }),
    web: start('web', port, {
      identities: { [WEB]: certificates.web },
      updates: [
        trust,
        update('cluster', meshCluster('orders')),
        update('endpoints', { cluster: 'outbound/default/orders', endpoints: [endpoint(innerPort, 'orders-1')] }),
        update('route', routeConfig('r', 'outbound/default/orders')),
        update('listener', outbound),
      ],
    }),
  };
}

function heddleEntry(built: boolean): string {
  return join(ROOT, built ? 'packages/proxy/dist/data-plane.js' : 'packages/proxy/src/data-plane.ts');
}

function update(kind: ResourceUpdate['kind'], resource: ResourceUpdate['upserts'][number]): ResourceUpdate {
  return { kind, upserts: [resource], removed: [] };
}
