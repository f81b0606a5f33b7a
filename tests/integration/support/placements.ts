// One mesh, four ways to be part of it: caller and called each with the data plane inside the process, or in a proxy beside it.
import { createServer, request, type RequestListener, type Server } from 'node:http';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { MeshOptions, RunningMesh } from '@heddle/client';
import type { RunningControl } from '@heddle/control';
import type { MeshConfig } from '@heddle/core';
import { loadMesh } from '../../../packages/cli/src/mesh-file.ts';
import { askDirect } from '../../../packages/dataplane/src/testing/direct.ts';
import { member } from '../../support/member.ts';
import { type Cleanup, control, host, LOOPBACK, proxy, temporaryDirectory } from '../../support/planes.ts';

export type Place = 'inside' | 'beside';

export interface Placement {
  readonly caller: Place;
  readonly called: Place;
}

export const PLACEMENTS: readonly Placement[] = [
  { caller: 'inside', called: 'inside' },
  { caller: 'inside', called: 'beside' },
  { caller: 'beside', called: 'inside' },
  { caller: 'beside', called: 'beside' },
];

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Told {
  readonly status: number;
  /** Code of the error table; empty: none. */
  readonly error: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Calls as `web`. Rejects when the answer breaks off. */
export type Ask = (url: string, asked?: Asked) => Promise<Told>;

export interface Application {
  readonly instance: string;
  readonly version?: string;
  readonly handler: RequestListener;
}

/** The mesh of this file with these applications in this placement. */
export async function startMesh(
  cleanup: Cleanup,
  yaml: string,
  applications: readonly Application[],
  { caller, called }: Placement,
): Promise<Ask> {
  const running = await control(cleanup, { mesh: await readMesh(cleanup, yaml) });
  for (const one of applications) await (called === 'inside' ? startInside : startBeside)(cleanup, running, one);
  return caller === 'inside' ? callerInside(cleanup, running) : callerBeside(cleanup, running);
}

/** With the files that it names, and its conditions. */
async function readMesh(cleanup: Cleanup, yaml: string): Promise<MeshConfig> {
  const path = join(await temporaryDirectory(cleanup), 'heddle.yaml');
  await writeFile(path, yaml);
  return loadMesh(path, () => {});
}

async function listening(cleanup: Cleanup, handler: RequestListener): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

const serviceOf = (instance: string): string => instance.replace(/-\d+$/, '');

async function startInside(cleanup: Cleanup, running: RunningControl, { instance, version, handler }: Application): Promise<void> {
  const { server, port } = await listening(cleanup, handler);
  const mesh = await memberOf(cleanup, running, instance, { port, ...(version !== undefined && { describe: { version } }) });
  mesh.servers.add(port, server);
  await mesh.ready();
}

async function startBeside(cleanup: Cleanup, running: RunningControl, { instance, version, handler }: Application): Promise<void> {
  const { port } = await listening(cleanup, handler);
  const plane = await proxy(cleanup, running, { node: instance });
  await host(plane, running, instance, port, version === undefined ? {} : { version });
}

const memberOf = (cleanup: Cleanup, running: RunningControl, instance: string, more: MeshOptions = {}): Promise<RunningMesh> =>
  member(cleanup, running, serviceOf(instance), { instance, drainMs: 500, ...more });

async function callerInside(cleanup: Cleanup, running: RunningControl): Promise<Ask> {
  const mesh = await memberOf(cleanup, running, 'web-1');
  await mesh.ready();
  return async (url, { method = 'GET', headers = {}, body } = {}) => {
    const { host: authority, pathname, search } = new URL(url);
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const fields = Object.entries({ ...headers, ...length }).flat();
    const told = await askDirect(mesh.calls, { method, authority, path: pathname + search, headers: fields, body });
    return { status: told.status, error: told.headers['x-heddle-error'] ?? '', headers: told.headers, body: told.text };
  };
}

async function callerBeside(cleanup: Cleanup, running: RunningControl): Promise<Ask> {
  const plane = await proxy(cleanup, running, { node: 'web-1', outboundProxy: { address: LOOPBACK, port: 0 } });
  const { proxyCredential } = await host(plane, running, 'web-1', (await listening(cleanup, (_request, response) => response.end())).port);
  const authorization = `Basic ${Buffer.from(`${proxyCredential}:`).toString('base64')}`;
  const way = { host: LOOPBACK, port: plane.outboundProxy!.port };
  return (url, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const own = { host: new URL(url).host, 'proxy-authorization': authorization };
      const ongoing = request({ ...way, method, path: url, headers: { ...headers, ...own } }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => void (text += part));
        response.on('error', reject);
        response.on('end', () => {
          const received = response.headers as Record<string, string>;
          resolve({ status: response.statusCode ?? 0, error: received['x-heddle-error'] ?? '', headers: received, body: text });
        });
      });
      ongoing.on('error', reject);
      ongoing.end(body);
    });
}
