// Servers whose protocol is not HTTP: Redis, PostgreSQL, and a mail server in Python. And socat, which opens a tunnel for clients that know
// no proxy.
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cleanup, LOOPBACK, temporaryDirectory } from '../../support/planes.ts';
import { type Pair, untilListening } from './pair.ts';
import { freePort } from '../../support/ports.ts';
import { pathOf, reason, run, start } from './programs.ts';

/** Returns its port. */
export async function redisServer(cleanup: Cleanup): Promise<number> {
  const port = await freePort();
  const directory = await temporaryDirectory(cleanup);
  const args = ['--port', String(port), '--bind', LOOPBACK, '--dir', directory, '--save', '', '--appendonly', 'no'];
  await start(cleanup, 'redis-server', args).until(/Ready to accept connections/);
  return port;
}

/** Debian keeps the server's programs off PATH, in a folder for each version. */
function postgresFolder(): string | undefined {
  const versions = '/usr/lib/postgresql';
  const found = existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : [];
  const onPath = pathOf('initdb');
  return [...found, ...(onPath === 'initdb' ? [] : [join(onPath, '..')])].find((folder) => existsSync(join(folder, 'initdb')));
}

/** The `skip` of tests that need the server. */
export const skipWithoutPostgres: string | false =
  postgresFolder() === undefined ? reason('the server of PostgreSQL (Debian package postgresql)') : false;

const NOBODY = 65_534;

/** Returns its port. Everyone on this machine gets in as `postgres`. */
export async function postgresServer(cleanup: Cleanup): Promise<number> {
  const folder = postgresFolder() ?? '';
  const data = join(await temporaryDirectory(cleanup), 'data');
  const port = await freePort();
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  await mkdir(data);
  if ('uid' in user) for (const path of [join(data, '..'), data]) chownSync(path, NOBODY, NOBODY);
  const initialized = await run(
    join(folder, 'initdb'),
    ['--pgdata', data, '--username', 'postgres', '--auth', 'trust', '--encoding', 'UTF8', '--no-locale', '--no-sync'],
    { ...user, cwd: data },
  );
  if (initialized.code !== 0) throw new Error(`initdb: ${initialized.stderr}`);
  const settings = ['fsync=off', `unix_socket_directories=${data}`, `listen_addresses=${LOOPBACK}`];
  const args = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
  await start(cleanup, join(folder, 'postgres'), args, { ...user, cwd: data }).until(/ready to accept connections/);
  return port;
}

/** A program of PostgreSQL's that need not be on PATH. */
export const postgresProgram = (name: string): string => join(postgresFolder() ?? '', name);

/** Python's mail protocol: the server speaks first. Returns its port. */
export async function mailServer(cleanup: Cleanup): Promise<number> {
  const script = join(import.meta.dirname, '../python/mail_server.py');
  return Number((await start(cleanup, 'python3', [script]).until(/^port (\d+)$/m))[1]);
}

/** A port of socat's, which reaches the service by CONNECT on the shared proxy. */
export async function tunnel(cleanup: Cleanup, pair: Pair, service: string): Promise<number> {
  const port = await freePort();
  const to = `PROXY:${pair.proxy.host}:${pair.authority(service)},proxyport=${pair.proxy.port},proxyauth=${pair.credential}:`;
  start(cleanup, 'socat', [`TCP-LISTEN:${port},bind=${LOOPBACK},fork,reuseaddr`, to]);
  await untilListening(port);
  return port;
}
