import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { oneAtATime } from './one-at-a-time.ts';

test('nothing is begun again before it has ended, well or not', async () => {
  const open: PromiseWithResolvers<void>[] = [];
  const ask = oneAtATime(() => {
    open.push(Promise.withResolvers<void>());
    return open.at(-1)!.promise;
  });
  for (const end of [() => open.at(-1)!.resolve(), () => open.at(-1)!.reject(new Error('away'))]) {
    const begun = open.length;
    ask();
    ask();
    assert.equal(open.length, begun + 1);
    end();
    await turn();
  }
  ask();
  assert.equal(open.length, 3);
});
