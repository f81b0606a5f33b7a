// `heddle ca`, `heddle identity list|deny|allow` and `heddle token list|revoke` against a real control plane, and the options that say what signs.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import { parseMeshFile } from '@heddle/core/config';
import { createLogger, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { CliError } from '../errors.ts';
import { runCommandLine } from '../program.ts';
import { type CaOptions, caSource } from './ca-options.ts';
import { spiffeIdOf } from './identity-deny.ts';

const directory = mkdtempSync(join(tmpdir(), 'heddle-ca-cli-'));
const stateDir = join(directory, '.heddle');
let control: RunningControl;

before(async () => {
  mkdirSync(stateDir, { mode: 0o700 });
  const { mesh } = parseMeshFile('mesh: shop\nservices: { orders: { port: 8081 } }', { path: 'heddle.yaml' });
  control = await startControl({
    ...{ mesh: mesh!, stateDir, listen: { address: '127.0.0.1', port: 0 }, logger: createLogger({ level: 'silent' }) },
    ...{ clock: nodeClock, random: nodeRandom },
  });
});
after(async () => {
  await control.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** In this process: what the command writes is text, what the test runner writes is not. */
async function run(...args: readonly string[]): Promise<Ran> {
  const wrote = { stdout: '', stderr: '' };
  const streams = [process.stdout, process.stderr].map((stream, index) => ({
    stream,
    write: stream.write.bind(stream),
    name: index === 0 ? ('stdout' as const) : ('stderr' as const),
  }));
  for (const { stream, write, name } of streams)
    stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
      if (typeof chunk !== 'string') return write(chunk, ...rest);
      wrote[name] += chunk;
      return true;
    }) as typeof stream.write;
  try {
    const code = await runCommandLine([...args, '--state-dir', stateDir]);
    return { code, ...wrote };
  } finally {
    for (const { stream, write } of streams) stream.write = write;
  }
}

describe('what an operator asks of the authority', () => {
  it('lists tokens without their secrets, and revokes one', async () => {
    const { stdout: token } = await run('token', 'create', '--service', 'orders');
    const listed = await run('token', 'list', '-o', 'json');
    const [{ id, service, state }] = JSON.parse(listed.stdout) as [{ id: string; service: string; state: string }];
    assert.deepEqual([service, state], ['orders', 'good']);
    assert.ok(!listed.stdout.includes(token.trim().split('.')[2]!));
    assert.match((await run('token', 'revoke', id)).stdout, /for default\/orders cannot be used any more/);
    assert.equal((await run('token', 'list')).stdout, 'none\n');
    const again = await run('token', 'revoke', id);
    assert.deepEqual([again.code, /it is revoked/.test(again.stderr)], [1, true]);
    assert.match((await run('token', 'list', '--all')).stdout, /default\/orders +revoked/);
  });

  it('says where the tokens of the other kind are, to people', async () => {
    assert.equal((await run('token', 'list')).stderr, '');
    await run('token', 'create', '--service', 'orders');
    await run('token', 'create', '--admin', 'ann');
    assert.equal((await run('token', 'list')).stderr, '1 token of administrators: heddle token list --admin\n');
    assert.equal((await run('token', 'list', '--admin')).stderr, '1 join token of workloads: heddle token list\n');
    assert.equal((await run('token', 'list', '--admin', '--all')).stderr, '2 join tokens of workloads: heddle token list\n');
    for (const more of [[], ['--admin']]) assert.equal((await run('token', 'list', '-o', 'json', ...more)).stderr, '');
  });

  it('denies an identity and allows it again', async () => {
    assert.match((await run('identity', 'deny', 'shop/web', '--reason', 'lost')).stdout, /^spiffe:\/\/shop\/ns\/shop\/svc\/web is denied/);
    assert.match((await run('identity', 'list', '--denied')).stdout, /spiffe:\/\/shop\/ns\/shop\/svc\/web .* operator +lost/);
    assert.match((await run('identity', 'allow', 'spiffe://shop/ns/shop/svc/web')).stdout, /may have certificates again/);
    assert.equal((await run('identity', 'list', '--denied')).stdout, 'none\n');
    assert.match((await run('identity', 'list')).stdout, /spiffe:\/\/shop\/ns\/heddle-system\/svc\/control .* control /);
    assert.equal((await run('get', 'identities', '-o', 'json')).stdout, (await run('identity', 'list', '-o', 'json')).stdout);
  });

  it('replaces the root, and says what stands in the way', async () => {
    const first = await run('ca', 'rotate', 'status', '-o', 'json');
    const before = JSON.parse(first.stdout) as { root: { pin: string }; phase: string };
    assert.equal(before.phase, 'none');
    const early = await run('ca', 'rotate', 'finish');
    assert.equal(early.code, 1);
    assert.match(early.stderr, /no rotation is under way/);
    const all = await run('ca', 'rotate', '--auto');
    assert.deepEqual([all.code, /the new root is being told to everybody/.test(all.stderr)], [0, true], all.stderr);
    assert.match(all.stdout, /rotation +no replacement of the root is under way/);
    const after = JSON.parse((await run('ca', 'rotate', '-o', 'json')).stdout) as typeof before;
    assert.notEqual(after.root.pin, before.root.pin);
  });
});

describe('what signs', () => {
  const base: CaOptions = { caKeyType: 'p256', caCommandTimeout: 10_000 };
  const wrong = (change: Partial<CaOptions>, message: RegExp): Promise<void> =>
    assert.rejects(
      caSource({ ...base, ...change }, {}),
      (error: unknown) => error instanceof CliError && error.exitCode === 2 && message.test(error.message),
    );

  it('is a root of its own unless something else is said', async () => {
    assert.deepEqual(await caSource(base, {}), { kind: 'own', keyType: 'p256' });
    const file = join(directory, 'passphrase');
    writeFileSync(file, 'twelve or more\nnot this\n');
    const { passphrase } = (await caSource({ ...base, caPassphraseFile: file }, {})) as { passphrase: string };
    assert.equal(passphrase, 'twelve or more');
    assert.deepEqual(await caSource(base, { HEDDLE_CA_PASSPHRASE: 'of the environment' }), {
      ...{ kind: 'own', keyType: 'p256', passphrase: 'of the environment' },
    });
  });

  it('is refused where options do not go together, or a passphrase is none', async () => {
    await wrong({ caCert: 'a.pem' }, /needs its certificate, its key and the roots/);
    await wrong({ caCommand: 'sign' }, /needs the roots/);
    await wrong({ caCommand: 'sign', caRoots: 'a.pem', caKey: 'b.pem' }, /signed elsewhere/);
    writeFileSync(join(directory, 'short'), 'short\n');
    for (const [caPassphraseFile, message] of [
      [join(directory, 'short'), /short holds a passphrase of 5 characters$/],
      [join(directory, 'absent'), /absent, which should hold the passphrase .* is not there/],
    ] as const)
      await assert.rejects(
        caSource({ ...base, caPassphraseFile }, {}),
        (error: unknown) => error instanceof CliError && message.test(error.message),
      );
  });

  it('names identities as services or whole', () => {
    assert.equal(spiffeIdOf('orders', 'shop'), 'spiffe://shop/ns/default/svc/orders');
    assert.equal(spiffeIdOf('a/b', 'shop'), 'spiffe://shop/ns/a/svc/b');
    assert.throws(() => spiffeIdOf('a/b/c', 'shop'), CliError);
  });
});
