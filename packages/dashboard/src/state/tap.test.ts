import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TapRecord } from '../api/traffic.ts';
import { NOTHING_TAPPED, TAPPED_MAX, withLost, withRecord } from './tap.ts';

test('the newest records are kept, the first of them at the top, and what is lost is counted', () => {
  let tapped = NOTHING_TAPPED;
  for (let id = 0; id < TAPPED_MAX + 5; id += 1) tapped = withRecord(tapped, { id: `${id}` } as TapRecord);
  tapped = withLost(withLost(tapped, { overLimit: 3, slowReader: 1 }), { overLimit: 0, slowReader: 1 });
  assert.deepEqual(
    [tapped.records.length, tapped.records[0]?.id, tapped.seen, tapped.lost],
    [TAPPED_MAX, `${TAPPED_MAX + 4}`, TAPPED_MAX + 5, 5],
  );
  assert.equal(new Set(tapped.records.map(({ key }) => key)).size, TAPPED_MAX);
});
