// Lines to the standard output of a process that others read, or do not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const PROGRAM = `
const { openLines } = await import(${JSON.stringify(new URL('./lines.ts', import.meta.url).href)});
const output = openLines('stdout');
const write = () => output.write(Buffer.from('line\\n'), (error) => {
  if (error === undefined) return setImmediate(write);
  output.write(Buffer.from('line\\n'), (again) => process.stderr.write(error.code + ' ' + (again !== undefined)));
});
write();
`;

test('a standard output that nobody reads any more loses its lines, and does not end the process', async () => {
  const child = spawn(process.execPath, ['--conditions=heddle-source', '--input-type=module', '-e', PROGRAM], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let told = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (told += text));
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = (await once(child, 'close')) as [number | null];
  assert.deepEqual([told, code], ['EPIPE true', 0]);
});
