// What the chaos tests do to proxies and instances beside them, with the data plane inside: no idempotent request fails.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ControlProcess } from '../support/control-process.ts';
import { Cleanup, control, meshOf, temporaryDirectory } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { type Answered, ask, InsideMesh, MESH, startCalls } from './support/inside-mesh.ts';

const NAMES = ['echo-1', 'echo-2'];
const PER_SECOND = 100;

const failed = (answers: readonly Answered[]): readonly Answered[] => answers.filter(({ status }) => status !== 200);

describe('with the data plane inside', { concurrency: true }, () => {
  const cleanup = new Cleanup();
  after(() => cleanup.run());

  it('no call fails while instances are killed, restart in turn, and the control plane dies and comes back', async () => {
    const plane = new ControlProcess(cleanup, await temporaryDirectory(cleanup));
    const mesh = new InsideMesh(cleanup, await plane.start(MESH));
    await Promise.all(NAMES.map((name) => mesh.launch(name)));
    const web = await mesh.caller('web-1');
    const seen = async (name: string): Promise<boolean> => (await ask(web)).body === name;
    for (const name of NAMES) await waitFor(`an answer of ${name}`, () => seen(name));
    const load = startCalls(web, PER_SECOND);
    const answersOf = (name: string, from: number): number => load.answers.slice(from).filter(({ body }) => body === name).length;

    // Each is told to end, and started again.
    for (const name of NAMES) {
      await mesh.instances.get(name)!.end('SIGTERM');
      const from = load.answers.length;
      await waitFor('answers of the others', () => load.answers.length > from + 20);
      assert.equal(answersOf(name, from + 1), 0, `${name} answers after its end`);
      await mesh.launch(name);
      await waitFor(`${name} to be back`, () => answersOf(name, from) > 3);
    }

    // One is killed, in the middle of its answers.
    await mesh.instances.get('echo-2')!.end('SIGKILL');
    const killed = load.answers.length;
    await waitFor('answers of the others', () => load.answers.length > killed + 30);
    await mesh.launch('echo-2');
    await waitFor('echo-2 to be back', () => answersOf('echo-2', killed) > 3);

    // No control plane for a while: calls go on, and a restart of it changes nothing.
    await plane.end('SIGKILL');
    const alone = load.answers.length;
    await waitFor('answers without a control plane', () => load.answers.length > alone + 60);
    await plane.start(MESH);
    await waitFor('to be connected again', () => web.missing().length === 0);
    const again = load.answers.length;
    await waitFor('answers of all afterwards', () => NAMES.every((name) => answersOf(name, again) > 3));

    const answers = await load.stop();
    assert.deepEqual(failed(answers), []);
    assert.ok(answers.length > 250, `${answers.length} answers`);
  });

  it('no call fails while certificates of seconds are renewed', async () => {
    const mesh = new InsideMesh(cleanup, await control(cleanup, { mesh: meshOf(MESH), certificateTtlMs: 3_000 }));
    await Promise.all(NAMES.map((name) => mesh.launch(name)));
    const web = await mesh.caller('web-2');
    await waitFor('an answer', async () => (await ask(web)).status === 200);
    const load = startCalls(web, PER_SECOND);
    await waitFor('answers over more than a life of a certificate', () => load.answers.length > PER_SECOND * 4);
    assert.deepEqual(failed(await load.stop()), []);
  });
});
