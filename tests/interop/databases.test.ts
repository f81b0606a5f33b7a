// Redis and PostgreSQL with their own clients, and mail, where the server speaks first: services of protocol tcp, by a local port and by
// CONNECT (with socat).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Cleanup } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { mailServer, postgresProgram, postgresServer, redisServer, skipWithoutPostgres, tunnel } from './support/databases.ts';
import { type Pair, type Served, skipDirect, startPair } from './support/pair.ts';
import { type Running, run, skipWithout, start } from './support/programs.ts';

const cleanup = new Cleanup();
const skipRedis = skipWithout('redis-server', 'redis-cli');
const skipMail = skipWithout('python3');
const skipTunnel = skipWithout('socat') || skipDirect;
const VALUE = Buffer.alloc(1_000_000, 'a value ');
let pair: Pair;

before(async () => {
  const services: Record<string, Served> = {};
  if (skipRedis === false) services['redis'] = { protocol: 'tcp', ports: [await redisServer(cleanup)] };
  if (skipWithoutPostgres === false) services['postgres'] = { protocol: 'tcp', ports: [await postgresServer(cleanup)] };
  if (skipMail === false) services['mail'] = { protocol: 'tcp', ports: [await mailServer(cleanup)] };
  if (Object.keys(services).length > 0) pair = await startPair(cleanup, services);
});
after(() => cleanup.run());

async function redis(port: number, input: Buffer | undefined, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run('redis-cli', ['-p', String(port), ...args], { input });
  assert.equal(code, 0, stderr);
  return stdout.toString().trimEnd();
}

async function psql(port: number, input: string, ...args: readonly string[]): Promise<string> {
  const options = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-v', 'ON_ERROR_STOP=1', '-qAt', ...args];
  const { code, stdout, stderr } = await run(postgresProgram('psql'), options, { input: Buffer.from(input) });
  assert.equal(code, 0, stderr);
  return stdout.toString().trimEnd();
}

for (const { way, skipWay, portOf } of [
  { way: 'a local port', skipWay: false, portOf: async (service: string) => pair.port(service) },
  { way: 'a tunnel', skipWay: skipTunnel, portOf: (service: string) => tunnel(cleanup, pair, service) },
] as const) {
  const key = way.replaceAll(' ', '-');

  describe(`Redis by ${way}`, { skip: skipRedis || skipWay }, () => {
    let port: number;
    before(async () => void (port = await portOf('redis')));

    test('values of 1 MB go and come', async () => {
      assert.equal(await redis(port, undefined, 'PING'), 'PONG');
      assert.equal(await redis(port, VALUE, '-x', 'SET', key), 'OK');
      assert.equal(await redis(port, undefined, 'GET', key), VALUE.toString().trimEnd());
    });

    test('ten thousand commands in one go', async () => {
      const commands = Array.from({ length: 10_000 }, (_, index) => `SET ${key}-${index} ${index}\r\n`).join('');
      assert.match(await redis(port, Buffer.from(commands), '--pipe'), /errors: 0, replies: 10000/);
      assert.equal(await redis(port, undefined, 'GET', `${key}-9999`), '9999');
    });

    test('a subscriber hears what others publish', async () => {
      const { output } = start(cleanup, 'redis-cli', ['-p', String(port), 'SUBSCRIBE', key]);
      await waitFor('a subscriber', async () => (await redis(port, undefined, 'PUBLISH', key, 'first')) === '1');
      await waitFor('the message', () => output().includes('first'));
    });
  });

  describe(`PostgreSQL by ${way}`, { skip: skipWithoutPostgres || skipWay }, () => {
    const table = key.replaceAll('-', '_');
    let port: number;
    before(async () => void (port = await portOf('postgres')));

    test('a table is filled from a pipe and read back whole', async () => {
      const rows = Array.from({ length: 20_000 }, (_, index) => `${index}\t${'Zeile äöü '.repeat(5)}${index}`).join('\n');
      const copied = await psql(
        port,
        `create table ${table} (id int primary key, text text);\ncopy ${table} from stdin;\n${rows}\n\\.\nselect count(*) from ${table};\n`,
      );
      assert.equal(copied, '20000');
      const back = await psql(port, `copy (select * from ${table} order by id) to stdout;\n`);
      assert.equal(createHash('sha256').update(back).digest('hex'), createHash('sha256').update(rows).digest('hex'));
    });

    test('an error is told, and the session goes on', async () => {
      const said = await psql(port, 'select 1/0;\nselect 42;\n', '-v', 'ON_ERROR_STOP=0');
      assert.equal(said, '42');
    });

    test('a query is cancelled over a second connection', async () => {
      const args = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-c', `select pg_sleep(60) /* ${table} */`];
      const running: Running = start(cleanup, postgresProgram('psql'), args);
      const active = `select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(60) /* ${table} */%' and pid <> pg_backend_pid();\n`;
      await waitFor('the query to run', async () => (await psql(port, active)) === '1');
      running.child.kill('SIGINT');
      await running.until(/canceling statement due to user request/);
    });

    test('four clients with fifty transactions each', async () => {
      const connection = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres'];
      const { code, stdout, stderr } = await run(
        postgresProgram('pgbench'),
        [...connection, '--no-vacuum', '-M', 'extended', '-c', '4', '-t', '50', '-f', '-', 'postgres'],
        { input: Buffer.from(`select :client_id, text from ${table} where id = :client_id;\n`) },
      );
      assert.equal(code, 0, stderr);
      assert.match(stdout.toString(), /number of transactions actually processed: 200\/200/);
    });
  });

  test(`mail by ${way}: the server speaks first`, { skip: skipMail || skipWay }, async () => {
    const port = await portOf('mail');
    const { code, stdout, stderr } = await run('python3', [join(import.meta.dirname, 'python/mail_client.py'), String(port)]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString().trim(), '250 whole');
  });
}
