import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reloads } from './reloads.ts';

test('what is asked for while the program starts is done once it runs, and then one after another', async () => {
  const reloads = new Reloads();
  const steps: string[] = [];
  reloads.ask();
  reloads.ask();
  assert.equal(steps.length, 0);
  let count = 0;
  reloads.begin(async () => {
    const own = ++count;
    steps.push(`begin ${own}`);
    await Promise.resolve();
    steps.push(`end ${own}`);
  });
  reloads.ask();
  await reloads.done;
  assert.deepEqual(steps, ['begin 1', 'end 1', 'begin 2', 'end 2']);
});

test('nothing is done that nobody asked for', async () => {
  const reloads = new Reloads();
  reloads.begin(() => Promise.reject(new Error('nobody asked')));
  await reloads.done;
});
