// Which commands get their data plane inside.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { insideEnvironment } from './environment.ts';
import { placementOf } from './placement.ts';

const folder = mkdtempSync(join(tmpdir(), 'heddle-placement-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const path = `${folder}:${dirname(process.execPath)}:/usr/bin:/bin`;
const kindOf = (...command: string[]): string => placementOf(command, path, folder).kind;
const reasonOf = (...command: string[]): string => {
  const placement = placementOf(command, path, folder);
  return placement.kind === 'sidecar' ? placement.reason : '';
};

function program(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o755);
  return join(folder, name);
}

describe('the data plane of a command', () => {
  it('is inside Node, and inside what Node runs', () => {
    assert.equal(kindOf('node', 'server.js'), 'in-process');
    assert.equal(kindOf('env', 'A=1', 'B=2', process.execPath, 'server.js'), 'in-process');
    program('script', '#!/usr/bin/env node\n');
    symlinkSync(join(folder, 'script'), join(folder, 'linked'));
    assert.equal(kindOf('linked'), 'in-process');
    program('split', '#!/usr/bin/env -S node --enable-source-maps\n');
    assert.equal(kindOf('./split'), 'in-process');
    program(
      'stub',
      '#!/bin/sh\nbasedir=$(dirname "$0")\nif [ -x "$basedir/node" ]; then\n  exec "$basedir/node" x.js "$@"\nelse\n  exec node x.js "$@"\nfi\n',
    );
    assert.equal(kindOf('stub'), 'in-process');
  });

  it('is beside everything else, with the reason', () => {
    assert.equal(reasonOf('sh', '-c', 'node server.js'), 'sh is not a Node program');
    program('python', '#!/usr/bin/env python3\n');
    assert.equal(reasonOf('python'), 'python is not a Node program');
    assert.equal(reasonOf('no-such-program'), 'it cannot be seen what it is');
  });

  it('is beside a Node that is too old', () => {
    const bin = mkdtempSync(join(folder, 'bin-'));
    writeFileSync(join(bin, 'node'), '#!/bin/sh\necho 20.11.1\n');
    chmodSync(join(bin, 'node'), 0o755);
    const placement = placementOf(['node', 'x.js'], bin, folder);
    assert.deepEqual(placement, { kind: 'sidecar', reason: 'Node 20.11.1 is too old for a data plane inside it (24 or newer)' });
  });
});

describe('the environment of a process with its data plane inside', () => {
  it('says who it is, names others, and keeps what is not its own', () => {
    const environment = insideEnvironment(
      {
        PATH: '/bin',
        NODE_OPTIONS: '--enable-source-maps',
        HTTP_PROXY: 'http://corporate:3128',
        NO_PROXY: 'intranet',
        HEDDLE_TOKEN: 'secret',
      },
      {
        service: { namespace: 'default', name: 'web' },
        instance: 'web-1',
        application: { address: '127.0.0.1', port: 20_001 },
        inbound: { address: '::1', port: 20_002 },
        uses: [
          { service: { namespace: 'default', name: 'user-accounts' }, port: 8_080 },
          { service: { namespace: 'back', name: 'cache' }, port: 6_379 },
        ],
        control: '10.0.0.5:15010',
        joinToken: 'once',
        identityDirectory: '/s/identities/web-1',
        admin: { port: 20_003, tokenFile: '/s/proxy-web-1.token' },
        described: { version: 'v2' },
        drainMs: 10_000,
        register: 'file:///x/register/index.js',
      },
    );
    assert.deepEqual(environment, {
      PATH: '/bin',
      NODE_OPTIONS: '--enable-source-maps --import file:///x/register/index.js',
      HTTP_PROXY: 'http://corporate:3128',
      NO_PROXY: 'intranet,.mesh.internal',
      no_proxy: '.mesh.internal',
      HOST: '127.0.0.1',
      PORT: '20001',
      HEDDLE_PORT: '20001',
      HEDDLE_SERVICE: 'web',
      HEDDLE_NAMESPACE: 'default',
      HEDDLE_INSTANCE: 'web-1',
      HEDDLE_CONTROL: '10.0.0.5:15010',
      HEDDLE_INBOUND: '[::1]:20002',
      HEDDLE_IDENTITY_DIR: '/s/identities/web-1',
      HEDDLE_ADMIN_PORT: '20003',
      HEDDLE_ADMIN_TOKEN_FILE: '/s/proxy-web-1.token',
      HEDDLE_WORKLOAD: '{"version":"v2"}',
      HEDDLE_DRAIN_MS: '10000',
      HEDDLE_JOIN_TOKEN: 'once',
      USER_ACCOUNTS_URL: 'http://user-accounts.mesh.internal',
      USER_ACCOUNTS_HOST: 'user-accounts.mesh.internal',
      USER_ACCOUNTS_PORT: '8080',
      CACHE_URL: 'http://cache.back.mesh.internal',
      CACHE_HOST: 'cache.back.mesh.internal',
      CACHE_PORT: '6379',
    });
  });
});
