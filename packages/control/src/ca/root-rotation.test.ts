import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodePem } from '@heddle/core';
import { createCsr, generateKeyPair, nodeClock, nodeRandom, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import type { TrustProgress } from '../xds-server/trust-followers.ts';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import { AuthorityError, FILES_TAKEN_UP_MS } from './authority-options.ts';
import type { Authority } from './authority-types.ts';
import { RotationDesk } from './rotation-desk.ts';

const ORDERS = { trustDomain: 'shop', namespace: 'default', name: 'orders' };
const ID = 'spiffe://shop/ns/default/svc/orders';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-rotation-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const open = (stateDir: string, clock = nodeClock): Promise<Authority> =>
  openAuthority({ stateDir, trustDomain: 'shop', clock, random: nodeRandom, logger: silent });

async function issuedBy(authority: Authority, pin?: string): Promise<string> {
  const { certificatePem } = await authority.sign({
    ...{ csrDer: createCsr(generateKeyPair()), identity: ORDERS },
    ...(pin !== undefined && { pin }),
  });
  const verdict = verifyLeaf({ leaf: certificatePem, rootsPem: authority.rootsPem, nowMs: Date.now() });
  assert.ok(verdict.ok);
  return spkiPin(verdict.rootDer);
}

test('each step changes who signs and who is trusted, and a restart finds the same', async (t) => {
  const stateDir = folder(t);
  let authority = await open(stateDir);
  const old = authority.pin;
  let changes = 0;
  authority.onChange(() => (changes += 1));
  await authority.rotation?.add(false);
  const next = authority.rotation?.nextPin ?? '';
  const look = async (): Promise<unknown[]> => [
    authority.rotation?.state.phase,
    decodePem('CERTIFICATE', authority.rootsPem).map((der) => spkiPin(der)),
    await issuedBy(authority),
    authority.pin,
  ];
  assert.deepEqual(await look(), ['added', [old, next], old, old]);
  authority = await open(stateDir);
  assert.deepEqual(await look(), ['added', [old, next], old, old]);
  await authority.rotation?.use();
  assert.deepEqual(await look(), ['used', [next, old], next, old]);
  assert.equal(await issuedBy(authority, old), old, 'who joins by the old root gets a certificate from it');
  authority = await open(stateDir);
  assert.deepEqual(await look(), ['used', [next, old], next, old]);
  await authority.rotation?.finish();
  assert.deepEqual(await look(), ['none', [next], next, next]);
  authority = await open(stateDir);
  assert.deepEqual(await look(), ['none', [next], next, next]);
  assert.equal(changes, 1);
  assert.deepEqual(readdirSync(join(stateDir, 'ca')).sort(), ['issued.jsonl', 'root.key.pem', 'root.pem', 'roots.pem']);
});

test('an old root is forgotten by nobody before the control plane has ceased to show it', async (t) => {
  const stateDir = folder(t);
  const authority = await open(stateDir);
  const inFile = (): number => decodePem('CERTIFICATE', readFileSync(join(stateDir, 'ca', 'roots.pem'), 'utf8')).length;
  const happened: unknown[] = [];
  authority.showFirst(async () => {
    const { chainPem } = await authority.issueControlCertificate({ dns: ['localhost'], ips: [] });
    const shown = decodePem('CERTIFICATE', chainPem)
      .map((der) => spkiPin(der))
      .at(-1);
    happened.push(['shown', shown === authority.rotation?.pin, inFile()]);
  });
  authority.onChange(() => happened.push(['told', inFile()]));
  await authority.rotation?.add(false);
  await authority.rotation?.use();
  await authority.rotation?.finish();
  assert.deepEqual(happened, [
    ...[
      ['shown', true, 1],
      ['told', 2],
    ],
    ...[
      ['shown', true, 2],
      ['told', 2],
    ],
    ...[
      ['shown', true, 2],
      ['told', 1],
    ],
  ]);
  authority.showFirst(() => Promise.reject(new Error('disk full')));
  await authority.rotation?.add(false);
  assert.deepEqual(happened.at(-1), ['told', 1], 'who follows hears of it all the same');
});

test('a step back leads to the old root alone', async (t) => {
  const stateDir = folder(t);
  const authority = await open(stateDir);
  const { rotation, pin } = authority;
  await rotation?.add(true);
  await rotation?.use();
  await rotation?.abort();
  assert.deepEqual([rotation?.state.phase, rotation?.state.isAutomatic, await issuedBy(authority)], ['added', false, pin]);
  await rotation?.abort();
  assert.deepEqual([rotation?.state.phase, decodePem('CERTIFICATE', authority.rootsPem).length], ['none', 1]);
  assert.equal((await open(stateDir)).pin, pin);
  await assert.rejects(async () => rotation?.abort(), /no rotation is under way/);
});

test('a process that is killed anywhere in the last step ends it at the next start', async (t) => {
  for (const killedAfter of ['nothing', 'the key', 'the certificate']) {
    const stateDir = folder(t);
    const ca = (name: string): string => join(stateDir, 'ca', name);
    const authority = await open(stateDir);
    await authority.rotation?.add(false);
    await authority.rotation?.use();
    const next = authority.rotation?.nextPin;
    const state = JSON.parse(readFileSync(ca('rotation.json'), 'utf8')) as object;
    writeFileSync(ca('rotation.json'), JSON.stringify({ ...state, phase: 'finishing' }));
    if (killedAfter !== 'nothing') renameSync(ca('next.key.pem'), ca('root.key.pem'));
    if (killedAfter === 'the certificate') renameSync(ca('next.pem'), ca('root.pem'));
    const again = await open(stateDir);
    assert.deepEqual([again.pin, again.rotation?.state.phase], [next, 'none'], killedAfter);
    assert.ok(!readdirSync(join(stateDir, 'ca')).some((name) => name.startsWith('next') || name === 'rotation.json'));
  }
});

test('a start that was interrupted leaves nothing, and a damaged state is told', async (t) => {
  const stateDir = folder(t);
  const authority = await open(stateDir);
  await authority.rotation?.add(false);
  rmSync(join(stateDir, 'ca', 'rotation.json'));
  assert.equal((await open(stateDir)).pin, authority.pin);
  assert.ok(!readdirSync(join(stateDir, 'ca')).includes('next.pem'));
  writeFileSync(join(stateDir, 'ca', 'rotation.json'), '{');
  await assert.rejects(open(stateDir), /rotation\.json, which says how far the replacement of the root is, is damaged/);
});

const EVERYBODY: TrustProgress = { dataPlanes: 1, acknowledged: 1, stragglers: [], nodes: new Set(['a']), identities: new Set([ID]) };

test('a step waits for data planes and for certificates, unless it is forced', async (t) => {
  const authority = await open(folder(t));
  await authority.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS });
  let trust: TrustProgress = EVERYBODY;
  const events: string[] = [];
  const desk = new RotationDesk({
    ...{
      authority,
      trust: () => trust,
      hosted: () => new Set<string>(),
      inFiles: () => new Set<string>(),
      clock: nodeClock,
      logger: silent,
    },
    events: { record: (_kind, _subject, message) => void events.push(message) },
  });
  t.after(() => desk.close());
  const step = (name: 'start' | 'use' | 'finish' | 'abort', force = false): Promise<void> => desk.step(name, { force, isAutomatic: false });
  const refused = (asked: Promise<void>, why: RegExp): Promise<void> =>
    assert.rejects(
      asked,
      (error: unknown) =>
        error instanceof AuthorityError && error.code === 'REFUSED' && (why.test(error.message) || assert.fail(error.message)),
    );
  await step('start');
  trust = { ...EVERYBODY, acknowledged: 0, stragglers: [{ node: 'a', reason: 'refused' }] };
  await refused(step('use'), /0 of 1 data plane have acknowledged the new root, waiting for a \(refused\).*--force/);
  trust = { ...EVERYBODY, identities: new Set() };
  await refused(
    step('use'),
    /who keeps the roots in files has not got the new one yet: 1 certificate of spiffe:\/\/shop\/ns\/default\/svc\/orders/,
  );
  trust = EVERYBODY;
  await step('use');
  await refused(step('finish'), /certificates of the old root are in use: 1 certificate of .*svc\/orders.* valid until/);
  assert.deepEqual([desk.status().step, desk.status().root.certificates, desk.status().next?.certificates], ['finish', 1, 0]);
  await authority.sign({ csrDer: createCsr(generateKeyPair()), identity: ORDERS });
  await step('abort');
  await refused(step('abort'), /1 certificate of the new root is valid until/);
  await step('abort', true);
  await step('start');
  await step('use', true);
  await step('finish', true);
  assert.equal(desk.status().phase, 'none');
  assert.match(
    events.join('\n'),
    /a new root is being added.*\ncertificates come from the new root.*\n.*from the old root again\n.*taken away again, by force/,
  );
});

