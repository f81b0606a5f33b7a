// A child process for crash tests: writes to a store as fast as it can and prints the number of each write once it is
// acknowledged. Its parent kills it and compares what was printed with what is in the file.
import { writeSync } from 'node:fs';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { ManualClock } from './clock.ts';

const [path = '', start = '0'] = process.argv.slice(2);
const store = openEmbeddedStore({ path, clock: new ManualClock() });

async function writer(lane: number): Promise<never> {
  for (let index = Number(start); ; index += 1) {
    const key = `/lane/${lane}/${String(index).padStart(8, '0')}`;
    await store.transact({
      conditions: [{ key, modRevision: 0 }],
      operations: [
        { kind: 'put', key, value: `value ${index}` },
        { kind: 'put', key: `/last/${lane}`, value: key },
      ],
    });
    // Synchronous, so that nothing acknowledged can be lost between us and the parent.
    writeSync(1, `${key}\n`);
  }
}

await Promise.all([writer(0), writer(1), writer(2)]);
