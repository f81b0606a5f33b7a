// The example clients in Python and Go, made from the .proto files by protoc, against a control plane that restarts, and comes back with
// older data.
import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import { Cleanup, control, instances, LOOPBACK, meshOf, temporaryDirectory } from '../support/planes.ts';
import { type DiscoveryExample, goExample, pythonExample, skipGo, skipPython } from './support/discovery-clients.ts';
import { run, type Running, start } from './support/programs.ts';

const MESH = meshOf(`
mesh: test
services:
  echo: { port: 80, metadata: { owner: somebody } }
  web: { port: 81, protocol: grpc }
`);

const cleanup = new Cleanup();
let stateDir: string;
let plane: RunningControl;
const examples = new Map<string, DiscoveryExample>();
/** Why there is none: the tests of the others go on. */
const failures = new Map<string, unknown>();

before(async () => {
  stateDir = await temporaryDirectory(cleanup);
  const make = async (skip: string | false, language: string, example: (cleanup: Cleanup) => Promise<DiscoveryExample>): Promise<void> => {
    if (skip !== false) return;
    await example(cleanup).then(
      (made) => examples.set(language, made),
      (error: unknown) => failures.set(language, error),
    );
  };
  await make(skipPython, 'Python', pythonExample);
  await make(skipGo, 'Go', goExample);
  if (examples.size > 0) plane = await control(cleanup, { mesh: MESH, stateDir });
});
after(() => cleanup.run());

/** Stops the control plane, does something to its state, and starts it again where it was. */
async function restarted(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  const { port } = plane;
  await plane.close();
  await meanwhile();
  plane = await control(cleanup, { mesh: MESH, stateDir, port });
}

for (const { language, skip } of [
  { language: 'Python', skip: skipPython },
  { language: 'Go', skip: skipGo },
]) {
  const args = (command: string, options = {}): [string, string[]] => {
    const example = examples.get(language);
    assert.ok(example, String(failures.get(language)));
    return [example.command, example.args(`${LOOPBACK}:${plane.port}`, stateDir, command, options)];
  };
  const running = (command: string, options = {}): Running => start(cleanup, ...args(command, options));
  const place = (id: string, port: number, service = 'echo') => ({
    ...{ service, id, inbound: `${LOOPBACK}:${port}`, application: `${LOOPBACK}:${port + 1}`, lease: '1' },
  });

  test(`${language}: lists services, registers with heartbeats, and takes its instance out at the end`, { skip }, async () => {
    const first = running('register', place('it-1', 20_100));
    await first.until(/^registered it-1, lease 1000 ms, revision \d+$/m);
    const list = await run(...args('list'));
    assert.deepEqual(list.stdout.toString().trim().split('\n'), [
      'default/echo http :80 1/1 healthy [it-1 127.0.0.1:20100]',
      'default/web grpc :81 0/0 healthy []',
    ]);
    assert.deepEqual((await instances(plane)).get('it-1')?.metadata, { language: language.toLowerCase() });

    // It registers again by itself.
    await restarted();
    await first.until(/^! \w+: registering again[^]*^registered it-1/m);
    // Another process takes its id.
    const second = running('register', place('it-1', 20_200));
    await second.until(/^registered it-1/m);
    await first.until(/another process has registered it-1/);
    second.child.kill('SIGTERM');
    await second.until(/^deregistered$/m);
    assert.deepEqual([...(await instances(plane)).keys()], []);
    // Nobody waits for ever for a service that is not declared.
    const wrong = await run(...args('register', place('it-2', 20_300, 'ecko')));
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /NOT_?FOUND.*service default\/ecko is not declared/i);
  });

  test(`${language}: a watch goes on over a restart, and begins anew when the control plane came back with older data`, {
    skip,
  }, async () => {
    const watch = running('watch');
    await watch.until(/^\+ default\/echo .*0\/0 healthy \[\]\n\+ default\/web [^]*^= revision \d+ complete$/m);
    const backup = join(stateDir, 'backup');
    await restarted(() => copyFile(join(stateDir, 'registry.sqlite'), backup));
    await watch.until(/^! UNAVAILABLE: going on after revision \d+\n= revision \d+ changes$/m);

    const instance = running('register', place('it-3', 20_300));
    await watch.until(/^\+ default\/echo .* 1\/1 healthy \[it-3 127\.0\.0\.1:20300\]$/m);
    instance.child.kill('SIGTERM');
    await watch.until(/^\+ default\/echo .* 1\/1[^]*^\+ default\/echo .* 0\/0 healthy \[\]$/m);

    await restarted(() => copyFile(backup, join(stateDir, 'registry.sqlite')));
    await watch.until(/^! (?:ahead|other-history): beginning anew\n\+ default\/echo [^]*^= revision \d+ complete$/m);
    watch.child.kill('SIGTERM');
  });
}

test('Python: names and addresses by the small contract', { skip: skipPython }, async () => {
  const example = examples.get('Python');
  assert.ok(example, String(failures.get('Python')));
  const instance = start(
    cleanup,
    example.command,
    example.args(`${LOOPBACK}:${plane.port}`, stateDir, 'register', {
      ...{ service: 'echo', id: 'it-4', inbound: `${LOOPBACK}:20400`, application: `${LOOPBACK}:20401` },
    }),
  );
  await instance.until(/^registered it-4/m);
  const { stdout } = await run(example.command, [...example.args(`${LOOPBACK}:${plane.port}`, stateDir, 'list', {}), '--small']);
  assert.equal(stdout.toString(), 'echo 127.0.0.1\n');
});
