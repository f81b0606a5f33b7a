// What the REST API answers about traffic while there is none, in a mesh whose only data plane, `n1`, hosts nothing.
import assert from 'node:assert/strict';
import type { OperationId } from '../../packages/control/src/rest/operations.ts';
import type { Answer, Body, CallOptions } from './rest-call.ts';
import { waitFor } from './wait.ts';

export async function askAboutTraffic(call: (id: OperationId, options?: CallOptions) => Promise<Answer>): Promise<void> {
  const graph = await call('getGraph', { query: '?window=10s&namespace=default' });
  assert.deepEqual(
    [graph.body['windowMs'], graph.body['nodes'].map(({ id }: Body) => id), graph.body['edges']],
    [10_000, ['default/cache', 'default/echo', 'default/web'], []],
  );
  assert.equal((await call('getGraph', { query: '?window=2m' })).status, 400);
  assert.deepEqual((await call('getServiceTraffic', { path: { namespace: 'default', service: 'echo' } })).body['callers'], []);
  assert.equal((await call('getServiceTraffic', { path: { namespace: 'default', service: 'gone' } })).status, 404);
  const series = await call('getSeries', { query: '?destination=default/echo&route=default&range=1h' });
  assert.deepEqual([series.body['from'], series.body['points'].p99Ms.length], ['memory', 3_600_000 / series.body['stepMs']]);
  assert.equal((await call('getSeries', { query: '?route=default' })).status, 400);
  assert.deepEqual((await call('listDecisions', { query: '?service=default/echo&outcome=denied' })).body, { items: [], lost: 0 });
  const question = { from: 'heddle-system/operator', method: 'GET', url: 'http://echo/' };
  const explained = await waitFor('the data plane to be attached', async () => {
    const answer = await call('explainRequest', { body: question });
    return answer.status === 200 ? answer.body : undefined;
  });
  assert.deepEqual([explained['node'], explained['caller'].workload], ['n1', 'heddle-system/operator/n1']);
  for (const [wrong, status, detail] of [
    [{ from: 'default/gone' }, 404, /no service default\/gone/],
    [{ from: 'default/web' }, 409, /no data plane that is connected hosts default\/web/],
    [{ node: 'n9' }, 404, /"n9"/],
    [{ url: 'http://echo/ü' }, 400, /the data plane n1: .* is no URL/],
    [{ from: 'web' }, 400, /./],
  ] as const) {
    const answer = await call('explainRequest', { body: { ...question, ...wrong } });
    assert.equal(answer.status, status, answer.body['detail']);
    assert.match(answer.body['detail'], detail);
  }
}
