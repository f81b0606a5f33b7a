import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import { commandLine, commandProblem, findProgram, programOf } from './command.ts';

function run(command: string): string {
  const [program, ...rest] = commandLine(command);
  return execFileSync(program!, rest, { encoding: 'utf8' }).trim();
}

it('a plain command replaces the shell, a compound one runs in it', () => {
  assert.deepEqual(commandLine('node server.ts --port 1'), ['/bin/sh', '-c', 'exec node server.ts --port 1']);
  assert.deepEqual(commandLine(['node', 'server.ts']), ['node', 'server.ts']);
  assert.equal(run('echo one && echo two'), 'one\ntwo');
  assert.equal(run('GREETING=hello; echo $GREETING'), 'hello');
  assert.equal(run("GREETING=hi sh -c 'echo $GREETING'"), 'hi');
  assert.equal(run('cd / && pwd'), '/');
});

it('the program is known where the shell does not decide it', () => {
  assert.equal(programOf('node x.ts'), 'node');
  assert.equal(programOf(['./start', 'x']), './start');
  assert.equal(programOf('PORT=1 node x.ts'), undefined);
  assert.equal(programOf('cd x && node y'), undefined);
  assert.equal(programOf('cd x'), undefined);
});

it('programs are found as the shell finds them', () => {
  assert.equal(findProgram('sh', '/nowhere:/bin', '/'), '/bin/sh');
  assert.equal(findProgram('./sh', '', '/bin'), '/bin/sh');
  assert.equal(findProgram('no-such-program', '/bin:/usr/bin', '/'), undefined);
});

it('says what is missing', () => {
  assert.equal(commandProblem('sh -c true', '/bin', '/'), undefined);
  assert.equal(commandProblem('no-such-program --x', '/bin', '/'), 'the command "no-such-program" is not on PATH');
  assert.equal(commandProblem(['./nothing'], '/bin', '/tmp'), 'there is no executable file /tmp/nothing');
  assert.equal(commandProblem('sh', '/bin', '/no/such/dir'), 'the directory /no/such/dir does not exist');
});
