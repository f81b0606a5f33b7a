// Files of an authority that is elsewhere change while the control plane runs. OpenSSL makes the authorities; the files are real.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Clock, Logger } from '@heddle/runtime';
import { createCsr, generateKeyPair, type KeyPair, nodeClock, nodeRandom, pathToRoot, certificateDer, spkiPin } from '@heddle/runtime/node';
import { silent } from '../testing/mesh.ts';
import { openAuthority } from './authority.ts';
import { type CaSource, FILES_TAKEN_UP_MS } from './authority-options.ts';
import { authority, OPENSSL, openssl } from './testing/openssl.ts';

const ORDERS = { trustDomain: 'shop', namespace: 'default', name: 'orders' };
/** Looks come so much sooner. */
const HASTE = 200;

/** Two authorities `one` and `two` below the root `top`, and `new` below the root `other`. */
async function bench(t: TestContext, source: (path: (name: string) => string) => CaSource) {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-ca-files-'));
  const path = (name: string): string => join(directory, name);
  for (const [name, by] of [['top'], ['other'], ['one', 'top'], ['two', 'top'], ['new', 'other']] as const)
    authority(directory, name, by, '');
  for (const end of ['pem', 'key']) copyFileSync(path(`one.${end}`), path(`ca.${end}`));
  copyFileSync(path('top.pem'), path('roots.pem'));
  let aheadMs = 0;
  const clock: Clock = {
    wallMs: () => nodeClock.wallMs() + aheadMs,
    nowMs: () => nodeClock.nowMs(),
    after: (delayMs, run) => nodeClock.after(delayMs / HASTE, run),
  };
  const told: string[] = [];
  const note = (_fields: object, message: string): void => void told.push(message);
  const logger: Logger = { ...silent, warn: note, error: note };
  const signs = await openAuthority({
    ...{ stateDir: path('state'), trustDomain: 'shop', clock, random: nodeRandom, logger, source: source(path) },
  });
  t.after(async () => {
    await signs.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const events: string[] = [];
  let haveAll = true;
  signs.follow({ haveAll: () => haveAll, tell: (message) => void events.push(message) });
  const put = (name: string, text: string): void => {
    writeFileSync(path(`${name}.tmp`), text);
    renameSync(path(`${name}.tmp`), path(name));
  };
  const text = (...names: string[]): string => names.map((name) => readFileSync(path(`${name}.pem`), 'utf8')).join('');
  const key = generateKeyPair();
  return {
    ...{ directory, path, signs, events, told, put, text },
    /** Which one signs now, renewing the same workload's certificate. */
    signer: async (of: KeyPair = key): Promise<string> => {
      const { certificatePem } = await signs.sign({ csrDer: createCsr(of), identity: ORDERS });
      const is = (name: string): boolean =>
        pathToRoot({ leafDer: certificateDer(certificatePem), intermediates: [], rootsPem: text(name) }) !== undefined;
      return ['one', 'two', 'new'].find(is) ?? 'somebody else';
    },
    replace: (name: string): void => {
      put('ca.key', readFileSync(path(`${name}.key`), 'utf8'));
      put('ca.pem', text(name));
    },
    roots: (): string[] => signs.pins.map((pin) => ['top', 'other'].find((name) => spkiPin(text(name)) === pin) ?? '?'),
    acknowledge: (all: boolean): void => void (haveAll = all),
    pass: (ms: number): void => void (aheadMs += ms),
  };
}

const files = (path: (name: string) => string): CaSource => ({
  ...{ kind: 'files', certificateFile: path('ca.pem'), keyFile: path('ca.key'), rootsFile: path('roots.pem') },
});

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadlineMs, `not within 10 s: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a new certificate of the authority is used without a restart, and one that does not fit is told and passed over', {
  skip: OPENSSL,
}, async (t) => {
  const { signs, put, text, signer, replace, events, told, path } = await bench(t, files);
  let changes = 0;
  signs.onChange(() => (changes += 1));
  assert.equal(await signer(), 'one');
  put('ca.pem', text('two'));
  await until('it is told', () => events.length === 1);
  assert.match(events[0] ?? '', /cannot be used, the last good ones stay in use: .*ca\.pem \(--ca-cert\) and .*ca\.key .* do not belong/);
  assert.match(told.join(), /the last good ones stay/);
  assert.deepEqual([await signer(), changes], ['one', 0]);
  put('ca.key', readFileSync(path('two.key'), 'utf8'));
  await until('the new one to sign', async () => (await signer()) === 'two');
  assert.match(events[1] ?? '', /certificates come from the authority in the changed files/);
  await until('who follows it to hear', () => changes > 0);
  assert.deepEqual([events.length, changes], [2, 1]);
  rmSync(path('ca.key'));
  await until('it is told', () => events.length === 3);
  assert.match(events[2] ?? '', /ca\.key, which should hold the key .* is not there/);
  assert.equal(await signer(), 'two');
  replace('one');
  await until('it to sign again', async () => (await signer()) === 'one');
  assert.equal(signs.intermediates.length, 3, 'who has a certificate of the others is known');
  assert.doesNotMatch(told.join() + events.join(), /PRIVATE/);
});

test('an authority of a new root signs when everybody knows that root, and the old root goes when nobody needs it', {
  skip: OPENSSL,
}, async (t) => {
  const { signs, put, text, signer, replace, events, roots, acknowledge, pass } = await bench(t, files);
  const idle = generateKeyPair();
  assert.equal(await signer(idle), 'one');
  acknowledge(false);
  replace('new');
  put('roots.pem', text('top', 'other'));
  await until('both roots', () => roots().join() === 'top,other');
  assert.match(events.join(), /leads to a new root; it signs as soon as everybody/);
  assert.equal(await signer(), 'one');
  acknowledge(true);
  pass(FILES_TAKEN_UP_MS);
  assert.equal(await signer(), 'one', 'a certificate is in use that was issued before');
  assert.equal(await signer(idle), 'one');
  await until('the new one to sign', async () => (await signer()) === 'new');
  assert.deepEqual(roots(), ['other', 'top'], 'the one that signs first');
  put('roots.pem', text('other'));
  await until('it is told', () => /a root that was taken out .* stays trusted/.test(events.join()));
  assert.deepEqual(roots(), ['other', 'top'], 'a certificate leads to it still');
  assert.equal(await signer(idle), 'new');
  await until('one root', () => roots().join() === 'other');
  assert.equal(signs.rootsPem.trim(), text('other').trim());
});

test('roots for a command are followed as well', { skip: OPENSSL }, async (t) => {
  const { put, text, roots, path, events, directory } = await bench(t, (of) => ({
    ...{ kind: 'command', command: 'exit 1', rootsFile: of('roots.pem') },
  }));
  put('roots.pem', text('top', 'other'));
  await until('both roots', () => roots().join() === 'top,other');
  openssl(directory, 'genpkey', '-algorithm', 'ed25519', '-out', 'leaf.key');
  put('roots.pem', readFileSync(path('leaf.key'), 'utf8'));
  await until('it is told', () => /holds 0 certificates/.test(events.join()));
  assert.deepEqual(roots(), ['top', 'other']);
  put('roots.pem', text('other'));
  await until('one root', () => roots().join() === 'other');
});
