// Copies of grpc-js are told of when the application loads them, in either form.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, describe, it } from 'node:test';
import { hookGrpc } from './grpc-hook.ts';

const folder = mkdtempSync(join(tmpdir(), 'heddle-grpc-hook-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A stand-in at the place of grpc-js; `version` tells copies apart. */
function copy(name: string, version: string): string {
  const place = join(folder, name, 'node_modules/@grpc/grpc-js');
  mkdirSync(join(place, 'build/src'), { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"name":"@grpc/grpc-js","main":"build/src/index.js"}');
  writeFileSync(join(place, 'build/src/index.js'), `exports.Client = class {}; exports.version = '${version}';`);
  writeFileSync(join(folder, name, 'app.mjs'), "export { version } from '@grpc/grpc-js';\n");
  return join(folder, name, 'app.mjs');
}

describe('the hook of grpc-js', () => {
  it('tells of each copy once, by require and by import, until it is undone', async () => {
    const told: string[] = [];
    const undo = hookGrpc((exported) => void told.push((exported as { version: string }).version));
    const [first, second, third] = [copy('a', '1'), copy('b', '2'), copy('c', '3')];
    createRequire(first)('@grpc/grpc-js');
    createRequire(first)('@grpc/grpc-js');
    assert.deepEqual(told, ['1']);
    assert.equal(((await import(pathToFileURL(second).href)) as { version: string }).version, '2');
    createRequire(second)('@grpc/grpc-js');
    assert.deepEqual(told, ['1', '2']);
    undo();
    createRequire(third)('@grpc/grpc-js');
    assert.deepEqual(told, ['1', '2']);
  });
});
