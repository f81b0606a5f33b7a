// What holds for every input: cutting changes nothing, what is encoded is what is parsed, what was parsed and passed on means the same, and
// no bytes whatever raise anything but the peer's error.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { body, contentOf, fragments, headers, request, token, type Body, type GeneratedRequest } from './arbitraries.test-support.ts';
import { CHUNK_END, chunkHeader, headerLines, lastChunk, renderRequest, renderResponse } from './encode.ts';
import { renderRequestHead, renderResponseHead, renderTrailers } from './render.ts';
import { RequestParser } from './request-parser.ts';
import { ResponseParser } from './response-parser.ts';
import { byteByByte, cut, latin1, runRequests, runResponses, type Recorded, type RequestRecord } from './test-support.ts';

const cuts = fc.array(fc.nat(400), { maxLength: 12 });
/** Small, so that generated messages pass them now and then. */
const limits = {
  requestLineBytesMax: 60,
  headBytesMax: 120,
  headersMax: 5,
  chunkExtensionBytesMax: 6,
  trailerBytesMax: 30,
  trailersMax: 1,
  emptyLinesMax: 1,
};

function encoded(generated: GeneratedRequest): Buffer {
  const { method, path, host, headers: list, body: content } = generated;
  const base = { method, target: path, host, headers: list };
  if (content.framing !== 'chunked') return renderRequest({ ...base, body: content.framing === 'length' ? content.data : undefined });
  return Buffer.concat([renderRequest({ ...base, chunked: true }), encodedChunks(content)]);
}

function encodedChunks(content: Body & { framing: 'chunked' }): Buffer {
  const chunks = content.chunks.flatMap((chunk) => [latin1(chunkHeader(chunk.length)), chunk, latin1(CHUNK_END)]);
  return Buffer.concat([...chunks, latin1(lastChunk(headerLines(content.trailers)))]);
}

function expected({ body: content }: { body: Body }): Recorded[] {
  const text = contentOf(content);
  const trailers = content.framing === 'chunked' && content.trailers.length > 0 ? content.trailers : undefined;
  return [...(text === '' ? [] : [{ kind: 'body', text } as const]), { kind: 'end', trailers }];
}

test('any cutting of valid requests gives the same events', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 3 }), cuts, (generated, at) => {
      const bytes = Buffer.concat(generated.map(encoded));
      assert.deepEqual(runRequests(cut(bytes, at)), runRequests([bytes]));
    }),
  );
});

test('any cutting of any bytes gives the same events and the same error', () => {
  fc.assert(
    fc.property(fragments, cuts, fc.boolean(), fc.constantFrom(undefined, limits), (bytes, at, ended, limited) => {
      const whole = runRequests([bytes], limited, ended);
      assert.deepEqual(runRequests(cut(bytes, at), limited, ended), whole);
      assert.deepEqual(runRequests(byteByByte(bytes), limited, ended), whole);
      const methods = ['GET', 'HEAD', 'CONNECT', 'GET'];
      const options = { limits: limited, ended, upgradeAsked: ended };
      const responses = runResponses(methods, [bytes], options);
      assert.deepEqual(runResponses(methods, cut(bytes, at), options), responses);
      assert.deepEqual(runResponses(methods, byteByByte(bytes), options), responses);
    }),
    { numRuns: 1_000 },
  );
});

test('any cutting of a damaged request gives the same events and the same error', () => {
  fc.assert(
    fc.property(request, fc.nat(), fc.nat(255), cuts, (generated, where, byte, at) => {
      const bytes = encoded(generated);
      bytes[where % bytes.length] = byte;
      const whole = runRequests([bytes], undefined, true);
      assert.deepEqual(runRequests(cut(bytes, at), undefined, true), whole);
      assert.deepEqual(runRequests(byteByByte(bytes), undefined, true), whole);
    }),
    { numRuns: 500 },
  );
});

test("random bytes raise nothing but the peer's error, and nothing follows it", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fragments,
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      ),
      (bytes) => {
        for (const { events } of [runRequests([bytes], undefined, true), runResponses(['GET', 'HEAD'], [bytes], { ended: true })]) {
          const errors = events.filter((event) => event.kind === 'error');
          assert.ok(errors.length <= 1);
          if (errors.length === 1) assert.equal(events.at(-1), errors[0]);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a request that was encoded is parsed to what it was made of', () => {
  fc.assert(
    fc.property(request, (generated) => {
      const { events, state } = runRequests([encoded(generated)]);
      const [head, ...rest] = events;
      assert.ok(head?.kind === 'request');
      const framing = generated.body.framing;
      assert.deepEqual(
        [head.method, head.path, head.authority, head.framing, head.headers.slice(1, 1 + generated.headers.length)],
        [generated.method, generated.path, generated.host, framing, generated.headers],
      );
      assert.deepEqual(rest, expected(generated));
      assert.equal(state, 'awaiting');
    }),
  );
});

