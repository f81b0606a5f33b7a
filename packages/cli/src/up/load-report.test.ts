// Node programs that Heddle starts say how busy they are, to the mesh alone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { readOrca } from '@heddle/core';
import { LOAD_REPORT } from '../self.ts';
import { processEnvironment } from './environment.ts';

const PLACE = {
  service: { namespace: 'default', name: 'orders' },
  instance: 'orders-1',
  application: { address: '127.0.0.1', port: 0 },
  outbounds: [],
  httpProxy: undefined,
};
const SERVER = `
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/block') for (const end = Date.now() + 400; Date.now() < end; );
    response.end('ok');
  }).listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

async function withServer(environment: NodeJS.ProcessEnv, use: (port: number) => Promise<void>): Promise<void> {
  const child = spawn(process.execPath, ['-e', SERVER], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout.once('data', (text: Buffer) => resolve(Number(text.toString())));
      child.once('exit', (code) => reject(new Error(`the program ended with ${code}`)));
    });
    await use(port);
  } finally {
    child.kill('SIGKILL');
  }
}

function ask(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, host: '127.0.0.1', path, headers, agent: false }, (response) => {
        response.resume();
        const value = response.headers['endpoint-load-metrics'];
        response.on('end', () => resolve(Array.isArray(value) ? value.join() : value));
      })
      .on('error', reject);
  });
}

const FROM_MESH = { 'x-heddle-peer': 'spiffe://shop/ns/default/svc/web' };

describe('the report of a program on its load', () => {
  test('comes with responses to calls of the mesh, and rises while the event loop is blocked', async () => {
    await withServer(processEnvironment({ NODE_OPTIONS: '--no-warnings' }, {}, PLACE), async (port) => {
      assert.deepEqual(Object.keys(readOrca((await ask(port, '/', FROM_MESH)) ?? '') ?? {}).length > 0, true);
      assert.equal(await ask(port, '/', {}), undefined);
      const end = Date.now() + 5_000;
      for (;;) {
        await ask(port, '/block', FROM_MESH);
        const report = readOrca((await ask(port, '/', FROM_MESH)) ?? '');
        if ((report?.eventLoopDelayMs ?? 0) > 50 && (report?.utilization ?? 0) > 0.5) break;
        assert.ok(Date.now() < end, 'a blocked event loop was never reported');
      }
    });
  });

  test('can be switched off', async () => {
    const environment = processEnvironment({ HEDDLE_LOAD_REPORTS: 'off' }, {}, PLACE);
    assert.equal(environment['NODE_OPTIONS'], undefined);
  });

  test('keeps the options that the program has of its own', () => {
    const environment = processEnvironment({ NODE_OPTIONS: '--trace-warnings' }, { NODE_OPTIONS: '--no-deprecation' }, PLACE);
    assert.equal(environment['NODE_OPTIONS'], `--no-deprecation --require "${LOAD_REPORT}"`);
  });

  test('is found where the path has blanks', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'heddle-test-'));
    try {
      const linked = join(folder, 'a "b');
      await symlink(dirname(LOAD_REPORT), linked);
      const option = `--require "${join(linked, 'load-report.cjs').replace(/["\\]/g, '\\$&')}"`;
      await withServer({ NODE_OPTIONS: option }, async (port) => assert.match((await ask(port, '/', FROM_MESH)) ?? '', /^TEXT /));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
