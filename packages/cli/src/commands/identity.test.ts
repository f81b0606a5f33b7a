// `heddle identity` and `heddle export envoy` against a real control plane, with certificates that live for two seconds.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import { parseMeshFile } from '@heddle/core/config';
import { certificateMatchesKey, createLogger, nodeClock, nodeRandom, readKeyPair, readPeerId } from '@heddle/runtime/node';
import { parse } from 'yaml';
import { heddleArguments } from '../testing/command.ts';
import { CliError } from '../errors.ts';
import { labels, locality, reachable, usedServices, weight } from '../options.ts';
import { until } from '../supervisor/testing.ts';
import { exportEnvoy, type ExportEnvoyOptions } from './export-envoy.ts';
import { heldIdentities } from './identity-show.ts';
import { type IdentityWatchOptions, watchIdentity } from './identity-watch.ts';

const directory = mkdtempSync(join(tmpdir(), 'heddle-identity-'));
const stateDir = join(directory, '.heddle');
let control: RunningControl;

before(async () => {
  mkdirSync(stateDir, { mode: 0o700 });
  const { mesh } = parseMeshFile('mesh: shop\nservices: { orders: { port: 8081 }, inventory: { port: 8082 } }', { path: 'heddle.yaml' });
  control = await startControl({
    ...{ mesh: mesh!, stateDir, listen: { address: '127.0.0.1', port: 0 }, logger: createLogger({ level: 'silent' }) },
    ...{ clock: nodeClock, random: nodeRandom, certificateTtlMs: 2_000 },
  });
});
after(async () => {
  await control.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, heddleArguments(...args), {
    cwd: directory,
    env: { ...process.env, NO_COLOR: '1', HEDDLE_JOIN_TOKEN: '', HEDDLE_DEBUG: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = new Promise<Ran>((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
  return { child, ended };
}

function wrong(exitCode: number, message: RegExp, mend = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CliError, String(error));
    assert.match(error.message, message);
    assert.match(error.mend ?? '-', mend);
    return error.exitCode === exitCode;
  };
}

const heddle = (...args: readonly string[]): Promise<Ran> => start(args).ended;

/** As a reader that takes care sees them: both out of one version. */
function pair(out: string): { certificate: string; matches: boolean } {
  const version = realpathSync(join(out, '..data'));
  const certificate = readFileSync(join(version, 'cert.pem'), 'utf8');
  return { certificate, matches: certificateMatchesKey(certificate, readKeyPair(readFileSync(join(version, 'key.pem'), 'utf8')).spkiDer) };
}

/** What is looked at of a bootstrap of Envoy. */
interface WrittenBootstrap {
  readonly node: {
    readonly id: string;
    readonly locality: unknown;
    readonly metadata: { readonly heddle: Readonly<Record<string, unknown>> };
  };
  readonly static_resources: {
    readonly clusters: readonly {
      readonly transport_socket: unknown;
      readonly load_assignment: {
        readonly endpoints: readonly {
          readonly lb_endpoints: readonly {
            readonly endpoint: { readonly address: { readonly socket_address: { readonly port_value: number } } };
          }[];
        }[];
      };
    }[];
  };
}

describe('heddle identity', () => {
  it('keeps certificate, key and roots fresh until it is told to stop, never out of step, and takes them up again', async () => {
    const out = join(directory, 'kept');
    const watch = start(['identity', 'watch', '--service', 'orders', '--out', out]);
    const versions = new Set<string>();
    await until('three versions', () => {
      try {
        versions.add(readlinkSync(join(out, '..data')));
        assert.ok(pair(out).matches);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      return versions.size >= 3;
    });
    watch.child.kill('SIGTERM');
    assert.equal((await watch.ended).code, 0);
    assert.equal(statSync(join(out, 'key.pem')).mode & 0o777, 0o600);
    assert.equal(statSync(join(out, 'cert.pem')).mode & 0o777, 0o644);
    assert.equal(readFileSync(join(out, 'ca.pem'), 'utf8'), control.rootsPem);
    const peer = readPeerId(readFileSync(join(out, 'cert.pem'), 'utf8'));
    assert.equal(peer.ok && peer.uri, 'spiffe://shop/ns/default/svc/orders');
    const { resources } = JSON.parse(readFileSync(join(out, 'envoy-certificate.yaml'), 'utf8')) as { resources: { name: string }[] };
    assert.deepEqual(
      resources.map(({ name }) => name),
      ['workload'],
    );
  });

  /** Returns what it prints. */
  async function once(service: string, out: string, over: Partial<IdentityWatchOptions> = {}): Promise<string> {
    let printed = '';
    const options = { service, namespace: 'default', out, once: true, renew: false, logLevel: 'info', stateDir, ...over } as const;
    assert.equal(await watchIdentity(options, (text) => (printed += text)), 0);
    return printed;
  }

  it('writes once, shows what it has written, and gets a new certificate when told to', async () => {
    const out = join(directory, 'once');
    assert.match(await once('inventory', out), /^spiffe:\/\/shop\/ns\/default\/svc\/inventory until \S+, in .*once\n$/);
    const before = pair(out).certificate;
    await once('inventory', out, { renew: true });
    assert.notEqual(pair(out).certificate, before);
    const rows = heldIdentities(out, undefined);
    assert.deepEqual(
      rows.map(({ identity, kind }) => `${kind} ${identity}`),
      ['root spiffe://shop', 'workload spiffe://shop/ns/default/svc/inventory'],
    );
  });

  it('says what is wrong, and leaves files of others alone', async () => {
    const taken = join(directory, 'taken');
    mkdirSync(taken);
    writeFileSync(join(taken, 'cert.pem'), 'mine');
    await assert.rejects(
      once('orders', taken),
      wrong(1, /taken cannot be used: cert\.pem in it is not from Heddle/, /name another one with --out/),
    );
    assert.equal(readFileSync(join(taken, 'cert.pem'), 'utf8'), 'mine');
    await assert.rejects(once('nobody', join(directory, 'x')), wrong(1, /there is no service default\/nobody/));
    const elsewhere = { control: { host: '127.0.0.1', port: 1 } };
    const noToken = wrong(2, /there is no join token, and no certificate in the directory yet/, /set HEDDLE_JOIN_TOKEN/);
    await assert.rejects(once('orders', join(directory, 'y'), elsewhere), noToken);
    const joinTokenFile = join(directory, 'token');
    writeFileSync(joinTokenFile, 'nonsense');
    await assert.rejects(once('orders', join(directory, 'z'), { joinTokenFile }), wrong(1, /token: .*heddle-join/, /heddle token create/));
  });
});

describe('heddle export envoy', () => {
  const ARGS = ['export', 'envoy', '--service', 'orders', '--instance', 'orders-1', '--port', '8081', '--inbound', '10.0.0.7:15006'];

  it('writes a bootstrap that leads to the control plane with the identity of the service', async () => {
    const file = join(directory, 'envoy.yaml');
    const { code, stderr } = await heddle(
      ...[...ARGS, '--uses', 'inventory=20001', '--uses', 'other/prices=20002', '--outbound-port', '15001', '--identity-dir', 'id'],
      ...['--labels', 'tier=gold', '--locality', 'eu/a', '--weight', '3', '--instance-version', 'v2', '-o', file],
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^next: `heddle identity watch --service orders --out .*id` must run/);
    const bootstrap = parse(readFileSync(file, 'utf8')) as WrittenBootstrap;
    const { heddle: told } = bootstrap.node.metadata;
    assert.equal(bootstrap.node.id, 'orders-1.orders.default');
    assert.deepEqual(bootstrap.node.locality, { region: 'eu', zone: 'a' });
    assert.equal(told.flavour, 'envoy');
    assert.equal(told.identityDir, join(realpathSync(directory), 'id'));
    assert.deepEqual(told.outboundProxy, { address: '127.0.0.1', port: 15_001 });
    assert.deepEqual(told.instance, {
      ...{ id: 'orders-1', service: 'orders', namespace: 'default', inbound: { address: '10.0.0.7', port: 15_006 } },
      application: { address: '127.0.0.1', port: 8081 },
      outbounds: [
        { service: 'inventory', namespace: 'default', address: '127.0.0.1', port: 20_001 },
        { service: 'prices', namespace: 'other', address: '127.0.0.1', port: 20_002 },
      ],
      ...{ version: 'v2', labels: { tier: 'gold' }, locality: { region: 'eu', zone: 'a' }, weight: 3, healthDiscovery: true },
    });
    const [cluster] = bootstrap.static_resources.clusters;
    assert.equal(cluster?.load_assignment.endpoints[0]?.lb_endpoints[0]?.endpoint.address.socket_address.port_value, control.port);
    assert.ok(JSON.stringify(cluster?.transport_socket).includes('spiffe://shop/ns/heddle-system/svc/control'));
  });

  it('names the flag that is wrong', () => {
    const good: ExportEnvoyOptions = {
      ...{ service: 'orders', namespace: 'default', instance: 'orders-1', port: 8081, inbound: { host: '10.0.0.7', port: 15_006 } },
      ...{ uses: [], identityDir: 'id', adminPort: 9_901, weight: 1, stateDir },
    };
    const options: readonly (readonly [Partial<ExportEnvoyOptions>, RegExp])[] = [
      [{ uses: [{ service: 'inventory', port: 8081 }] }, /^--uses inventory and --port name the same port, 8081/],
      [{ adminPort: 15_006 }, /^--admin-port and --inbound name the same port/],
      [{ control: { host: '10.0.0.5', port: 15_010 } }, /^--trust-domain is missing/],
      [{ control: { host: '10.0.0.5', port: 15_010 }, trustDomain: 'A B' }, /^--trust-domain: "A B" is not a trust domain/],
      [{ trustDomain: 'other' }, /^--trust-domain is other, but the mesh of .* has shop/],
    ];
    for (const [over, message] of options) assert.throws(() => exportEnvoy({ ...good, ...over }), wrong(2, message));
    assert.throws(() => usedServices('inventory'), /expected SERVICE=PORT/);
    assert.throws(() => reachable('0.0.0.0:1'), /this one stands for any/);
    assert.throws(() => reachable('host:1'), /expected an IP address and a port/);
    assert.throws(() => labels('=x'), /expected NAME=VALUE/);
    assert.throws(() => locality('eu'), /expected REGION\/ZONE/);
    assert.throws(() => weight('0'), /from 1 to 1000/);
  });
});
