import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../http1/errors.ts';
import { Http2ProtocolError } from './errors.ts';
import { Http2RequestHead, type Http2Fields } from './head.ts';
import { POST, headers } from './testing/frames.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { ConnectionPair } from './testing/pair.ts';
import { serverBench } from './testing/record.ts';

/** A server's view of requests whose heads it keeps. */
function keeper(): { heads: Http2RequestHead[]; next(path: string): Http2RequestHead; trailers: Http2Fields[] } {
  const heads: Http2RequestHead[] = [];
  const trailers: Http2Fields[] = [];
  const bench = serverBench();
  let id = 1;
  bench.recorder.onTrailers = (_stream, section) => void trailers.push(section as unknown as Http2Fields);
  Object.assign(bench.recorder, { onHeaders: (_stream: unknown, head: Http2RequestHead) => void heads.push(head.keep()) });
  return {
    heads,
    trailers,
    next: (path) => {
      bench.push(headers(id, [...POST.filter(([name]) => name !== ':path'), [':path', path], ['x-n', path]]));
      id += 2;
      return heads.at(-1)!;
    },
  };
}

test('a head that was given back is the next one', () => {
  const [one, other] = [keeper(), keeper()];
  const first = one.next('/1');
  assert.notEqual(one.next('/2'), first);
  assert.deepEqual([first.path, first.get('x-n')], ['/1', '/1']);
  first.release();
  // Also on another connection.
  const third = other.next('/3');
  assert.equal(third, first);
  assert.deepEqual([third.path, third.get('x-n'), third.count], ['/3', '/3', one.heads[1]!.count]);
});

test('giving back twice, or what was not kept, or an own head, has no effect', () => {
  const { next } = keeper();
  const first = next('/1');
  first.release();
  first.release();
  const [second, third] = [next('/2'), next('/3')];
  assert.notEqual(second, third);
  const own = new Http2RequestHead().add('x-own', '1');
  own.release();
  own.keep().release();
  assert.notEqual(next('/4'), own);
  assert.equal(own.get('x-own'), '1');
});

test('a head may be given back while it is shown', () => {
  const seen: string[] = [];
  const bench = serverBench();
  const shown = new Set<Http2RequestHead>();
  Object.assign(bench.recorder, {
    onHeaders: (_stream: unknown, head: Http2RequestHead) => {
      head.keep();
      head.release();
      shown.add(head);
      seen.push(head.path);
    },
  });
  for (let id = 1; id < 20; id += 2) bench.push(headers(id, [...POST.filter(([name]) => name !== ':path'), [':path', `/${id}`]]));
  assert.equal(seen.length, 10);
  assert.equal(shown.size, 1);
});

test('kept heads stay as they were, whatever is received and given back on all connections', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('request' as const), which: fc.nat(2), keep: fc.boolean() }),
    fc.record({ do: fc.constant('release' as const), which: fc.nat(100) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const kept: { head: Http2RequestHead; path: string }[] = [];
      let keep = false;
      let path = '';
      const ignore = (): void => {};
      const shared = {
        onData: ignore,
        onTrailers: ignore,
        onReset: ignore,
        onWindow: ignore,
        onRefused: ignore,
        onSettings: ignore,
        onGoaway: ignore,
        onPingAck: ignore,
        onLoadQuestion: ignore,
        onLoadAnswer: ignore,
        onInterim: ignore,
        onError: (error: Error) => assert.fail(error),
      };
      const pairs = Array.from({ length: 3 }, () => {
        const pair: ConnectionPair = new ConnectionPair(
          { ...shared, onHeaders: ignore },
          {
            ...shared,
            onHeaders: (stream, head) => {
              if (keep) kept.push({ head: head.keep(), path });
              pair.server.respond(stream, ownResponse(200), true);
            },
          },
        );
        pair.settle();
        return pair;
      });
      for (const [at, taken] of steps.entries()) {
        if (taken.do === 'request') {
          ({ keep } = taken);
          path = `/${at}`;
          pairs[taken.which]!.client.request(ownRequest('GET', path, [['x-at', String(at)]]), true);
          pairs[taken.which]!.settle();
        } else if (kept.length > 0) kept.splice(taken.which % kept.length, 1)[0]!.head.release();
        assert.equal(new Set(kept.map(({ head }) => head)).size, kept.length);
        for (const { head, path } of kept) assert.deepEqual([head.path, ...head], [path, ['x-at', path.slice(1)]]);
      }
      for (const { head } of kept) head.release();
    }),
    { numRuns: 100 },
  );
});

test('the errors of both versions have one root', () => {
  const error = new Http2ProtocolError('BAD_PREFACE');
  assert.ok(error instanceof WireError);
  assert.equal(error.code, 'BAD_PREFACE');
  assert.equal(error.name, 'Http2ProtocolError');
});
