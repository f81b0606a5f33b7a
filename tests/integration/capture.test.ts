// `heddle capture` with a real kernel: programs that know nothing of a mesh call a service by its virtual address. Everything runs in a
// network namespace of its own, so that no rule of this machine is touched: this file runs itself again in there.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { reason } from '../interop/support/programs.ts';
import {
  ADMIN_TOKEN,
  adminCall,
  type Application,
  application,
  Cleanup,
  control,
  host,
  machine,
  meshOf,
  SMALL_MESH,
  temporaryDirectory,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

/** Set in the namespace: `root` when it has all users of the machine, `user` when it has but one. */
const INSIDE = process.env['HEDDLE_TEST_NETNS'];
const IS_ROOT = (INSIDE ?? (process.getuid?.() === 0 ? 'root' : 'user')) === 'root';
const COMMAND = heddleArguments('capture');
const SBIN = `${process.env['PATH']}:/usr/sbin:/sbin`;
// Root of the machine keeps its users; others are root in a namespace of their own, in which there is but one user.
const UNSHARE = IS_ROOT ? ['--net'] : ['--map-root-user', '--net'];

/** Why no rules can be installed here; false when they can. */
function impossible(): string | false {
  const programs = [
    ['nft', '--version'],
    ['ip', '-V'],
    ['curl', '--version'],
  ] as const;
  try {
    for (const [program, flag] of programs) execFileSync(program, [flag], { stdio: 'ignore', env: { ...process.env, PATH: SBIN } });
    execFileSync('unshare', [...UNSHARE, 'nft', 'list', 'ruleset'], { stdio: 'pipe', env: { ...process.env, PATH: SBIN } });
    return false;
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? '').trim() || (error as Error).message;
    return reason(
      `a network namespace with nftables: ${said.split('\n', 1)[0]}; needs nft, ip, curl, unshare, and root or user namespaces`,
    );
  }
}

