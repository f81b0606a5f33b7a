import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effect } from '@preact/signals';
import { Collection } from './collection.ts';

interface Item {
  readonly id: string;
  readonly health: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const WHOLE = { first: true, last: true };
const item = (id: string, health = 'healthy'): Item => ({ id, health, labels: { zone: 'a' } });

function filled(count: number): Collection<Item> {
  const items = new Collection<Item>(({ id }) => id);
  items.snapshot(
    Array.from({ length: count }, (_, index) => item(`i${index}`)),
    WHOLE,
  );
  return items;
}

test('who shows one of a thousand items is told of that one alone, and the list of none', () => {
  const items = filled(1_000);
  const told = new Map<string, number>();
  let lists = 0;
  effect(() => void (items.names.value, (lists += 1)));
  for (const name of items.names.value) effect(() => void (items.item(name)?.value, told.set(name, (told.get(name) ?? 0) + 1)));
  items.change([item('i7', 'unhealthy')], []);
  // A control plane that has restarted tells everything again.
  items.snapshot(
    items.names.value.map((name) => item(name, name === 'i7' ? 'unhealthy' : 'healthy')),
    WHOLE,
  );
  assert.deepEqual([lists, told.get('i7'), told.get('i8')], [1, 2, 1]);
  assert.equal(
    [...told.values()].reduce((sum, count) => sum + count),
    1_001,
  );
});

test('a snapshot in parts forgets what is in none of them, only when it is complete', () => {
  const items = filled(3);
  items.snapshot([item('i1')], { first: true, last: false });
  assert.deepEqual(items.names.value, ['i0', 'i1', 'i2']);
  items.snapshot([item('i9')], { first: false, last: true });
  assert.deepEqual(items.names.value, ['i1', 'i9']);
});

test('what is removed is gone from the list, and what comes is in its place', () => {
  const items = filled(2);
  items.change([item('a')], ['i0', 'unknown']);
  assert.deepEqual(items.names.value, ['a', 'i1']);
  assert.equal(items.item('i0'), undefined);
});
