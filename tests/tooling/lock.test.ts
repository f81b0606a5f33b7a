// The lock file serves every platform, and the root manifest of tools is what it says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { type Lock, missingEntries } from '../../tools/complete-lock.ts';
import { readManifests } from '../../tools/build.ts';

const ROOT = resolve(import.meta.dirname, '../..');

describe('package-lock.json', () => {
  it('lists the packages of all platforms; else run: node tools/complete-lock.ts', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
    assert.deepEqual(Object.keys(missingEntries(lock)), []);
  });
});

describe('completing a lock file', () => {
  const lock = (present: Lock['packages']): Lock => ({
    packages: {
      'node_modules/tool': {
        version: '1.0.0',
        dev: true,
        optionalDependencies: { '@t/cli-linux-arm64-musl': '1.0.0', '@t/cli-darwin-x64': '1.0.0' },
      },
      ...present,
    },
  });

  it('adds what npm left out, for the platform in the name', () => {
    assert.deepEqual(missingEntries(lock({ 'node_modules/@t/cli-darwin-x64': { version: '1.0.0' } })), {
      'node_modules/@t/cli-linux-arm64-musl': {
        version: '1.0.0',
        dev: true,
        optional: true,
        os: ['linux'],
        cpu: ['arm64'],
        libc: ['musl'],
      },
    });
  });

  it('sees what lies inside the folder of the one that needs it', () => {
    const nested = { 'node_modules/tool/node_modules/@t/cli-darwin-x64': {}, 'node_modules/@t/cli-linux-arm64-musl': {} };
    assert.deepEqual(missingEntries(lock(nested)), {});
  });

  it('does not guess', () => {
    const parent = (name: string, version: string): Lock => ({
      packages: { 'node_modules/x': { optionalDependencies: { [name]: version } } },
    });
    assert.throws(() => missingEntries(parent('fsevents', '2.3.3')), /does not tell its platform/);
    assert.throws(() => missingEntries(parent('x-linux-x64', '^2.3.3')), /no exact version/);
  });
});

describe('the list of runtime dependencies', () => {
  it('in docs/adr/0007-dependencies.md has each package that a package of ours depends on, and who uses it', () => {
    const users = new Map<string, string[]>();
    for (const [folder, { dependencies = {} }] of readManifests(ROOT)) {
      for (const name of Object.keys(dependencies)) {
        if (!name.startsWith('@heddle/')) users.set(name, [...(users.get(name) ?? []), folder].sort());
      }
    }
    const page = readFileSync(join(ROOT, 'docs/adr/0007-dependencies.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$/gm)].map(
      ([, name = '', by = '']) => [name, by.trim().split(', ').sort()] as const,
    );
    assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(users));
  });
});
