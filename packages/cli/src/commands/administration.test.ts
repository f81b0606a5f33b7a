// Tokens, the audit log and policies on the command line, against a control plane in this process.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import { parseMeshFile } from '@heddle/core/config';
import { createLogger, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { runHere, type CommandOutcome } from '../testing/in-process.ts';

const MESH = `
mesh: test
services:
  orders: { port: 80 }
  web: { port: 81 }
security:
  access:
    default: deny
    rules:
      - { name: readers, from: [web], to: orders, methods: [GET], paths: ["/orders/**"] }
      - { name: never, effect: deny, from: [{ network: 10.0.0.0/8 }], to: "*" }
`;

describe('administration on the command line', () => {
  let stateDir: string;
  let control: RunningControl;
  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'heddle-administration-'));
    const { mesh, problems } = parseMeshFile(MESH, { path: 'heddle.yaml', directory: '/' });
    assert.ok(mesh !== undefined, JSON.stringify(problems));
    const logger = createLogger({ level: 'silent' });
    control = await startControl({
      mesh,
      stateDir,
      listen: { address: '127.0.0.1', port: 0 },
      logger,
      clock: nodeClock,
      random: nodeRandom,
    });
  });
  after(async () => {
    await control.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  const heddle = (...args: string[]): Promise<CommandOutcome> => runHere(...args, '--state-dir', stateDir);
  const data = async (...args: string[]): Promise<unknown> => {
    const { out, err } = await heddle(...args, '-o', 'json');
    assert.equal(err, '');
    return JSON.parse(out) as unknown;
  };
  const rows = async (...args: string[]): Promise<Record<string, unknown>[]> => (await data(...args)) as Record<string, unknown>[];

  test('makes, lists and revokes tokens of administrators, with which the commands can be used', async () => {
    const made = await heddle('token', 'create', '--admin', 'ann', '--ttl', '300d');
    assert.equal(made.code, 0, made.err);
    assert.match(made.err, /for ann with the role viewer/);
    assert.deepEqual(
      (await rows('token', 'list', '--admin')).map(({ name, role, by }) => [name, role, by]),
      [['ann', 'viewer', 'operator token']],
    );
    process.env['HEDDLE_TOKEN'] = made.out.trim();
    try {
      assert.equal((await heddle('get', 'services')).code, 0);
      const refused = await heddle('token', 'create', '--service', 'orders');
      assert.equal(refused.code, 1);
      assert.match(refused.err, /admin token ann may not call .*only the operator may/);
    } finally {
      delete process.env['HEDDLE_TOKEN'];
    }
    assert.deepEqual(await data('token', 'revoke', '--admin', 'ann'), { name: 'ann', state: 'revoked' });
    assert.match((await heddle('token', 'revoke', '--admin', 'ann')).err, /there is no administrator token "ann"/);
    assert.deepEqual(await rows('token', 'list', '--admin'), []);
  });

  test('a token is for a service or for an administrator, and lives as long as such a one may', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /either --service or --admin/],
      [['--service', 'orders', '--admin', 'ann'], /either --service or --admin/],
      [['--service', 'orders', '--role', 'viewer'], /workloads have no role/],
      [['--service', 'orders', '--ttl', '8d'], /7 days at most/],
      [['--admin', 'ann', '--ttl', '367d'], /from 1s to 366d/],
      [['--admin', 'ann', '--role', 'root'], /--role/],
    ];
    for (const [args, words] of wrong) {
      const { code, err } = await heddle('token', 'create', ...args);
      assert.deepEqual([code, words.test(err)], [2, true], err);
    }
  });

  test('shows who has changed what, and who was refused', async () => {
    const done = await rows('get', 'audit', '--outcome', 'done', '--since', '1h');
    assert.deepEqual(
      done.map(({ who, action, subject }) => [who, action, subject]),
      [
        ['mesh file', 'declare-mesh', 'test'],
        ['operator token', 'create-admin-token', 'ann'],
        ['operator token', 'revoke-admin-token', 'ann'],
      ],
    );
    assert.equal((done[1]?.['after'] as { role?: string } | undefined)?.role, 'viewer');
    const table = await heddle('get', 'audit', '--who', 'ann', '--limit', '5');
    assert.match(table.out, /admin token ann \(viewer\).*call refused.*CreateToken.*only the operator may/);
    assert.equal((await heddle('get', 'services', '--who', 'ann')).code, 2);
  });

  test('shows the rules that hold, of the mesh and of one service', async () => {
    const { out } = await heddle('get', 'policies');
    assert.match(out, /readers +allow +web +orders +GET \/orders\/\*\* *\n/);
    assert.match(out, /never +deny +from 10\.0\.0\.0\/8 +\* +\*/);
    assert.match(out, /where no rule fits: deny\nmutual TLS: strict, TLS 1\.3 or newer\n/);
    const { out: one } = await heddle('describe', 'service', 'web');
    assert.match(one, /^service +default\/web\nport +81, http\n/);
    assert.match(one, /who may call it\n.*\n +never +deny/);
    assert.doesNotMatch(one, /readers/);
    const described = JSON.parse((await heddle('describe', 'service', 'orders', '-o', 'json')).out) as {
      policies: { rules: { name: string }[] };
    };
    assert.deepEqual(
      described.policies.rules.map(({ name }) => name),
      ['readers', 'never'],
    );
    assert.equal((await heddle('describe', 'service', 'gone')).code, 1);
  });

  test('tells programs what became of a join token and of an identity', async () => {
    const made = await heddle('token', 'create', '--service', 'orders');
    assert.equal(made.code, 0, made.err);
    const [token] = await rows('token', 'list');
    assert.equal(token?.['state'], 'good');
    assert.deepEqual(await data('token', 'revoke', String(token?.['id'])), { ...token, state: 'revoked' });
    const identity = 'spiffe://test/ns/default/svc/orders';
    const deny = (): Promise<unknown> => data('identity', 'deny', 'orders', '--reason', 'lost');
    assert.deepEqual(await deny(), { identity, denied: true, wasDenied: false });
    assert.deepEqual(await deny(), { identity, denied: true, wasDenied: true });
    assert.deepEqual(await data('identity', 'allow', 'orders'), { identity, denied: false, wasDenied: true });
    assert.equal((await heddle('identity', 'allow', 'orders')).out, `${identity} was not denied\n`);
  });
});
