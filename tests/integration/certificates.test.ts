// The mesh's root is replaced while it works: step by step, each refused before its time, and over a restart of the control plane.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget } from '@heddle/api';
import { controlChannelCredentials, controlChannelOptions, IdentityClient } from '@heddle/api/grpc-js';
import { decodePem } from '@heddle/core';
import type { ProxyOptions } from '@heddle/proxy';
import { createCsr, generateKeyPair, nodeRandom, presentedChain, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import { authority, OPENSSL, openssl } from '../../packages/control/src/ca/testing/openssl.ts';
import { adminCall, authorityOf, identitiesOf, rotate, withRootsOf } from '../support/authority.ts';
import { ControlProcess } from '../support/control-process.ts';
import { startLoad, summarize } from '../support/load.ts';
import {
  application,
  certificateOf,
  Cleanup,
  connectedProxies,
  control,
  type ControlRef,
  host,
  joinToken,
  machine,
  proxy,
  SMALL_MESH,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
  workloads,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const cleanup = new Cleanup();
after(() => cleanup.run());
const TTL_MS = 3_000;
const details = (pattern: RegExp) => (error: ServiceError) => pattern.test(error.details) || assert.fail(error.details);

/** Two data planes: calls of one go to the other. */
async function callers(running: ControlRef, over: Partial<ProxyOptions> = {}) {
  const far = await machine(cleanup, running, { node: 'far', ...over });
  await host(far, running, 'echo-1', (await application(cleanup, 'echo-1')).port);
  const near = await machine(cleanup, running, { node: 'near', ...over });
  for (const one of [far, near]) await untilReady(one);
  await untilEndpoints(near, 'echo', ['echo-1']);
  const load = startLoad({ proxy: through(near), url: 'http://echo.mesh.internal/' }, 50);
  cleanup.add(() => load.stop());
  return { near, load };
}

/** As soon as nothing stands in its way: each renewal is a new stream of a data plane, which has acknowledged nothing at first. */
async function whenItMay(running: ControlRef, step: string): Promise<admin.AuthorityMessage> {
  let made: admin.AuthorityMessage | undefined;
  const isMade = async (): Promise<boolean> => {
    made = await rotate(running, step).catch((error: ServiceError) => {
      assert.match(error.details, /^Not yet: /);
      return undefined;
    });
    return made !== undefined;
  };
  await waitFor(`the step ${step}`, isMade, 20_000);
  return made as admin.AuthorityMessage;
}

test('the root is replaced step by step under load, and no request fails', async () => {
  const stateDir = await temporaryDirectory(cleanup);
  const plane = await control(cleanup, { stateDir, certificateTtlMs: TTL_MS });
  const now = (): ControlRef => withRootsOf(plane, stateDir);
  const { near, load } = await callers(plane);
  const old = await authorityOf(plane);
  await assert.rejects(rotate(plane, 'use'), details(/no rotation is under way.*heddle ca rotate start/));
  const before = await joinToken(plane, 'web');

  const added = await rotate(plane, 'start');
  assert.deepEqual([added.phase, added.step, added.root?.pin], ['added', 'use', old.root?.pin]);
  assert.notEqual(added.next?.pin, old.root?.pin);
  await assert.rejects(rotate(plane, 'start'), details(/added, and is not used yet/));
  await assert.rejects(rotate(plane, 'finish'), details(/heddle ca rotate use/));
  await waitFor('all to have the new root', async () => (await authorityOf(plane)).acknowledged === 2);
  await whenItMay(plane, 'use');
  await assert.rejects(
    rotate(plane, 'finish'),
    details(/certificates of the old root are in use: .*spiffe:\/\/test\/ns\/default\/svc\/echo/),
  );
  // What was made for the old root is good as long as that is.
  const web = await application(cleanup, 'web-9');
  await host(near, plane, 'web-9', web.port, { joinToken: before });
  await waitFor('it to join', async () => (await workloads(near)).some((one) => one.workload.endsWith('web-9') && one.registered));
  const done = await whenItMay(plane, 'finish');
  assert.deepEqual([done.phase, done.root?.pin, done.next], ['none', added.next?.pin, undefined]);
  await assert.rejects(certificateOf(plane, 'web'), 'who knows the old root alone does not know this control plane');
  const fresh = await certificateOf(now(), 'web');
  assert.equal(decodePem('CERTIFICATE', now().rootsPem).length, 1);
  assert.equal(spkiPin(now().rootsPem), done.root?.pin);
  assert.match(fresh.certificatePem, /BEGIN CERTIFICATE/);
  await waitFor('a renewal after it', async () => {
    const { certificates } = await identitiesOf(now());
    return certificates.filter(({ why, rootPin }) => why === 'renewal' && rootPin === done.root?.pin).length >= 3;
  });
  const outcomes = await load.stop();
  assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
  assert.ok(outcomes.length > 50);
  assert.deepEqual(readdirSync(join(stateDir, 'ca')).sort(), ['issued.jsonl', 'root.key.pem', 'root.pem', 'roots.pem']);
  assert.equal(statSync(join(stateDir, 'ca', 'issued.jsonl')).mode & 0o777, 0o600);
});

test('a replacement that goes on by itself does so over a restart of the control plane', async () => {
  const stateDir = await temporaryDirectory(cleanup);
  const process = new ControlProcess(cleanup, stateDir);
  const options = ['--certificate-life', '12s'];
  let plane = await process.start(SMALL_MESH, options);
  const { load } = await callers(plane);
  const old = spkiPin(readFileSync(join(stateDir, 'ca', 'root.pem'), 'utf8'));
  await rotate(plane, 'start', { automatic: true });
  await waitFor('the new root to be used', async () => (await authorityOf(withRootsOf(plane, stateDir))).phase === 'used', 30_000);
  await process.end('SIGKILL');
  plane = await process.start(SMALL_MESH, options);
  await waitFor('its end', async () => (await authorityOf(withRootsOf(plane, stateDir))).phase === 'none', 40_000);
  assert.notEqual(spkiPin(readFileSync(join(stateDir, 'ca', 'root.pem'), 'utf8')), old);
  const outcomes = await load.stop();
  assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
});

test('a replacement that goes on by itself does not wait for the lives of certificates', async () => {
  const stateDir = await temporaryDirectory(cleanup);
  // Certificates of an hour: by their schedule the second step would be refused for half of that.
  const plane = await control(cleanup, { stateDir });
  // Renewals are spread over half a minute; these come early in it.
  const early = { ...nodeRandom, next: () => nodeRandom.next() / 20 };
  const { load } = await callers(plane, { random: early });
  const old = (await authorityOf(plane)).root?.pin;
  await rotate(plane, 'start', { automatic: true });
  await waitFor('its end', async () => (await authorityOf(withRootsOf(plane, stateDir))).phase === 'none', 40_000);
  const { certificates } = await identitiesOf(withRootsOf(plane, stateDir));
  const { root } = await authorityOf(withRootsOf(plane, stateDir));
  assert.notEqual(root?.pin, old);
  assert.deepEqual([...new Set(certificates.map(({ rootPin }) => rootPin))], [root?.pin]);
  assert.ok(certificates.every(({ issuedMs, notAfterMs }) => notAfterMs - issuedMs > 3_000_000));
  const { length } = load.outcomes;
  await waitFor('calls after it', () => load.outcomes.length > length + 10);
  const outcomes = await load.stop();
  assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
});

test('an identity that is denied loses its connections to the control plane, its certificate and its tokens', async () => {
  const stateDir = await temporaryDirectory(cleanup);
  const plane = await control(cleanup, { stateDir });
  const token = await joinToken(plane, 'web');
  const sidecar = await proxy(cleanup, plane, { node: 'sidecar' });
  await host(sidecar, plane, 'web-1', (await application(cleanup, 'web-1')).port);
  const watcher = await machine(cleanup, plane, { node: 'watcher' });
  await host(watcher, plane, 'echo-1', (await application(cleanup, 'echo-1')).port);
  await untilReady(sidecar, watcher);
  const connected = async (): Promise<string[]> => (await connectedProxies(plane)).map(({ node }) => node).sort();
  assert.deepEqual(await connected(), ['sidecar', 'watcher']);
  const id = 'spiffe://test/ns/default/svc/web';
  const deny = (wanted: string, reason = '') =>
    adminCall<admin.DenyIdentityResponse>(plane, (client, metadata, done) => client.denyIdentity({ id: wanted, reason }, metadata, done));
  await assert.rejects(deny('spiffe://elsewhere/ns/default/svc/web'), details(/no identity of this mesh/));
  await assert.rejects(deny('spiffe://test/ns/heddle-system/svc/control'), details(/is the control plane itself/));
  assert.equal((await deny(id, 'lost laptop')).wasDenied, false);
  await waitFor('its stream to be closed', async () => (await connected()).join() === 'watcher');
  const refused = await joinWith(plane, token);
  assert.match(refused, /default\/web is denied in this mesh \(lost laptop\)/);
  await assert.rejects(joinToken(plane, 'web'), details(/is denied in this mesh/));
  const { denied, certificates } = await identitiesOf(plane);
  assert.deepEqual(
    denied.map(({ id: of, reason, by }) => [of, reason, by]),
    [[id, 'lost laptop', 'operator']],
  );
  assert.ok(
    certificates.some((one) => one.id === id),
    'the certificate is still known',
  );
  await adminCall(plane, (client, metadata, done) => client.allowIdentity({ id }, metadata, done));
  await waitFor('it to be back', async () => (await connected()).length === 2);
});

/** As docs/guides/certificates.md has it. */
const SIGN = `set -e; d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cat > "$d/csr"
names=URI:$HEDDLE_CA_SPIFFE_ID
for name in $(echo "$HEDDLE_CA_DNS" | tr , ' '); do names="$names,DNS:$name"; done
for ip in $(echo "$HEDDLE_CA_IPS" | tr , ' '); do names="$names,IP:$ip"; done
printf 'subjectAltName=%s\\nkeyUsage=critical,digitalSignature\\nextendedKeyUsage=serverAuth,clientAuth\\n' "$names" > "$d/ext"
openssl x509 -req -in "$d/csr" -CA middle.pem -CAkey middle.key -days 1 -extfile "$d/ext"
cat middle.pem`;

test('an authority that is elsewhere signs for the control plane and for workloads, by files and by a command', {
  skip: OPENSSL,
}, async () => {
  const directory = await temporaryDirectory(cleanup);
  authority(directory, 'top', undefined, '');
  authority(directory, 'middle', 'top', '');
  const path = (name: string): string => join(directory, name);
  const rootsFile = path('top.pem');
  for (const ca of [
    { kind: 'files', certificateFile: path('middle.pem'), keyFile: path('middle.key'), rootsFile } as const,
    { kind: 'command', command: `cd ${directory}; ${SIGN}`, rootsFile } as const,
  ]) {
    const plane = await control(cleanup, { ca, certificateTtlMs: 2 * 86_400_000 });
    assert.equal(decodePem('CERTIFICATE', plane.rootsPem).length, 1);
    const { certificatePem } = await certificateOf(plane, 'web');
    writeFileSync(path('leaf.pem'), certificatePem);
    openssl(directory, 'verify', '-purpose', 'sslserver', '-CAfile', 'top.pem', '-untrusted', 'leaf.pem', 'leaf.pem');
    // What a joiner sees: it knows nothing but the pin of the root.
    const shown = await presentedChain({ address: plane.address, port: plane.port, timeoutMs: 10_000, alpn: ['h2'] });
    assert.equal(shown.length, 3);
    const [leaf, ...intermediates] = shown as [Uint8Array, ...Uint8Array[]];
    assert.ok(verifyLeaf({ leaf, intermediates, rootsPem: plane.rootsPem, nowMs: Date.now() }).ok);
    const { root, source } = await authorityOf(plane);
    assert.deepEqual([source, root?.pin], [ca.kind, spkiPin(plane.rootsPem)]);
    await assert.rejects(rotate(plane, 'start'), details(/root of this mesh is kept elsewhere.*--ca-roots/));
    const { load } = await callers(plane);
    await waitFor('calls between data planes that joined', () => load.outcomes.length > 10);
    assert.deepEqual(Object.keys(summarize(await load.stop())), ['200']);
  }
});

/** Why a key gets no certificate for the token. */
async function joinWith(running: ControlRef, token: string): Promise<string> {
  const client = new IdentityClient(
    controlTarget(running.address, running.port),
    controlChannelCredentials({ rootsPem: running.rootsPem, expectedSpiffeId: 'spiffe://test/ns/heddle-system/svc/control' }),
    controlChannelOptions(),
  );
  cleanup.add(() => client.close());
  return new Promise((resolve) => {
    client.sign({ csrDer: Buffer.from(createCsr(generateKeyPair())), joinToken: token, lateRenewal: undefined }, (error) =>
      resolve(error === null ? 'a certificate was issued' : error.details),
    );
  });
}
