import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitted, moved, zoomed } from './zoom.ts';

const FRAME = { width: 800, height: 400 };

test('a picture is fitted whole into its frame, in the middle, and hardly enlarged', () => {
  assert.deepEqual(fitted({ width: 1_600, height: 400 }, FRAME), { scale: 0.5, x: 0, y: 100 });
  assert.equal(fitted({ width: 10, height: 10 }, FRAME).scale, 1.15);
  assert.deepEqual(fitted({ width: 0, height: 0 }, FRAME), { scale: 1, x: 0, y: 0 });
});

test('what is under the pointer stays there while the scale changes, within limits', () => {
  const view = zoomed({ scale: 1, x: 100, y: 50 }, 2, { x: 300, y: 150 });
  assert.deepEqual(view, { scale: 2, x: -100, y: -50 });
  assert.equal(zoomed(view, 100, { x: 0, y: 0 }).scale, 2.5);
});

test('a picture cannot be moved out of sight', () => {
  const picture = { width: 500, height: 300 };
  assert.deepEqual(moved({ scale: 1, x: 0, y: 0 }, 9_999, -9_999, picture, FRAME), { scale: 1, x: 752, y: -252 });
});
