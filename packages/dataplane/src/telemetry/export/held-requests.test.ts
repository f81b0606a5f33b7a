import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2RequestHead } from '@heddle/wire';
import { RefusedRequest } from '../../stack/ended-request.ts';
import { type HeldRequest, HeldRequests } from './held-requests.ts';

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
      traceId: `trace-${number}`,
    },
    head,
  );
}

const factsOf = (held: HeldRequest, more: string) =>
  [more, held.labels.source, held.route, held.protocol, held.method, held.path, held.status, held.grpcStatus, held.error]
    .concat([held.peerIdentity, held.peerAddress, held.traceId])
    .join(' ');

test('each has the facts of its own request, however often their places were used before', () => {
  const requests = new HeldRequests<string>();
  const told: string[] = [];
  const expected: string[] = [];
  for (let number = 0; number < 200; number++) {
    const request = requestOf(number);
    const { labels, route, protocol, head, status, grpcStatus, error, peer, traceId } = request;
    expected.push(
      [`more-${number}`, labels.source, route, protocol, head.method, head.path, status, grpcStatus, error]
        .concat([peer.sourceIdentity, peer.peerAddress, traceId])
        .join(' '),
    );
    requests.add(request, `more-${number}`, (held, more) => told.push(factsOf(held, more)));
    // What is reused for the next request says something else from now on.
    head.path = '/else';
    if ((number < 100 && number % 7 === 0) || requests.isFull) {
      requests.tellAll();
      assert.equal(requests.count, 0);
    }
  }
  requests.tellAll();
  assert.deepEqual(told, expected);
  while (!requests.isFull) requests.add(requestOf(1), 'more', () => told.push('more'));
  requests.tellAll();
  assert.equal(told.length, expected.length + 32);
});
