// What `--import @heddle/client/register` says of an environment that it cannot use, to whoever started the program.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';

const REGISTER = fileURLToPath(new URL('./index.ts', import.meta.url));
const IN_MESH = { HEDDLE_SERVICE: 'web', HEDDLE_INSTANCE: 'web-1', HEDDLE_CONTROL: '127.0.0.1:1' };

function run(flag: '--import' | '--require', variables: NodeJS.ProcessEnv): { status: number | null; stdout: string; stderr: string } {
  const { PATH } = process.env;
  const args = ['--conditions=heddle-source', flag, REGISTER, '-e', 'console.log("it runs")'];
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: { PATH, ...variables } });
}

describe('register', () => {
  for (const [flag, variables, line] of [
    ['--import', { HEDDLE_PORT: '80a' }, 'HEDDLE_PORT is "80a"; it is a whole number from 1 to 65535'],
    ['--require', { HEDDLE_PORT: '70000' }, 'HEDDLE_PORT is "70000"; it is a whole number from 1 to 65535'],
    ['--import', { HEDDLE_READY_TIMEOUT_MS: '-1' }, 'HEDDLE_READY_TIMEOUT_MS is "-1"; it is a whole number of at least 0'],
    ['--import', { HEDDLE_LOG_LEVEL: 'loud' }, 'HEDDLE_LOG_LEVEL is "loud"; use debug, info, warn, error or silent'],
  ] as const)
    it(`ends the process with one line where ${line.replace(/;.*/, '')} (${flag})`, () => {
      const { status, stdout, stderr } = run(flag, { ...IN_MESH, ...variables });
      assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: `heddle: ${line}\n` });
    });

  it('takes a PORT of the application as it is, and looks at nothing where the environment names no mesh', () => {
    for (const variables of [
      { ...IN_MESH, PORT: 'pipe' },
      { ...IN_MESH, PORT: '0' },
      { PORT: 'pipe', HEDDLE_LOG_LEVEL: 'loud' },
    ]) {
      const { status, stdout, stderr } = run('--import', variables);
      assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'it runs\n', stderr: '' });
    }
  });
});
