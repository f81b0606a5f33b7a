// What is offered for the end of a command line, of the program as it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHere } from '../testing/in-process.ts';

async function offered(...words: string[]): Promise<string[]> {
  const { code, out, err } = await runHere('__complete', '--', ...words);
  assert.deepEqual([code, err], [0, '']);
  return out.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t', 1)[0] ?? '']));
}

test('commands, then their commands, and nothing that is not for people', async () => {
  const commands = await offered('');
  for (const name of ['up', 'get', 'apply', 'completion']) assert.ok(commands.includes(name), name);
  assert.ok(!commands.includes('__complete'));
  assert.deepEqual(await offered('va'), ['validate']);
  assert.deepEqual(await offered('token', 're'), ['revoke']);
  assert.deepEqual(await offered('no-such-command', ''), []);
});

test('options that are not given yet, and their values', async () => {
  const options = await offered('get', 'services', '-o', 'json', '--');
  assert.ok(options.includes('--watch') && options.includes('--help'));
  assert.deepEqual(await offered('get', 'audit', '--outcome', ''), ['done', 'refused']);
  assert.deepEqual(await offered('get', 'services', '--output', ''), ['table', 'json', 'yaml']);
  assert.deepEqual(await offered('get', 'services', '--output=y'), ['--output=yaml']);
  assert.deepEqual(await offered('get', 'ser'), ['services']);
  assert.deepEqual(await offered('explain', 'P'), ['POST', 'PUT', 'PATCH']);
});

test('files and directories where these are meant, and no name while no mesh answers', async () => {
  assert.deepEqual(await offered('validate', '-f', ''), [':files']);
  assert.deepEqual(await offered('get', 'services', '--state-dir', ''), [':directories']);
  assert.deepEqual(await offered('run', '--service', 'a', '--', 'node', ''), [':files']);
  assert.deepEqual(await offered('drain', '--state-dir', '/nowhere', ''), []);
});
