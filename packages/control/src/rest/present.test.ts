import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scrapeTargets } from './present.ts';

test('of data planes that say they are at one place the newest is read there, whatever it is called', () => {
  const at = (node: string, connectedMs: number, port?: number) => ({
    node,
    connectedMs,
    ...(port !== undefined && { admin: { address: '127.0.0.1', port } }),
  });
  const connected = [at('after', 2, 15_020), at('before', 1, 15_020), at('none', 3), at('two', 4, 15_021), at('two', 5, 15_021)];
  assert.deepEqual(scrapeTargets(connected), [
    { targets: ['127.0.0.1:15020'], labels: { node: 'after' } },
    { targets: ['127.0.0.1:15021'], labels: { node: 'two' } },
  ]);
});
