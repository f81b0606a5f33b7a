// One connection to the admin API, as its client may use or misuse it. The connection is the network's port; time is the test's.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock, Connection } from '@heddle/runtime';
import { AdminConnection, type AdminRequest, BODY_BYTES_MAX, type Reply } from './connection.ts';

/** A client's view of one connection, with a service that answers when the test says so. */
class Bench {
  written = '';
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  isFull = false;
  isGone = false;
  readonly asked: { readonly request: AdminRequest; readonly body: Buffer | undefined }[] = [];
  readonly answers: ((reply: Reply) => void)[] = [];
  private readonly timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  private nowMs = 0;
  readonly connection: AdminConnection;

  constructor() {
    const clock: Clock = {
      wallMs: () => 0,
      nowMs: () => this.nowMs,
      after: (delayMs, run) => {
        const timer = { atMs: this.nowMs + delayMs, run };
        this.timers.add(timer);
        return { cancel: () => void this.timers.delete(timer) };
      },
    };
    const network = {
      write: (bytes: Uint8Array) => {
        this.written += Buffer.from(bytes).toString('latin1');
        return !this.isFull;
      },
      pause: () => {
        this.isPaused = true;
      },
      resume: () => {
        this.isPaused = false;
      },
      end: () => {
        this.isEnded = true;
      },
      destroy: () => {
        this.isDestroyed = true;
      },
    } as unknown as Connection;
    const service = {
      refusal: ({ path }: AdminRequest) => (path === '/refused' ? { status: 401, body: 'no' } : undefined),
      answer: (request: AdminRequest, body: Buffer | undefined) => {
        this.asked.push({ request, body });
        return new Promise<Reply>((resolve) => this.answers.push(resolve));
      },
    };
    this.connection = new AdminConnection(network, service, clock, () => {
      this.isGone = true;
    });
  }

  send(text: string): void {
    this.connection.onBytes(Buffer.from(text, 'latin1'));
  }

  async answer(reply: Reply): Promise<void> {
    this.answers.shift()?.(reply);
    await Promise.resolve();
    await Promise.resolve();
  }

  pass(ms: number): void {
    this.nowMs += ms;
    for (const timer of this.timers) {
      if (timer.atMs > this.nowMs) continue;
      this.timers.delete(timer);
      timer.run();
    }
  }

  /** Status codes of what was written. */
  get statuses(): number[] {
    return [...this.written.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
  }

  get timersLeft(): number {
    return this.timers.size;
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

describe('a connection to the admin API', () => {
  it('answers requests that came together in order, each only when the one before has its answer', async () => {
    const bench = new Bench();
    bench.send(get('/a') + get('/refused') + get('/b').slice(0, 9));
    assert.equal(bench.asked.length, 1);
    assert.ok(bench.isPaused);
    bench.send(get('/b').slice(9));
    await bench.answer({ status: 200, body: 'A' });
    assert.deepEqual(bench.statuses, [200, 401]);
    assert.deepEqual(
      bench.asked.map(({ request }) => request.path),
      ['/a', '/b'],
    );
    await bench.answer({ status: 202, body: 'B' });
    assert.deepEqual(bench.statuses, [200, 401, 202]);
    assert.ok(!bench.isPaused && !bench.isEnded);
  });

  it('takes a body by length or in chunks, split anywhere, and asks a client that waits to send it', async () => {
    for (const text of [
      'PUT /w HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello',
      'PUT /w HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
    ]) {
      const bench = new Bench();
      for (const byte of text) bench.send(byte);
      assert.equal(bench.asked[0]?.body?.toString(), 'hello');
    }
    const bench = new Bench();
    bench.send('PUT /w HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n');
    assert.equal(bench.written, 'HTTP/1.1 100 Continue\r\n\r\n');
    bench.send('hello');
    assert.equal(bench.asked[0]?.body?.toString(), 'hello');
  });

  it('refuses at once, and ends, where the client holds a body back that nobody wants', () => {
    const bench = new Bench();
    bench.send('PUT /refused HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n');
    assert.deepEqual(bench.statuses, [401]);
    assert.match(bench.written, /connection: close/);
    assert.ok(bench.isEnded);
    bench.send(get('/a'));
    assert.equal(bench.asked.length, 0);
  });

  it('keeps nothing of a body that is too large or refused', () => {
    const bench = new Bench();
    const large = BODY_BYTES_MAX + 1;
    bench.send(`PUT /w HTTP/1.1\r\nhost: x\r\ncontent-length: ${large}\r\n\r\n${'x'.repeat(large)}`);
    assert.equal(bench.asked[0]?.body, undefined);
    const other = new Bench();
    other.send(`PUT /refused HTTP/1.1\r\nhost: x\r\ncontent-length: ${large}\r\n\r\n${'x'.repeat(large)}`);
    assert.deepEqual(other.statuses, [401]);
    assert.ok(!other.isEnded);
  });

  it('writes no further answer before the client has taken the last one', async () => {
    const bench = new Bench();
    bench.isFull = true;
    bench.send(get('/a') + get('/b'));
    await bench.answer({ status: 200, body: 'A' });
    assert.deepEqual([bench.asked.length, bench.isPaused], [1, true]);
    bench.isFull = false;
    bench.connection.onDrained();
    assert.equal(bench.asked.length, 2);
    await bench.answer({ status: 200, body: 'B' });
    assert.ok(!bench.isPaused);
  });

  it('closes after an answer where the client asked for that or has ended', async () => {
    const bench = new Bench();
    bench.send('GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await bench.answer({ status: 200, body: '' });
    assert.ok(bench.isEnded);
    const other = new Bench();
    other.send(get('/a'));
    other.connection.onEnd();
    await other.answer({ status: 200, body: '' });
    assert.match(other.written, /connection: close/);
    assert.ok(other.isEnded);
  });

  it('bounds how long a client may say nothing, send a request, take an answer, stay idle and linger', async () => {
    const silent = new Bench();
    silent.pass(5_000);
    assert.ok(silent.isDestroyed);

    const slow = new Bench();
    slow.send('PUT /w HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n');
    for (let i = 0; i < 9; i++) {
      slow.pass(1_000);
      slow.send('x');
    }
    assert.deepEqual(slow.statuses, []);
    slow.pass(1_000);
    assert.deepEqual([slow.statuses, slow.isEnded, slow.isDestroyed], [[408], true, false]);
    slow.pass(2_000);
    assert.ok(slow.isDestroyed);

    const deaf = new Bench();
    deaf.isFull = true;
    deaf.send(get('/a'));
    await deaf.answer({ status: 200, body: '' });
    deaf.pass(30_000);
    assert.ok(deaf.isDestroyed);

    const idle = new Bench();
    idle.send(get('/a'));
    idle.pass(600_000);
    assert.ok(!idle.isDestroyed, 'the service may take its time');
    await idle.answer({ status: 200, body: '' });
    idle.pass(59_999);
    assert.ok(!idle.isDestroyed);
    idle.pass(1);
    assert.ok(idle.isDestroyed);
  });

  it('leaves no timer behind, and drops an answer for which nobody waits any more', async () => {
    const bench = new Bench();
    bench.send(get('/a'));
    bench.connection.onClose();
    await bench.answer({ status: 200, body: '' });
    assert.deepEqual([bench.written, bench.timersLeft, bench.isGone], ['', 0, true]);
  });

  it('answers what is no HTTP with the reason, and ends', () => {
    const bench = new Bench();
    bench.send('\x16\x03\x01\x02\r\n\r\n');
    assert.deepEqual([bench.statuses, bench.isEnded], [[400], true]);
  });
});