if (INSIDE !== undefined) inside();
else {
  test('calls are captured in a network namespace', { skip: impossible() }, async (context) => {
    const environment: NodeJS.ProcessEnv = { ...process.env, PATH: SBIN, HEDDLE_TEST_NETNS: IS_ROOT ? 'root' : 'user' };
    // Else the runner in there would take itself for a part of this one, and write in its format.
    delete environment['NODE_TEST_CONTEXT'];
    const args = [...UNSHARE, process.execPath, '--conditions=heddle-source', '--test-reporter=spec', fileURLToPath(import.meta.url)];
    const child = spawn('unshare', args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(code, 0, text);
    for (const line of text.split('\n')) if (/^\s*[✔﹣]/u.test(line)) context.diagnostic(line.trim());
  });
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

function run(program: string, args: readonly string[], over: { readonly uid?: number; readonly path?: string } = {}): Promise<Ran> {
  const { uid, path = SBIN } = over;
  // 1 to end with: what hangs is a failure, and says so.
  const child = spawn(program, args, { env: { ...process.env, PATH: path }, uid, timeout: 20_000, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let error = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (error += part));
  return new Promise((resolve, reject) => child.on('error', reject).on('close', (code) => resolve({ code, out, error })));
}

async function shell(program: string, ...args: readonly string[]): Promise<string> {
  const { code, out, error } = await run(program, args);
  assert.equal(code, 0, `${program} ${args.join(' ')}: ${error}`);
  return out;
}

interface Shown {
  readonly installed: boolean;
  readonly asItShouldBe: boolean | null;
  readonly differences: readonly string[];
  readonly refused: number;
  readonly entries: readonly {
    readonly workload: string;
    readonly uid: number | null;
    readonly service: string;
    readonly hostname: string;
    readonly address: string;
    readonly port: number;
    readonly to: { readonly address: string; readonly port: number };
    readonly connections: number;
  }[];
}

function inside(): void {
  const cleanup = new Cleanup();
  const WEB = 'default/web/web-1';
  let plane: RunningControl;
  let near: RunningProxy;
  let far: RunningProxy;
  let echo: Application;
  let address: Record<string, string> = {};
  let tokenFile = '';

  const heddle = (...args: readonly string[]): Promise<Ran> => run(process.execPath, [...COMMAND, ...args]);
  const ofProxy = (proxy = near): string[] => ['--admin-port', String(proxy.admin.port), '--admin-token-file', tokenFile];
  const apply = (...args: readonly string[]): Promise<Ran> => heddle('apply', ...ofProxy(), ...args);
  const show = async (): Promise<Shown & { readonly code: number | null }> => {
    const { code, out } = await heddle('show', ...ofProxy(), '-o', 'json');
    return { ...(JSON.parse(out) as Shown), code };
  };
  const connections = async (service: string): Promise<number | undefined> =>
    (await show()).entries.find((entry) => entry.service === `default/${service}`)?.connections;
  const curl = (url: string, uid?: number): Promise<Ran> =>
    run(
      'curl',
      ['--silent', '--show-error', '--max-time', '10', '--noproxy', '*', '--data', 'hello', url],
      uid === undefined ? {} : { uid },
    );

  before(async () => {
    await shell('ip', 'link', 'set', 'lo', 'up');
    plane = await control(cleanup);
    near = await machine(cleanup, plane, { node: 'near' });
    far = await machine(cleanup, plane, { node: 'far' });
    echo = await application(cleanup, 'echo-1');
    await host(far, plane, 'echo-1', echo.port);
    const cache = createServer((socket) => {
      socket.on('error', () => {});
      socket.write('hello ');
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => cache.listen(0, '127.0.0.1', resolve));
    cleanup.add(() => cache.close());
    await host(far, plane, 'cache-1', (cache.address() as AddressInfo).port);
    await host(near, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo', 'cache'] });
    await untilReady(near, far);
    await untilEndpoints(near, 'echo', ['echo-1']);
    await untilEndpoints(near, 'cache', ['cache-1']);
    tokenFile = join(await temporaryDirectory(cleanup), 'token');
    writeFileSync(tokenFile, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  });
  after(() => cleanup.run());

  /** A connection by `node:net`, ended by us after the echo. */
  async function echoed(to: string, port: number, payload: string): Promise<string> {
    const socket = connect({ host: to, port });
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.on('error', (error) => (text += error.message));
    cleanup.add(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(payload);
    await waitFor('the echo', () => text.endsWith(payload));
    socket.end();
    return text;
  }

  describe('capture', { timeout: 240_000 }, () => {
    test('says that nothing is captured, and that nothing was, while there is no table', async () => {
      const shown = await heddle('show', ...ofProxy());
      assert.deepEqual([shown.code, shown.error], [0, '']);
      assert.match(shown.out, /^nothing is captured/);
      assert.deepEqual(await show().then(({ installed, code }) => [installed, code]), [false, 0]);
      const removed = await heddle('remove');
      assert.deepEqual([removed.code, removed.out], [0, 'nothing was captured: there is no table heddle\n']);
    });

    test('prints the rules and installs nothing with --dry-run; nft takes them as they are', async () => {
      const { code, out, error } = await apply('--dry-run');
      assert.deepEqual([code, error], [0, '']);
      assert.equal(await shell('nft', 'list', 'tables'), '');
      const file = join(await temporaryDirectory(cleanup), 'rules.nft');
      writeFileSync(file, out);
      await shell('nft', '--check', '-f', file);
    });

    test('installs the rules, warns where no route leads to them, and what is installed is as it should be', async () => {
      const applied = await apply();
      assert.equal(applied.code, 0, applied.error);
      assert.match(applied.out, new RegExp(`every process of this machine are made as ${WEB}: 2 of 3 services`));
      assert.match(applied.error, /warning: no route leads to 240\.0\.0\.0\/4/);
      const unrouted = await show();
      assert.equal(unrouted.code, 1);
      assert.match(unrouted.differences.join(), /no route/);
      await shell('ip', 'route', 'add', '240.0.0.0/4', 'dev', 'lo', 'src', '127.0.0.1');
      const shown = await show();
      assert.deepEqual([shown.code, shown.asItShouldBe, shown.differences], [0, true, []]);
      assert.deepEqual(
        shown.entries.map(({ workload, uid, service, hostname, port }) => [workload, uid, service, hostname, port]),
        [
          [WEB, null, 'default/cache', 'cache.default.mesh.internal', 6379],
          [WEB, null, 'default/echo', 'echo.default.mesh.internal', 80],
        ],
      );
      address = Object.fromEntries(shown.entries.map((entry) => [entry.service.slice('default/'.length), entry.address]));
      // The kernel says the same without us.
      const listing = await shell('nft', 'list', 'table', 'ip', 'heddle');
      for (const { address: virtual, port, service, to } of shown.entries)
        assert.match(listing, new RegExp(`${virtual} \\. ${port} counter [^:]*comment "${service}" : ${to.address} \\. ${to.port}`));
    });

    test('an unmodified HTTP client reaches the service through mutual TLS, and is counted', async () => {
      const before = (await connections('echo')) ?? NaN;
      assert.equal(await tunnels(), 0);
      const { code, out, error } = await curl(`http://${address['echo']}/path`);
      assert.equal(code, 0, error);
      const answer = JSON.parse(out) as { name: string; path: string; body: string };
      assert.deepEqual([answer.name, answer.path, answer.body], ['echo-1', '/path', 'hello']);
      assert.equal(await connections('echo'), before + 1);
      assert.ok((await tunnels()) > 0, 'no connection came to the inbound listener of echo');
    });

    /** Open connections from other proxies to echo. That listener takes nothing but mutual TLS. */
    async function tunnels(): Promise<number> {
      const { listeners } = (await (await adminCall(far, 'GET', '/status')).json()) as {
        listeners: { name?: string; openConnections: number }[];
      };
      const inbound = listeners.find(({ name }) => name === 'inbound/default/echo/echo-1');
      assert.ok(inbound !== undefined);
      return inbound.openConnections;
    }

    test('an unmodified TCP client reaches its service, which speaks first', async () => {
      assert.equal(await echoed(address['cache'] ?? '', 6379, 'ping'), 'hello ping');
    });

    test('a call to another port of the address is refused at once', async () => {
      const { refused } = await show();
      const socket = connect({ host: address['echo'], port: 81 });
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      assert.ok((await show()).refused > refused);
    });

    test('installing again changes nothing, counters included', async () => {
      const before = await shell('nft', '--handle', 'list', 'table', 'ip', 'heddle');
      const again = await apply();
      assert.deepEqual([again.code, again.error], [0, '']);
      assert.match(again.out, /^nothing changed/);
      assert.equal(await shell('nft', '--handle', 'list', 'table', 'ip', 'heddle'), before);
    });

    test('a proxy of the same user is captured without a loop: what it calls are no virtual addresses', async () => {
      // Everything here, the proxies too, runs as this user, and no user is exempt.
      const before = (await connections('echo')) ?? NaN;
      for (let count = 0; count < 5; count += 1) assert.equal((await curl(`http://${address['echo']}:80/`)).code, 0);
      assert.equal(await connections('echo'), before + 5);
    });

    test('show tells what somebody else has changed, and installing mends it and goes on counting', async () => {
      const before = (await connections('echo')) ?? NaN;
      const { to } = (await show()).entries.find(({ service }) => service === 'default/echo') ?? { to: undefined };
      await shell('nft', 'delete', 'element', 'ip', 'heddle', 'services_1', `{ ${address['cache']} . 6379 }`);
      await shell('nft', 'add', 'rule', 'ip', 'heddle', 'capture', 'accept');
      const changed = await heddle('show', ...ofProxy());
      assert.equal(changed.code, 1);
      assert.match(
        changed.out,
        /not as it should be:[^]*rule 2 of the chain capture is not one of ours[^]*default\/cache at .* is missing/,
      );
      assert.match(changed.out, new RegExp(`mend: \`heddle capture apply --workload ${WEB}\``));
      const mended = await apply('--workload', WEB);
      assert.match(mended.out, /^installed/);
      const shown = await show();
      assert.equal(shown.asItShouldBe, true);
      assert.deepEqual(shown.entries.find(({ service }) => service === 'default/echo')?.to, to);
      assert.equal(await connections('echo'), before);
      assert.equal(await echoed(address['cache'] ?? '', 6379, 'x'), 'hello x');
    });

    test('a connection that is open stays so while other rules take the place of the old', async () => {
      const socket = connect({ host: address['cache'], port: 6379 });
      let text = '';
      socket.setEncoding('utf8').on('data', (part: string) => (text += part));
      cleanup.add(() => socket.destroy());
      await waitFor('the greeting', () => text === 'hello ');
      const other = await apply('--uid', `${WEB}=${process.getuid?.() ?? 0}`);
      assert.match(other.out, /^installed[^]*calls of user/, other.error);
      socket.write('still here');
      await waitFor('the echo', () => text === 'hello still here');
      socket.destroy();
    });

    test('a new service is told by show and taken in by the next installation; the others keep their addresses', async () => {
      await plane.setMesh(meshOf(`${SMALL_MESH}  another: { port: 90 }\n`));
      const changed = await waitFor('the new service', async () => {
        const shown = await show();
        return shown.asItShouldBe === false && shown;
      });
      assert.equal(changed.code, 1);
      assert.match(
        changed.differences.join(),
        /^24\d\.\S+ is not among the addresses of the mesh$|^25\d\.\S+ is not among the addresses of the mesh$/,
      );
      const applied = await apply();
      assert.match(applied.error, /web-1 has no local port for default\/another;/);
      const shown = await show();
      assert.equal(shown.asItShouldBe, true);
      assert.deepEqual(Object.fromEntries(shown.entries.map((entry) => [entry.service.slice('default/'.length), entry.address])), address);
      await plane.setMesh(meshOf(SMALL_MESH));
      await waitFor('the end of the service', async () => !(await show()).asItShouldBe);
      assert.equal((await apply()).code, 0);
    });

    test('what is missing is told with the way to mend it', async () => {
      const lacking = await heddle('apply', ...ofProxy(far), '--workload', 'default/echo/echo-1');
      assert.equal(lacking.code, 0);
      assert.match(lacking.error, /echo-1 has no local port for default\/cache, default\/web; .*`heddle run --uses`/);
      const several = await heddle('apply', ...ofProxy(far), '--workload', 'all');
      assert.equal(several.code, 2);
      assert.match(several.error, /calls of 2 workloads cannot be told apart/);
      const stranger = await apply('--workload', 'default/nobody/nobody-1');
      assert.deepEqual([stranger.code, /it hosts default\/web\/web-1/.test(stranger.error)], [2, true]);
      const nobody = await heddle('apply', '--admin-port', '1', '--admin-token-file', tokenFile);
      assert.deepEqual([nobody.code, /no proxy runs on this machine/.test(nobody.error)], [1, true], nobody.error);
      const unknown = await heddle('show', '--admin-port', '1', '--admin-token-file', tokenFile);
      assert.equal(unknown.code, 1);
      assert.match(unknown.error, /no proxy runs/);
      const empty = mkdtempSync(join(tmpdir(), 'heddle-empty-'));
      cleanup.add(() => rmSync(empty, { recursive: true }));
      const bare = await run(process.execPath, [...COMMAND, 'show', ...ofProxy(far)], { path: empty });
      // Where nft lies in a directory of the system, it is found without a PATH.
      assert.equal(bare.code, 0, bare.error);
    });

    test('without the privilege, nothing is installed, and the way around is told', async () => {
      const { code, error } = await run('setpriv', ['--bounding-set=-net_admin', process.execPath, ...COMMAND, 'remove']);
      assert.equal(code, 1);
      assert.match(error, /needs the privilege CAP_NET_ADMIN\n {2}mend: run it as root.*--dry-run/);
    });

    test('several workloads are told apart by the user of the calling process', {
      skip: IS_ROOT ? false : 'a user namespace has one user',
    }, async () => {
      const uses = ['echo', 'cache'];
      await host(near, plane, 'web-2', (await application(cleanup, 'web-2')).port, { uses });
      await untilReady(near);
      const applied = await apply('--uid', `${WEB}=7001`, '--uid', 'default/web/web-2=7002');
      assert.equal(applied.code, 0, applied.error);
      const count = async (uid: number): Promise<number | undefined> =>
        (await show()).entries.find((entry) => entry.uid === uid && entry.service === 'default/echo')?.connections;
      assert.deepEqual([await count(7001), await count(7002)], [0, 0]);
      const url = `http://${address['echo']}/`;
      assert.equal((await curl(url, 7002)).code, 0);
      assert.deepEqual([await count(7001), await count(7002)], [0, 1]);
      assert.equal((await curl(url, 7001)).code, 0);
      assert.deepEqual([await count(7001), await count(7002)], [1, 1]);
      // Everybody else is told at once that nothing is there.
      const other = await curl(url, 7003);
      assert.deepEqual([other.code, /refused|Couldn't connect|Failed to connect/.test(other.error)], [7, true], other.error);
    });

    test('remove takes away our table alone, after which nothing leads to the service any more', async () => {
      assert.equal((await apply('--workload', WEB)).code, 0);
      await shell('nft', 'add', 'table', 'ip', 'other');
      const removed = await heddle('remove');
      assert.deepEqual([removed.code, removed.error], [0, '']);
      assert.match(removed.out, /^removed the table heddle/);
      assert.equal(await shell('nft', 'list', 'tables'), 'table ip other\n');
      const { code } = await run('curl', ['--silent', '--max-time', '1', `http://${address['echo']}/`]);
      assert.notEqual(code, 0);
      assert.equal((await heddle('remove')).out, 'nothing was captured: there is no table heddle\n');
    });
  });
}