test('a response that was encoded is parsed to what it was made of', () => {
  const status = fc.integer({ min: 200, max: 599 });
  fc.assert(
    fc.property(status, headers, fc.uint8Array({ maxLength: 40 }), fc.boolean(), fc.boolean(), (code, list, bytes, toHead, close) => {
      const method = toHead ? 'HEAD' : 'GET';
      const { events } = runResponses([method], [renderResponse({ status: code, headers: list, body: bytes, toHead, close })]);
      const [head, ...rest] = events;
      assert.ok(head?.kind === 'response', JSON.stringify(head));
      assert.deepEqual([head.status, head.keepAlive, head.headers.slice(0, list.length)], [code, !close, list]);
      const text = toHead || code === 204 || code === 304 ? '' : Buffer.from(bytes).toString('latin1');
      assert.deepEqual(rest, [...(text === '' ? [] : [{ kind: 'body', text }]), { kind: 'end', trailers: undefined }]);
    }),
  );
});

/** A proxy in its simplest form: parses and passes on. */
function passedOn(bytes: Buffer): Buffer {
  const out: Buffer[] = [];
  let chunked = false;
  const parser: RequestParser = new RequestParser({
    onHead: (head) => {
      chunked = head.framing === 'chunked';
      out.push(latin1(renderRequestHead(head)));
    },
    onBody: (piece, start, end) => {
      const data = piece.subarray(start, end);
      out.push(...(chunked ? [latin1(chunkHeader(data.length)), data, latin1(CHUNK_END)] : [data]));
    },
    onEnd: (trailers) => {
      if (chunked) out.push(latin1(lastChunk(trailers === undefined ? '' : renderTrailers(trailers))));
      parser.next();
    },
    onError: (error) => assert.fail(error),
  });
  for (let at = 0; at < bytes.length; ) at = parser.push(bytes, at);
  return Buffer.concat(out);
}

test('a request that was passed on means the same, and passing it on again changes nothing', () => {
  const relevant = (events: Recorded[]): unknown[] =>
    events.map((event) => {
      if (event.kind !== 'request') return event;
      const { headers: list, ...rest } = event satisfies RequestRecord;
      return { ...rest, headers: list.filter(([name]) => name.toLowerCase() !== 'transfer-encoding') };
    });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 3 }), (generated) => {
      const bytes = Buffer.concat(generated.map(encoded));
      const once = passedOn(bytes);
      assert.deepEqual(relevant(runRequests([once]).events), relevant(runRequests([bytes]).events));
      assert.deepEqual(passedOn(once), once);
    }),
  );
});

test('whatever was accepted is passed on as exactly one head, whatever the peer sent', () => {
  fc.assert(
    fc.property(fragments, (bytes) => {
      const rendered: string[] = [];
      const parser: RequestParser = new RequestParser({
        onHead: (head) => rendered.push(renderRequestHead(head, { connection: 'close', forwardUpgrade: true })),
        onBody() {},
        onEnd: () => parser.next(),
        onError() {},
      });
      for (let at = 0; at < bytes.length; ) at = parser.push(bytes, at);
      for (const text of rendered) {
        const { events } = runRequests([latin1(text)]);
        assert.equal(events.filter((event) => event.kind === 'request').length, 1);
        assert.ok(
          events.every((event) => event.kind !== 'error'),
          `${JSON.stringify(text)}: ${JSON.stringify(events)}`,
        );
      }
    }),
    { numRuns: 1_000 },
  );
});

test('a response head that was passed on means the same', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 999 }),
      fc.option(token),
      headers,
      body,
      fc.constantFrom('GET', 'HEAD'),
      (status, reason, list, content, method) => {
        const framing =
          content.framing === 'chunked'
            ? 'Transfer-Encoding: chunked\r\n'
            : content.framing === 'length'
              ? `Content-Length: ${content.data.length}\r\n`
              : '';
        const text = `HTTP/1.1 ${status}${reason === null ? '' : ` ${reason}`}\r\n${headerLines(list)}${framing}\r\n`;
        const parser = new ResponseParser({ onInterim() {}, onHead() {}, onBody() {}, onEnd() {}, onError: (error) => assert.fail(error) });
        parser.begin(method);
        parser.push(latin1(text));
        const sent = renderResponseHead(parser.head);
        const first = runResponses([method], [latin1(text)]).events[0];
        const second = runResponses([method], [latin1(sent)]).events[0];
        assert.ok(first?.kind === 'response' && second?.kind === 'response');
        assert.deepEqual(
          [second.status, second.reason, second.framing, second.headers.slice(0, list.length)],
          [first.status, first.reason, first.framing, list],
        );
      },
    ),
  );
});
