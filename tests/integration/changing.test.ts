// diff, apply and split, against a control plane with a data plane, both in this process: what they show, what they do, and their exit codes.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { adminCall, connectedProxies, control, Cleanup, machine, meshOf, SMALL_MESH, temporaryDirectory } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { runHere, type CommandOutcome } from '../../packages/cli/src/testing/in-process.ts';

const RULES = `
routes:
  - service: echo
    rules:
      - name: canary
        to: [{ labels: { version: v1 }, weight: 90 }, { labels: { version: v2 }, weight: 10 }]
`;

describe('changing a mesh from the command line', () => {
  const cleanup = new Cleanup();
  let stateDir: string;
  let running: RunningControl;
  let plane: RunningProxy;
  let file: string;
  before(async () => {
    stateDir = await temporaryDirectory(cleanup);
    file = join(await temporaryDirectory(cleanup), 'heddle.yaml');
    running = await control(cleanup, { stateDir, mesh: meshOf(SMALL_MESH) });
    plane = await machine(cleanup, running, { node: 'n1' });
    await waitFor('the data plane to be connected', async () => (await connectedProxies(running)).length > 0);
  });
  after(() => cleanup.run());

  /** Of the canary rule, as the data plane has applied them. */
  async function weights(): Promise<number[]> {
    const dump = await (await adminCall(plane, 'GET', '/config_dump')).text();
    const [, clusters = ''] = /"name":"canary".*?"clusters":(\[.*?\])/s.exec(JSON.stringify(JSON.parse(dump))) ?? [];
    return (JSON.parse(clusters) as { weight: number }[]).map(({ weight }) => weight);
  }
  const heddle = (...args: string[]): Promise<CommandOutcome> => runHere(...args, '--state-dir', stateDir);
  const write = (text: string): void => writeFileSync(file, text);

  test('diff tells nothing, a change and a fault apart by its exit code, and changes nothing', async () => {
    write(SMALL_MESH);
    assert.deepEqual(await heddle('diff', '-f', file), { code: 0, out: `the mesh is as ${file} says\n`, err: '' });
    write(SMALL_MESH.replace('port: 81,', 'port: 82, timeout: 2s,').concat(RULES));
    const { code, out } = await heddle('diff', '-f', file);
    assert.equal(code, 1);
    assert.match(out, /^~ service web\n {4}port: 81 → 82\n {4}timeout: 15s → 2s$/m);
    assert.match(out, /^\+ rule echo canary: every request → echo\{version=v1\} 90, echo\{version=v2\} 10$/m);
    const json = JSON.parse((await heddle('diff', '-f', file, '-o', 'json')).out) as { changes: { rule?: string }[] };
    assert.equal(json.changes.length, 2);
    write('mesh: test\nservices:\n  web: { port: 99999 }\n');
    const wrong = await heddle('diff', '-f', file);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /heddle\.yaml:3:16: error: services\.web\.port: /);
    assert.equal((await heddle('diff', '-f', `${file}.gone`)).code, 2);
  });

  test('apply shows what it changes, waits until the data planes have it, and split shifts traffic on top of it', async () => {
    write(SMALL_MESH.concat(RULES));
    const applied = await heddle('apply', '-f', file);
    assert.equal(applied.code, 0, applied.err);
    assert.match(applied.out, /^\+ rule echo canary.*^applied; 1 data plane has it$/ms);
    assert.match((await heddle('split', 'echo')).out, /canary +v1 +90 +90 % +the same\n +v2 +10 +10 % +the same/);
    const shifted = await heddle('split', 'echo', 'v1=1', 'v2=3');
    assert.deepEqual([shifted.code, shifted.out], [0, 'echo, rule canary: v1 90 % → 25 %, v2 10 % → 75 %; 1 data plane has it\n']);
    assert.match((await heddle('split', 'echo')).out, /v2 +3 +75 % +10/);
    // What `heddle split` waited for is what the data plane goes by.
    assert.deepEqual(await weights(), [1, 3]);
    const undone = await heddle('apply', '-f', file, '-o', 'json');
    const { changes, sync } = JSON.parse(undone.out) as {
      changes: { rule: string; fields: { before: number; after: number }[] }[];
      sync: object;
    };
    assert.deepEqual(
      changes.map(({ rule, fields }) => [rule, fields.map(({ before: was, after: is }) => [was, is])]),
      [
        [
          'canary',
          [
            [1, 90],
            [3, 10],
          ],
        ],
      ],
    );
    assert.deepEqual(sync, { outcome: 'complete', dataPlanes: 1, acknowledged: 1, gone: 0, stragglers: [] });
    assert.deepEqual(await weights(), [90, 10]);
  });

  test('config view has the file that holds, check says that it is not the own one, and names that are none have near ones', async () => {
    await heddle('split', 'echo', 'v1=1', 'v2=1');
    const { code, out, err } = await heddle('config', 'view');
    assert.deepEqual([code, out], [0, SMALL_MESH.concat(RULES)]);
    assert.match(err, /^# applied by operator token at 20.*; with other weights than it says: canary of default\/echo/);
    const checked = JSON.parse((await heddle('check', '-o', 'json')).out) as {
      findings: { check: string; result: string; detail: string }[];
    };
    const found = checked.findings.find(({ check }) => check === 'configuration');
    assert.equal(found?.result, 'notice');
    assert.match(found.detail, /was applied since the start, 1 split was changed.*1 thing holds otherwise/);
    assert.match((await heddle('describe', 'service', 'ecko')).err, /there is no service ecko\n {2}mend: did you mean echo\?/);
    assert.match((await heddle('get', 'instances', '--service', 'wep')).err, /did you mean web\?/);
    assert.match((await heddle('describe', 'service', 'echo')).out, /the split of canary was changed since the mesh file was read/);
  });

  test('split says what there is when something else is asked for', async () => {
    const gone = await heddle('split', 'echo', 'canry', 'v1=1', 'v2=1');
    assert.deepEqual([gone.code, /did you mean canary\?/.test(gone.err)], [1, true]);
    const other = await heddle('split', 'echo', 'v1=1', 'v3=1');
    assert.deepEqual([other.code, /rule canary does not lead to v3\n {2}mend: there are v1, v2/.test(other.err)], [2, true]);
    assert.match((await heddle('split', 'echo', 'v1=1')).err, /no weight is given for echo\{version=v2\}/);
    assert.match((await heddle('split', 'web')).err, /no rule of default\/web splits traffic/);
    assert.equal((await heddle('split', 'echo', 'v1')).code, 1);
  });
});
