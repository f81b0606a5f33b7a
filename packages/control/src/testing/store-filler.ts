// A child process for tests of a full disk: writes until the store refuses, and prints as JSON what was acknowledged, how the
// refusal reads, and what can be read afterwards. The parent limits how large files may become.
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { StoreError } from '../registry/store.ts';
import { ManualClock } from './clock.ts';

const [path = ''] = process.argv.slice(2);
const store = openEmbeddedStore({ path, clock: new ManualClock() });
const refusals: { code: string; message: string }[] = [];
let acknowledged = 0;
let events = 0;
store.watch(
  '/',
  1,
  (batch) => (events += batch.length),
  () => {},
);
while (refusals.length < 3) {
  try {
    await store.transact({ conditions: [], operations: [{ kind: 'put', key: `/${acknowledged}`, value: 'x'.repeat(4_000) }] });
    acknowledged += 1;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    refusals.push({ code: error.code, message: error.message });
  }
}
const { entries, revision } = await store.list('/');
process.stdout.write(JSON.stringify({ acknowledged, refusals, entries: entries.length, revision, events }));
