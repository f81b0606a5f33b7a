// What touches Node's own parts (TLS, HTTP, timers, loading of modules) by the oldest Node that is supported: the same tests, run by that one.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { node24Program } from './support/node-program.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FILES = [
  'packages/runtime/src/node/network.test.ts',
  'packages/runtime/src/node/tls-alerts.test.ts',
  'packages/runtime/src/node/grpc-client/*.test.ts',
  'packages/runtime/src/node/inside/*.test.ts',
  'packages/dataplane/src/direct/*.test.ts',
  'packages/client/src/**/*.test.ts',
  'tests/integration/planes-identity.test.ts',
  'tests/integration/in-process.test.ts',
];
const TIME_MS = 180_000;

// They take half a minute, and have run by this Node anyway.
const isAsked = process.env['HEDDLE_REQUIRE_INTEROP'] === '1' || (process.env['HEDDLE_TEST_NODE_24'] ?? '') !== '';
const skip = isAsked ? false : 'runs only when HEDDLE_REQUIRE_INTEROP=1 is set, or HEDDLE_TEST_NODE_24 names a Node 24';

test('TLS, control-plane connections and the data plane inside a process work by Node 24, too', { skip }, async () => {
  const program = await node24Program();
  assert.ok(typeof program === 'string', typeof program === 'string' ? '' : `needs ${program.reason}`);
  const environment: NodeJS.ProcessEnv = { ...process.env };
  // Else the runner inside would take itself for a part of this one.
  delete environment['NODE_TEST_CONTEXT'];
  const { failed, output } = await new Promise<{ failed: boolean; output: string }>((done) => {
    const args = ['--conditions=heddle-source', '--test', '--test-reporter=spec', ...FILES];
    execFile(program, args, { cwd: ROOT, env: environment, timeout: TIME_MS, maxBuffer: 64 << 20 }, (error, output, errors) =>
      done({ failed: error !== null, output: `${output}${errors}` }),
    );
  });
  assert.equal(failed, false, output.slice(output.indexOf('failing tests')).slice(0, 8_000));
  assert.match(output, /ℹ pass [1-9]\d/);
});
