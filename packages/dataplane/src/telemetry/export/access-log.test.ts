// Lines of the access log: what is in them, that peers cannot forge them, and that they find their way to files that come and go.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type AccessLogPolicy, DEFAULT_LIMITS } from '@heddle/core';
import type { LineOutput } from '@heddle/runtime';
import { createLogger, createMetrics, nodeClock, openLines } from '@heddle/runtime/node';
import { HeaderField, Http2RequestHead } from '@heddle/wire';
import fc from 'fast-check';
import type { EndedRequest } from '../../stack/ended-request.ts';
import { RefusedRequest } from '../../stack/ended-request.ts';
import { until } from '../../testing/raw-http.ts';
import { AccessLog } from './access-log.ts';
import { LineWriter } from './line-writer.ts';

const TIME = '2026-01-02T03:04:05.678Z';

function request(path: string, headers: Readonly<Record<string, string>> = {}, more: Partial<EndedRequest> = {}): EndedRequest {
  const head = new Http2RequestHead();
  head.method = 'GET';
  head.authority = 'orders.mesh.internal';
  // As it came: no check of ours stands before the log.
  head.path = path;
  for (const [name, value] of Object.entries(headers)) head.list.add(new HeaderField(name, value, false));
  const refused = new RefusedRequest(
    {
      labels: { direction: 'inbound', source: 'default/web', destination: 'default/orders' },
      route: 'default',
      peer: { sourceIdentity: 'spiffe://shop/ns/default/svc/web', peerAddress: '127.0.0.1' },
      status: 200,
      grpcStatus: undefined,
      error: '',
      span: undefined,
      traceId: '0af7651916cd43dd8448eb211c80319c',
    },
    head,
  );
  return Object.assign(Object.create(refused) as EndedRequest, more);
}

/** The lines of these requests, as a log with this policy writes them. */
function linesOf(policy: AccessLogPolicy, requests: readonly EndedRequest[]): string[] {
  const lines: string[] = [];
  const output: LineOutput = {
    write(bytes, done) {
      lines.push(bytes.toString());
      done(undefined);
    },
    close() {},
  };
  const deps = { clock: nodeClock, metrics: createMetrics(), logger: createLogger({ level: 'silent' }), limits: DEFAULT_LIMITS };
  const writer = new LineWriter('x', output, deps);
  const clock = { ...nodeClock, wallMs: () => Date.parse(TIME) };
  const log = new AccessLog(policy, writer, 'node-1', { clock, random: { next: () => 0, bytes: () => new Uint8Array() } });
  for (const one of requests) log.ended(one);
  void writer.end(5_000);
  return lines.join('').split(/(?<=\n)/);
}

const POLICY: AccessLogPolicy = { format: 'json', to: 'x.log', samplePercent: 100, restPercent: 0, headers: [] };

