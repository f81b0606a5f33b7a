import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2RequestHead } from '@heddle/wire';
import { RefusedRequest } from '../../stack/ended-request.ts';
import { RequestSpan } from '../request-span.ts';
import { type HeldSpan, HeldSpans } from './held-spans.ts';

function requestOf(number: number) {
  const head = new Http2RequestHead();
  head.method = 'GET';
  head.path = `/orders/${number}`;
  const isGrpc = number % 2 === 1;
  return new RefusedRequest(
    {
      labels: { direction: 'inbound', source: `default/caller-${number}`, destination: 'default/orders' },
      route: `route-${number}`,
      peer: { sourceIdentity: isGrpc ? 'spiffe://mesh/caller' : '', peerAddress: `10.0.0.${number}` },
      status: 500 + number,
      grpcStatus: isGrpc ? 14 : undefined,
      error: isGrpc ? 'UPSTREAM_RESET' : '',
      span: undefined,
      traceId: '',
    },
    head,
  );
}

const factsOf = (held: HeldSpan) =>
  [held.span.spanId, held.labels.source, held.route, held.protocol, held.method, held.path, held.status, held.grpcStatus, held.error]
    .concat([held.peerIdentity, held.peerAddress])
    .join(' ');

test('each span has the facts of its own request, however often their places were used before', () => {
  const spans = new HeldSpans();
  const told: string[] = [];
  const expected: string[] = [];
  for (let number = 0; number < 200; number++) {
    const request = requestOf(number);
    const { labels, route, protocol, head, status, grpcStatus, error, peer } = request;
    expected.push(
      [`span-${number}`, labels.source, route, protocol, head.method, head.path, status, grpcStatus, error]
        .concat([peer.sourceIdentity, peer.peerAddress])
        .join(' '),
    );
    spans.add(request, new RequestSpan('trace', `span-${number}`, '', '', 1, 0), (held) => told.push(factsOf(held)));
    // What is reused for the next request says something else from now on.
    head.path = '/else';
    if ((number < 100 && number % 7 === 0) || spans.isFull) {
      spans.tellAll();
      assert.equal(spans.count, 0);
    }
  }
  spans.tellAll();
  assert.deepEqual(told, expected);
  while (!spans.isFull) spans.add(requestOf(1), new RequestSpan('trace', 'span', '', '', 1, 0), () => told.push('more'));
  spans.tellAll();
  assert.equal(told.length, expected.length + 32);
});
