// Servers with gRPC libraries of three languages as instances of one service, without a proxy: the mesh tells them how to serve, registers them while
// they run, and lets in only who has an identity of it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ChannelCredentials, Client, credentials, status } from '@grpc/grpc-js';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import {
  certificateOf,
  Cleanup,
  control,
  host,
  instances,
  LOOPBACK,
  machine,
  meshOf,
  temporaryDirectory,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { EchoClient } from './support/grpc.ts';
import { type Found, goProgram, heddle, nodeProgram, pythonProgram, watchIdentity, XdsClient } from './support/grpc-xds.ts';
import { freePort } from '../support/ports.ts';
import { reason, type Running, start } from './support/programs.ts';

const MESH = `
mesh: interop
services:
  shop: { port: 80 }
  greeter: { port: 8081, protocol: grpc }
`;
const CALLER = 'spiffe://interop/ns/default/svc/shop';
/** Enough for each of three to be called. */
const CALLS = 12;

const servers = [
  { name: 'go', library: 'grpc-go', found: await goProgram('server'), options: [] },
  { name: 'python', library: 'grpcio', found: await pythonProgram('server'), options: [] },
  { name: 'node', library: 'grpc-js', found: nodeProgram('server'), options: ['socket'] },
] as const;
const present = servers.filter(({ found }) => !('reason' in found));
const skipped = (found: Found): string | false => ('reason' in found ? reason(found.reason) : false);

const cleanup = new Cleanup();
const running = new Map<string, { readonly port: number; readonly program: Running }>();
let stateDir: string;
let plane: RunningControl;
let far: RunningProxy;
let viaProxy: EchoClient;

before(async () => {
  stateDir = await temporaryDirectory(cleanup);
  plane = await control(cleanup, { mesh: meshOf(MESH), stateDir });
  far = await machine(cleanup, plane, { node: 'far' });
  const greeter = await watchIdentity(cleanup, stateDir, 'greeter');
  const starts = servers.map(async ({ name, found, options }, index) => {
    if ('reason' in found) return;
    const port = await freePort();
    const file = join(greeter.dir, `${name}.json`);
    const socket = options.length === 0 ? [] : ['--xds-socket', greeter.socket];
    const serves = ['--instance', `greeter-${index + 1}`, '--inbound', `${LOOPBACK}:${port}`, '-o', file];
    await heddle('export', 'grpc', '--service', 'greeter', '--identity-dir', greeter.dir, '--state-dir', stateDir, ...socket, ...serves);
    const env = { ...found.env, GRPC_XDS_BOOTSTRAP: file };
    const program = start(cleanup, found.command, [...found.args, name, `${LOOPBACK}:${port}`], { env });
    running.set(name, { port, program });
  });
  await Promise.all(starts);
  const shop = await host(far, plane, 'shop-1', await freePort(), { uses: ['greeter'] });
  viaProxy = new EchoClient(cleanup, `${LOOPBACK}:${shop.outbounds[0]?.listen.port}`);
  await untilReady(far);
});
after(() => cleanup.run());

/** Names of the servers that answer a number of calls, with whom they say they were called by. */
async function answering(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let call = 0; call < CALLS; call++) {
    const { status: end, metadata } = await viaProxy.unary('hello');
    assert.equal(end.code, status.OK, end.details);
    found.set(String(metadata.get('x-server')[0]), String(metadata.get('x-peer')[0]));
  }
  return found;
}

async function untilAnswering(...names: readonly string[]): Promise<void> {
  await waitFor(
    `answers of ${names.join()}`,
    async () => assert.deepEqual([...(await answering()).keys()].sort(), [...names].sort()) === undefined,
  );
}

test('all are registered, and healthy once they have taken their listener', async () => {
  await waitFor('healthy instances', async () => {
    const found = [...(await instances(plane)).values()].filter(({ service }) => service === 'greeter');
    return found.length === running.size && found.every(({ healthReason }) => healthReason === 'its data plane has taken its listener');
  });
});

test('a program behind a proxy of ours reaches each of them, which sees its identity', async () => {
  await untilAnswering(...running.keys());
  assert.deepEqual(new Set((await answering()).values()), new Set([CALLER]));
});

for (const { name, library, found } of servers) {
  describe(`a server with ${library}`, { skip: skipped(found) }, () => {
    const toServer = (channel: ChannelCredentials): Client =>
      new Client(`${LOOPBACK}:${running.get(name)?.port}`, channel, { 'grpc.ssl_target_name_override': 'greeter' });

    test('answers no one without an identity', async () => {
      const { certificatePem, keyPem } = await certificateOf(await control(cleanup, { mesh: meshOf(MESH) }), 'shop');
      const roots = Buffer.from(plane.rootsPem);
      const unchecked = { checkServerIdentity: () => undefined };
      for (const [what, channel] of Object.entries({
        plain: credentials.createInsecure(),
        anonymous: credentials.createSsl(roots, null, null, unchecked),
        foreign: credentials.createSsl(roots, Buffer.from(keyPem), Buffer.from(certificatePem), unchecked),
      })) {
        assert.equal(await statusOf(toServer(channel)), status.UNAVAILABLE, what);
      }
      // Only the identity was missing.
      const own = await certificateOf(plane, 'shop');
      const channel = credentials.createSsl(roots, Buffer.from(own.keyPem), Buffer.from(own.certificatePem), unchecked);
      assert.equal(await statusOf(toServer(channel)), status.OK);
    });
  });
}

test('a client without a proxy reaches them too', async () => {
  const shop = await watchIdentity(cleanup, stateDir, 'shop');
  const file = join(shop.dir, 'xds.json');
  await heddle('export', 'grpc', '--service', 'shop', '--identity-dir', shop.dir, '--xds-socket', shop.socket, '-o', file);
  const client = new XdsClient(cleanup, nodeProgram('client'), 'xds:///greeter', file);
  const { servers: found, failures } = await client.calls(CALLS);
  assert.deepEqual({ servers: Object.keys(found).sort(), failures }, { servers: [...running.keys()].sort(), failures: [] });
  assert.equal((await client.call()).peer, CALLER);
});

test('one that dies costs no call of a program behind a proxy of ours', {
  skip: present.length < 2 && reason('a second library'),
}, async () => {
  const [first] = running.keys();
  running.get(first ?? '')?.program.child.kill('SIGKILL');
  const left = [...running.keys()].slice(1);
  await untilAnswering(...left);
});

function statusOf(client: Client): Promise<status> {
  const asIs = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest('/interop.Echo/Unary', asIs, asIs, Buffer.from('hello'), { deadline: Date.now() + 10_000 }, (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}
