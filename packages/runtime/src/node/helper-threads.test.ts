import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const MODULE = new URL('./helper-threads.ts', import.meta.url).href;
const NICENESS_FIELD = 19;

test('helper threads of the engine give way, the serving thread does not', {
  skip: process.platform !== 'linux' && 'threads have priorities of their own on Linux alone',
}, () => {
  const script = `
    import { readdirSync, readFileSync } from 'node:fs';
    import { deferHelperThreads } from ${JSON.stringify(MODULE)};
    deferHelperThreads();
    const threads = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/stat', 'latin1'));
    console.log(JSON.stringify(threads.map((stat) => {
      const end = stat.lastIndexOf(')');
      return { name: stat.slice(stat.indexOf('(') + 1, end), fields: stat.slice(end + 2).split(' ') };
    })));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  assert.equal(stderr, '');
  const threads = JSON.parse(stdout) as { name: string; fields: string[] }[];
  // proc_pid_stat(5): the name is the second field, the third follows it.
  const niceness = ({ fields }: { fields: string[] }) => Number(fields[NICENESS_FIELD - 3]);
  const helpers = threads.filter(({ name }) => name.includes('V8Worker'));
  assert.ok(helpers.length > 0, JSON.stringify(threads.map(({ name }) => name)));
  const [own = 0] = threads.filter(({ name }) => name.includes('MainThread')).map(niceness);
  for (const helper of helpers) assert.equal(niceness(helper), 10, helper.name);
  assert.ok(own < 10, `the serving thread has ${own}`);
});
