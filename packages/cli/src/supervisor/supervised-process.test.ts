import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { PLAIN } from '../output/palette.ts';
import { commandLine } from './command.ts';
import { Guard } from './guard.ts';
import { endLeftovers, ProcessFile, readProcesses } from './leftovers.ts';
import { Output } from './output.ts';
import { processStart } from './process-info.ts';
import type { ProcessPolicy } from './process-machine.ts';
import { SupervisedProcess } from './supervised-process.ts';
import { alive, QUICK_RESTART, Recorder, until } from './testing.ts';

const POLICY: ProcessPolicy = { restart: QUICK_RESTART, stopTimeoutMs: 5_000, livenessAfterMs: 50 };

interface Fixture {
  readonly supervised: SupervisedProcess;
  readonly recorder: Recorder;
  readonly told: string[];
  readonly down: string[];
}

describe('a supervisor of real processes', () => {
  const guard = new Guard();
  const all: SupervisedProcess[] = [];
  after(async () => {
    await Promise.all(all.map((supervised) => supervised.kill()));
    await guard.close();
  });

  function supervise(command: string | readonly string[], policy = POLICY): Fixture {
    const recorder = new Recorder();
    const output = new Output(recorder, PLAIN);
    const [told, down]: [string[], string[]] = [[], []];
    const supervised = new SupervisedProcess({
      policy,
      guard,
      random: Math.random,
      prepare: () => Promise.resolve({ argv: commandLine(command), directory: tmpdir(), environment: process.env }),
      onOutput: (stream) => output.attach(stream, 'orders-1'),
      onTell: (_level, message) => told.push(message),
      onDown: (reason) => down.push(reason),
    });
    supervised.start();
    all.push(supervised);
    return { supervised, recorder, told, down };
  }

  const pidOf = ({ supervised }: Fixture): Promise<number> => until('a process', () => supervised.status.pid);

  it('starts a process again at once when it is told to, and says when it is there', async () => {
    const fixture = supervise('sleep 60');
    const first = await pidOf(fixture);
    assert.equal(await fixture.supervised.relaunch(), true);
    const second = await pidOf(fixture);
    assert.notEqual(second, first);
    assert.equal(alive(first), false);
    assert.deepEqual(fixture.told, []);
    const stopped = fixture.supervised.stop();
    assert.equal(await fixture.supervised.relaunch(), false);
    await stopped;
  });

  it('starts a process again after it was killed', async () => {
    const fixture = supervise('sleep 60');
    const first = await pidOf(fixture);
    process.kill(first, 'SIGKILL');
    const second = await until('another process', () => fixture.supervised.status.pid !== first && fixture.supervised.status.pid);
    assert.equal(fixture.supervised.status.restarts, 1);
    assert.match(fixture.told[0] ?? '', /was killed by SIGKILL; restarting in/);
    assert.deepEqual(
      fixture.down.map((reason) => reason.replace(/\d+ ms$/, '')),
      ['its process was killed by SIGKILL; starts again in '],
    );
    await fixture.supervised.stop();
    assert.equal(alive(second), false);
    assert.equal(fixture.down.length, 1);
  });

  it('calls a process that ends over and over a crash loop, and says its exit code', async () => {
    const fixture = supervise('exit 7');
    await until('a crash loop', () => fixture.told.some((message) => message.includes('crash loop')));
    assert.match(fixture.told[0] ?? '', /ended with exit code 7/);
    await fixture.supervised.stop();
  });

  it('says when there is no such command', async () => {
    const fixture = supervise(['/no/such/program']);
    await until('a message', () => fixture.told.length > 0);
    assert.match(fixture.told[0] ?? '', /no such command/);
    await fixture.supervised.stop();
  });

  it('lets a process finish on SIGTERM', async () => {
    const fixture = supervise(`trap 'echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done`);
    await until('its first line', () => fixture.recorder.text.includes('up'));
    await fixture.supervised.stop();
    await until('its last line', () => fixture.recorder.text.includes('finished'));
  });

  it('kills a process that ignores SIGTERM', async () => {
    const fixture = supervise(`trap '' TERM; echo up; while :; do sleep 0.05; done`, { ...POLICY, stopTimeoutMs: 100 });
    await until('its first line', () => fixture.recorder.text.includes('up'));
    const pid = await pidOf(fixture);
    await fixture.supervised.stop();
    assert.equal(alive(pid), false);
    assert.ok(fixture.told.some((message) => message.includes('killing it')));
  });

  it('ends everything that the process started, also when the process itself was killed', async () => {
    const fixture = supervise(`sleep 60 & echo "child $!"; wait`);
    const child = await until('the child', () => Number(/child (\d+)/.exec(fixture.recorder.text)?.[1]) || undefined);
    process.kill(await pidOf(fixture), 'SIGKILL');
    await until('the end of the child', () => !alive(child));
    await fixture.supervised.kill();
  });

  it('restarts a process that was healthy and stays unhealthy', async () => {
    const fixture = supervise('sleep 60');
    const first = await pidOf(fixture);
    fixture.supervised.verdict('healthy');
    fixture.supervised.verdict('unhealthy');
    await until('another process', () => fixture.supervised.status.pid !== undefined && fixture.supervised.status.pid !== first);
    assert.match(fixture.told.join('\n'), /has been unhealthy for 50 ms: it is ended/);
    await fixture.supervised.stop();
  });

  it('shows output by line under the name, standard error too, and what has no line end', async () => {
    const fixture = supervise(`printf 'one\\ntwo\\n'; echo three >&2; printf unfinished; exec sleep 60`);
    await until('all of it', () => fixture.recorder.lines.length === 4);
    assert.deepEqual(fixture.recorder.lines.toSorted(), ['orders-1 | one', 'orders-1 | three', 'orders-1 | two', 'orders-1 | unfinished']);
    await fixture.supervised.stop();
  });

  it('leaves no process behind when the supervisor is killed with SIGKILL', async () => {
    const program = `
      import { Guard } from ${JSON.stringify(import.meta.resolve('./guard.ts'))};
      import { SupervisedProcess } from ${JSON.stringify(import.meta.resolve('./supervised-process.ts'))};
      const guard = new Guard();
      const supervised = new SupervisedProcess({
        policy: ${JSON.stringify({ ...POLICY, livenessAfterMs: 1_000 })}, guard, random: Math.random,
        prepare: async () => ({ argv: ['/bin/sh', '-c', 'sleep 60 & echo $$ $!; wait'], directory: '/', environment: process.env }),
        onOutput: (stream) => stream.on('data', (bytes) => process.stdout.write(bytes)), onTell: () => {},
      });
      supervised.start();
      console.log('guard', guard.pid);
    `;
    const supervisor = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    supervisor.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
    const pids = await until('the process ids', () => {
      const match = /guard (\d+)[^]*?^(\d+) (\d+)$/m.exec(text);
      return match === null ? undefined : match.slice(1).map(Number);
    });
    assert.deepEqual(pids.map(alive), [true, true, true]);
    supervisor.kill('SIGKILL');
    await until('the end of all', () => pids.every((pid) => !alive(pid)));
  });

  it('replaces a guard that was killed', async () => {
    const other = new Guard();
    const first = other.pid!;
    process.kill(first, 'SIGKILL');
    await until('another guard', () => other.pid !== first && other.pid);
    await other.close();
  });
});

describe('what an earlier supervisor left', () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-leftovers-'));
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('is ended exactly, told apart from another process that got its id', async () => {
    const mine = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    const other = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    await until('both', () => processStart(mine.pid!) !== undefined && processStart(other.pid!) !== undefined);
    const file = new ProcessFile(directory);
    file.set('orders-1', mine.pid, 'default/orders/orders-1');
    const [record] = readProcesses(directory);
    assert.equal(record?.workload, 'default/orders/orders-1');
    // The same id with another start time stands for a process that is long gone.
    const forged = [record, { name: 'web-1', pid: other.pid, start: '1' }, { name: 'bad', pid: 1, start: processStart(1) }, 'rubbish'];
    writeFileSync(join(directory, 'processes.json'), JSON.stringify(forged));
    const ended = await endLeftovers(directory);
    assert.deepEqual(
      ended.map(({ name }) => name),
      ['orders-1'],
    );
    await until('the end of mine', () => !alive(mine.pid!));
    assert.equal(alive(other.pid!), true);
    other.kill('SIGKILL');
  });

  it('is nothing when the file is missing or damaged', async () => {
    assert.deepEqual(await endLeftovers(join(directory, 'none')), []);
  });
});