test('the bundle begins with the root that certificates come from', async (t) => {
  const authority = await open(folder(t));
  const order = (): boolean[] => authority.pins.map((pin) => pin === authority.rotation?.pin);
  assert.deepEqual(order(), [true]);
  await authority.rotation?.add(false);
  assert.deepEqual(order(), [true, false]);
  await authority.rotation?.use();
  assert.deepEqual(order(), [false, true]);
  assert.equal(authority.pin, authority.rotation?.pin, 'the control plane shows the old one still');
  await authority.rotation?.abort();
  assert.deepEqual(order(), [true, false]);
});

test('what is in files is waited for until programs have looked at them', async (t) => {
  let aheadMs = 0;
  const clock = { ...nodeClock, wallMs: () => nodeClock.wallMs() + aheadMs };
  const authority = await open(folder(t), clock);
  const key = generateKeyPair();
  const sign = (): Promise<unknown> => authority.sign({ csrDer: createCsr(key), identity: ORDERS });
  await sign();
  const desk = new RotationDesk({
    ...{ authority, trust: () => EVERYBODY, hosted: () => new Set<string>(), inFiles: () => new Set([ID]), clock, logger: silent },
    events: { record: () => {} },
  });
  t.after(() => desk.close());
  const step = (name: 'start' | 'use' | 'finish'): Promise<void> => desk.step(name, { force: false, isAutomatic: false });
  await step('start');
  assert.match(
    desk.status().obstacles.join(),
    /who keeps the roots in files has not got the new one yet/,
    'although it has a data plane too',
  );
  await sign();
  await assert.rejects(step('use'), /programs that read certificates from files have until .* to look at them/);
  aheadMs = FILES_TAKEN_UP_MS;
  await step('use');
  assert.match(desk.status().obstacles.join(), /certificates of the old root are in use/);
  await sign();
  assert.match(desk.status().obstacles.join(), /^programs that read certificates from files have until/);
  aheadMs += FILES_TAKEN_UP_MS;
  await step('finish');
});