describe('a line', () => {
  test('says who asked what of whom, and how it ended', () => {
    const policy = { ...POLICY, headers: ['x-request-id', 'x-other'] };
    const [line = ''] = linesOf(policy, [request('/items?key=secret', { 'x-request-id': 'r1' })]);
    assert.deepEqual(JSON.parse(line), {
      ...{ time: TIME, node: 'node-1', direction: 'inbound', source: 'default/web', destination: 'default/orders', route: 'default' },
      ...{ protocol: 'http2', method: 'GET', authority: 'orders.mesh.internal', path: '/items', status: 200 },
      ...{ durationMs: 0, requestBytes: 0, responseBytes: 0, tries: 0, peer: 'spiffe://shop/ns/default/svc/web', address: '127.0.0.1' },
      ...{ traceId: '0af7651916cd43dd8448eb211c80319c', headers: { 'x-request-id': 'r1' } },
    });
    assert.deepEqual(linesOf({ ...POLICY, format: 'text' }, [request('/a b', {}, { status: 0, error: 'CLIENT_GONE', durationMs: 1.75 })]), [
      `2026-01-02T03:04:05.676Z inbound default/web -> default/orders GET orders.mesh.internal /a\\x20b - 1.75ms 0B/0B error=CLIENT_GONE protocol=http2 route=default tries=0 peer=spiffe://shop/ns/default/svc/web address=127.0.0.1 trace=0af7651916cd43dd8448eb211c80319c\n`,
    ]);
  });

  test('is one line without control characters, whatever a peer sends', () => {
    const any = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(any, any, fc.constantFrom('json', 'text'), (path, value, format) => {
        const [line = '', ...others] = linesOf({ ...POLICY, format, headers: ['x-a'] }, [request(`/${path}`, { 'x-a': value })]);
        assert.ok(line.endsWith('\n') && others.length === 0);
        assert.doesNotMatch(line.slice(0, -1), /[\0-\x1f\x7f-\x9f\u2028\u2029]/);
        if (format === 'json') assert.equal((JSON.parse(line) as { headers: Record<string, string> }).headers['x-a'], value);
        else assert.equal(line.split(' ').filter((word) => word.startsWith('trace=')).length, 1);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a log', () => {
  const add = (writer: LineWriter, line: string): void =>
    writer.add(request('/'), { time: TIME, headers: undefined }, () => writer.put(line));
  const metrics = createMetrics();
  const logger = createLogger({ level: 'silent' });
  const deps = { clock: nodeClock, metrics, logger, limits: DEFAULT_LIMITS };
  let directory = '';
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'heddle-log-'))));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('goes on in a new file when the old one was renamed', async () => {
    const file = join(directory, 'access.log');
    const writer = new LineWriter(file, openLines(file), deps);
    const has = async (path: string, text: string): Promise<boolean> => (await readFile(path, 'utf8').catch(() => '')).includes(text);
    add(writer, 'one\n');
    let isThere = false;
    const look = async (path: string, text: string): Promise<void> => {
      isThere = false;
      const poll = (): void => void has(path, text).then((there) => (there ? (isThere = true) : setTimeout(poll, 5)));
      poll();
      await until(() => isThere, `${text} in ${path}`);
    };
    await look(file, 'one');
    await rename(file, `${file}.1`);
    add(writer, 'two\n');
    await look(file, 'two');
    assert.equal(await readFile(`${file}.1`, 'utf8'), 'one\n');
    add(writer, 'three\n');
    await writer.end(5_000);
    assert.equal(await readFile(file, 'utf8'), 'two\nthree\n');
  });

  test('does not follow a link, and counts what it cannot write', async () => {
    const [target, link] = [join(directory, 'target'), join(directory, 'link.log')];
    await writeFile(target, '');
    await symlink(target, link);
    const writer = new LineWriter(link, openLines(link), deps);
    add(writer, 'one\n');
    await writer.end(5_000);
    assert.equal(await readFile(target, 'utf8'), '');
    assert.match(metrics.expose(), /heddle_access_log_dropped_total\{reason="failed"\} 1/);
  });

  test('writes every line once and in order, however they fall on its pieces', () => {
    const requests = Array.from({ length: 1_000 }, (_, number) => request(`/${number}`));
    const lines = linesOf(POLICY, requests);
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { path: string }).path),
      requests.map(({ head }) => head.path),
    );
  });

  test('holds no more than its limit while nobody takes its lines', () => {
    const stuck: LineOutput = { write() {}, close() {} };
    const own = createMetrics();
    const writer = new LineWriter('x', stuck, { ...deps, metrics: own, limits: { ...DEFAULT_LIMITS, accessLogQueueBytesMax: 40_000 } });
    const log = new AccessLog(POLICY, writer, 'n', { clock: nodeClock, random: { next: () => 0, bytes: () => new Uint8Array() } });
    for (let count = 0; count < 1_000; count++) log.ended(request('/'));
    assert.match(own.expose(), /heddle_access_log_dropped_total\{reason="full"\} [1-9]\d\d/);
    writer.close();
  });
});
