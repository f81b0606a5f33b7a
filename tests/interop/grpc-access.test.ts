// Access rules at servers without a proxy, enforced by gRPC libraries of three languages: who is not allowed gets PERMISSION_DENIED, by whatever
// way the call comes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import type { RunningControl } from '@heddle/control';
import { certificateOf, Cleanup, control, instances, LOOPBACK, meshOf, temporaryDirectory } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';
import { type Found, goProgram, heddle, nodeProgram, pythonProgram, watchIdentity } from './support/grpc-xds.ts';
import { reason, start } from './support/programs.ts';

const MESH = `
mesh: interop
services:
  shop: { port: 80 }
  other: { port: 81 }
  greeter: { port: 8081, protocol: grpc }
security:
  access:
    default: deny
    rules:
      - { from: shop, to: greeter, grpc: { service: interop.Echo } }
      - { from: other, to: greeter, grpc: { service: interop.Echo, method: Unary }, headers: { x-team: blue } }
      - { from: other, to: greeter, grpc: { service: interop.Echo, method: Other }, headers: { x-team: green } }
      - { effect: deny, from: mesh, to: greeter, headers: { x-role: guest } }
`;

const servers = [
  { name: 'go', library: 'grpc-go', found: await goProgram('server'), options: [] },
  { name: 'python', library: 'grpcio', found: await pythonProgram('server'), options: [] },
  { name: 'node', library: 'grpc-js', found: nodeProgram('server'), options: ['socket'] },
] as const;
const skipped = (found: Found): string | false => ('reason' in found ? reason(found.reason) : false);

/** Without it grpc-js refuses listeners with access rules. */
const RBAC = { GRPC_XDS_EXPERIMENTAL_RBAC: 'true' };

const cleanup = new Cleanup();
const ports = new Map<string, number>();
let plane: RunningControl;
after(() => cleanup.run());

before(async () => {
  const stateDir = await temporaryDirectory(cleanup);
  plane = await control(cleanup, { mesh: meshOf(MESH), stateDir });
  const greeter = await watchIdentity(cleanup, stateDir, 'greeter');
  const starts = servers.map(async ({ name, found, options }) => {
    if ('reason' in found) return;
    const port = await freePort();
    const file = join(greeter.dir, `${name}.json`);
    const socket = options.length === 0 ? [] : ['--xds-socket', greeter.socket];
    const serves = ['--instance', `greeter-${name}`, '--inbound', `${LOOPBACK}:${port}`, '-o', file];
    await heddle('export', 'grpc', '--service', 'greeter', '--identity-dir', greeter.dir, '--state-dir', stateDir, ...socket, ...serves);
    start(cleanup, found.command, [...found.args, name, `${LOOPBACK}:${port}`], {
      env: { ...found.env, GRPC_XDS_BOOTSTRAP: file, ...RBAC },
    });
    ports.set(name, port);
  });
  await Promise.all(starts);
  await waitFor('healthy instances', async () => {
    const found = [...(await instances(plane)).values()];
    return (
      assert.deepEqual(
        found.map(({ id, healthReason }) => `${id} ${healthReason}`).sort(),
        [...ports.keys()].map((name) => `greeter-${name} its data plane has taken its listener`).sort(),
      ) === undefined
    );
  });
});

async function statusOf(server: string, caller: string, headers: Readonly<Record<string, string>>): Promise<status> {
  const own = await certificateOf(plane, caller);
  const channel = credentials.createSsl(Buffer.from(plane.rootsPem), Buffer.from(own.keyPem), Buffer.from(own.certificatePem), {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(`${LOOPBACK}:${ports.get(server)}`, channel, { 'grpc.ssl_target_name_override': 'greeter' });
  const asIs = (bytes: Buffer): Buffer => bytes;
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/interop.Echo/Unary',
      asIs,
      asIs,
      Buffer.from('hello'),
      metadata,
      { deadline: Date.now() + 10_000 },
      (error) => {
        client.close();
        resolve(error?.code ?? status.OK);
      },
    );
  });
}

const CASES = [
  ['who is allowed', 'shop', {}, status.OK],
  ['who is not', 'other', {}, status.PERMISSION_DENIED],
  ['who is allowed with a header', 'other', { 'x-team': 'blue' }, status.OK],
  ['who has another header', 'other', { 'x-team': 'red' }, status.PERMISSION_DENIED],
  ['who is allowed another method', 'other', { 'x-team': 'green' }, status.PERMISSION_DENIED],
  ['who is allowed and denied', 'shop', { 'x-role': 'guest' }, status.PERMISSION_DENIED],
] as const;

for (const { name, library, found } of servers) {
  describe(`a server with ${library} tells apart`, { skip: skipped(found) }, () => {
    for (const [what, caller, headers, expected] of CASES) {
      test(what, async () => assert.equal(await statusOf(name, caller, headers), expected));
    }
  });
}
