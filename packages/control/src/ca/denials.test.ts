import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { RegistryError } from '../registry/errors.ts';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { type Denials, openDenials } from './denials.ts';

const WEB = 'spiffe://shop/ns/default/svc/web';
const OLD = 'spiffe://shop/ns/default/svc/old';

function bench(t: TestContext): {
  readonly open: () => Promise<Denials>;
  readonly events: string[];
  setFile(ids: readonly string[]): void;
} {
  const clock = new ManualClock();
  const store = openEmbeddedStore({ path: undefined, clock });
  t.after(() => store.close());
  const events: string[] = [];
  let ofFile: readonly string[] = [OLD];
  const record = (kind: string, subject: string, message: string): void => void events.push(`${kind} ${subject}: ${message}`);
  return {
    open: () => openDenials({ store, trustDomain: 'shop', configured: () => ofFile, events: { record }, clock, logger: silent }),
    events,
    setFile: (ids) => (ofFile = ids),
  };
}

const refused = (asked: Promise<unknown>, why: RegExp): Promise<void> =>
  assert.rejects(asked, (error: unknown) => error instanceof RegistryError && why.test(error.message));

test('what is denied stays denied over a restart, until it is allowed', async (t) => {
  const { open, events } = bench(t);
  const first = await open();
  let told = 0;
  first.onChange(() => (told += 1));
  assert.equal(await first.deny(WEB, 'stolen\nlaptop'), true);
  assert.equal(await first.deny(WEB, 'stolen laptop'), false);
  const second = await open();
  assert.ok(second.isDenied(WEB));
  assert.match(
    second.reasonFor({ trustDomain: 'shop', namespace: 'default', name: 'web' }) ?? '',
    /is denied in this mesh \(stolen laptop\)/,
  );
  assert.equal(await second.allow(WEB), true);
  assert.equal(await second.allow(WEB), false);
  assert.ok(!(await open()).isDenied(WEB));
  assert.equal(told, 1);
  assert.deepEqual(events, [
    'identity-denied default/web: gets no certificates any more, and its connections are closed: stolen laptop',
    'identity-allowed default/web: may have certificates again',
  ]);
});

test('what the mesh file denies counts as well, and is taken back there alone', async (t) => {
  const { open, setFile } = bench(t);
  const denials = await open();
  await denials.deny(WEB, '');
  assert.deepEqual(
    denials.list().map(({ id, by }) => [id, by]),
    [
      [OLD, 'mesh file'],
      [WEB, 'operator'],
    ],
  );
  assert.deepEqual(denials.stored, [WEB]);
  await refused(denials.allow(OLD), /denied by the mesh file \(security\.deny\)/);
  setFile([]);
  assert.equal(denials.isDenied(OLD), false);
});

test('only identities of this mesh can be denied, and not the control plane', async (t) => {
  const denials = await bench(t).open();
  await refused(denials.deny('web', ''), /is not of the form spiffe:/);
  await refused(denials.deny('spiffe://bank/ns/default/svc/web', ''), /of trust domain bank/);
  await refused(denials.deny('spiffe://shop/ns/heddle-system/svc/control', ''), /heddle ca rotate/);
});
