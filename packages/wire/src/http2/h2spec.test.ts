// h2spec (github.com/summerwind/h2spec), whole and strict, against a server made of the codec and node:net.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEchoServer } from './testing/echo.ts';
import { buildH2spec, missing, run } from './testing/programs.ts';

const TIMEOUT_MS = 120_000;
/** Fewer would mean that sections were left out. */
const TESTS_MIN = 146;
const h2spec = buildH2spec();
const skip = 'reason' in h2spec && missing(h2spec.reason);

test('passes h2spec: the generic, HPACK and HTTP/2 sections, strict cases included', { skip }, async (context) => {
  if ('reason' in h2spec) throw new Error(h2spec.reason);
  const server = await startEchoServer();
  try {
    const args = ['--host', '127.0.0.1', '--port', String(server.port), '--strict', '--timeout', '3', 'generic', 'hpack', 'http2'];
    const { code, output } = await run(h2spec.path, args, TIMEOUT_MS);
    const [, all, passed, skipped, failed] = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output) ?? [];
    assert.deepEqual({ code, skipped, failed }, { code: 0, skipped: '0', failed: '0' }, output);
    assert.ok(Number(passed) >= TESTS_MIN && passed === all, output);
    context.diagnostic(`h2spec: ${passed} of ${all} passed`);
  } finally {
    await server.close();
  }
});
