// Signals that are held back, in processes of their own: real signals, by the system.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { describe, it } from 'node:test';

const TERMINATION = new URL('./termination.ts', import.meta.url).href;

/** Says what happens, a word a line. `t.end()` lets the instance have left; `t.later(ms)` moves its clock, which stands, on. */
const PROGRAM = `
import { holdTermination, watchSignals } from ${JSON.stringify(TERMINATION)};
const say = (word) => process.stdout.write(word + '\\n');
watchSignals();
const emit = process.emit;
process.emit = function (name, ...rest) {
  if (name !== 'SIGTERM' && name !== 'SIGINT') return emit.call(this, name, ...rest);
  say('came');
  return emit.call(this, name, ...rest);
};
let end;
const left = new Promise((resolve) => (end = resolve));
let laterMs = 0;
performance.now = () => laterMs;
const logger = { info: (fields) => say('held ' + fields.signal) };
const leaver = { logger, leave: () => (say('leaves'), left), stop: async () => say('stops') };
const undo = holdTermination(leaver);
const t = { end, later: (ms) => (laterMs += ms), say, again: () => holdTermination(leaver) };
process.stdin.setEncoding('utf8').on('data', (text) => (0, eval)('(t, undo) => {' + text + '}')(t, undo));
`;

interface Program {
  readonly child: ChildProcess;
  /** Runs code in it, which has `t` and `undo`. */
  run(code: string): void;
  /** Resolves once these words, in this order, are all that it has said; rejects when it ends otherwise. */
  said(...words: readonly string[]): Promise<void>;
  /** Resolves to its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** @param more of the program, after the signals are held */
function start(more: string): Program {
  const args = ['--conditions=heddle-source', '--input-type=module', '-e', `${PROGRAM}${more}\nsay('ready');`];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: 30_000, killSignal: 'SIGKILL' });
  let output = '';
  let look = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    look();
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? 0)));
  return {
    child,
    ended,
    run: (code) => void child.stdin.write(code),
    said(...words) {
      const wanted = words.map((word) => `${word}\n`).join('');
      const heard = new Promise<void>((resolve) => {
        look = () => void (output === wanted && resolve());
        look();
      });
      return Promise.race([heard, ended.then(() => assert.equal(output, wanted))]);
    },
  };
}

describe('a signal to a process whose instance is in the mesh', { concurrency: true }, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    it(`ends it by ${signal} once the instance has left and stopped, where the application does nothing about it`, async () => {
      const { child, run, said, ended } = start('');
      await said('ready');
      child.kill(signal);
      await said('ready', 'came', `held ${signal}`, 'leaves');
      run('t.end();');
      assert.equal(await ended, signal);
      await said('ready', 'came', `held ${signal}`, 'leaves', 'stops');
    });

  it("comes to the application's handlers when the instance has left, and these decide about the end", async () => {
    const { child, run, said, ended } = start(
      "process.once('SIGTERM', (name) => { say('told ' + name); process.exitCode = 7; process.stdin.destroy(); });",
    );
    await said('ready');
    child.kill('SIGTERM');
    const held = ['ready', 'came', 'held SIGTERM', 'leaves'];
    await said(...held);
    // Passed on to the group by who started it: the same wish.
    child.kill('SIGTERM');
    await said(...held, 'came');
    child.kill('SIGINT');
    await said(...held, 'came', 'came');
    run('t.end();');
    assert.equal(await ended, 7);
    // Once by the system, once by whoever held it back.
    await said(...held, 'came', 'came', 'came', 'told SIGTERM');
  });

  it('goes its way at once when it comes again, later', async () => {
    const { child, run, said, ended } = start('');
    await said('ready');
    child.kill('SIGTERM');
    const held = ['ready', 'came', 'held SIGTERM', 'leaves'];
    await said(...held);
    run("t.later(1_001); t.say('later');");
    await said(...held, 'later');
    child.kill('SIGINT');
    assert.equal(await ended, 'SIGINT');
    await said(...held, 'later', 'came');
  });

  it('is as without the mesh after it was undone, in the middle of leaving as well', async () => {
    const { child, run, said, ended } = start("process.on('SIGINT', () => say('told'));");
    await said('ready');
    child.kill('SIGINT');
    const held = ['ready', 'came', 'held SIGINT', 'leaves'];
    await said(...held);
    run("undo(); t.end(); setImmediate(() => t.say('undone'));");
    await said(...held, 'undone');
    child.kill('SIGINT');
    await said(...held, 'undone', 'came', 'told');
    run("t.again(); t.say('again');");
    await said(...held, 'undone', 'came', 'told', 'again');
    child.kill('SIGTERM');
    assert.equal(await ended, 'SIGTERM');
    await said(...held, 'undone', 'came', 'told', 'again', 'came', 'held SIGTERM', 'leaves', 'stops');
  });
});
