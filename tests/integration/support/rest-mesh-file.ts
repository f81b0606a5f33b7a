// A mesh file and weights of a split, changed by the REST API: who may, what is refused, what it says, and what is noted.
import assert from 'node:assert/strict';
import { SMALL_MESH } from '../../support/planes.ts';
import type { Body, RestCaller } from '../../support/rest-call.ts';

/** Leaves the mesh as it was. */
export async function changeMesh(call: RestCaller['call']): Promise<void> {
  const yaml = { headers: { 'content-type': 'application/yaml' } };
  const rules = 'rules: [{ name: canary, to: [{ labels: { version: v1 }, weight: 90 }, { labels: { version: v2 }, weight: 10 }] }]';
  const text = `${SMALL_MESH}routes:\n  - { service: echo, ${rules} }\n`;
  const before = await call('getMeshFile');
  assert.deepEqual([before.body['origin'], before.body['path'], before.body['text']], ['file', '', undefined]);
  const wrong = await call('applyMeshFile', { ...yaml, text: 'mesh: a\nservices:\n  b:\n    port: 99999\n' });
  assert.deepEqual([wrong.body['code'], wrong.body['problems'][0].line, wrong.body['problems'][0].column], ['INVALID', 4, 11]);
  const dry = await call('applyMeshFile', { ...yaml, text, query: '?dryRun' });
  assert.deepEqual(
    dry.body['changes'].map(({ change, kind, name, rule }: Body) => [change, kind, name, rule]),
    [['added', 'rule', 'default/echo', 'canary']],
  );
  assert.equal(dry.headers.get('etag'), before.headers.get('etag'));
  const stale = { 'if-match': '"99"' };
  assert.equal((await call('applyMeshFile', { body: { text }, headers: stale })).status, 412);
  const applied = await call('applyMeshFile', { body: { text }, headers: { 'if-match': before.headers.get('etag') ?? '' } });
  assert.deepEqual([applied.status, applied.body['changes']], [200, dry.body['changes']]);

  const { token } = (await call('createAdminToken', { body: { name: 'eva', role: 'editor' } })).body;
  const path = { namespace: 'default', service: 'echo', route: 'canary' };
  const body = {
    weights: [
      { labels: { version: 'v1' }, weight: 1 },
      { labels: { version: 'v2' }, weight: 3 },
    ],
  };
  assert.equal((await call('setSplit', { path: { ...path, route: 'gone' }, body, token })).status, 404);
  assert.equal((await call('setSplit', { path, body: { weights: body.weights.slice(1) }, token })).status, 400);
  assert.equal((await call('setSplit', { path, body, token, headers: stale })).status, 412);
  assert.deepEqual(
    (await call('setSplit', { path, body, token })).body['weights'].map(({ weight }: Body) => weight),
    [1, 3],
  );
  const { items } = (await call('listSplits', { query: '?service=echo' })).body;
  assert.deepEqual([items[0].route, items[0].weights.map(({ weight }: Body) => weight), items[0].inFile], ['canary', [1, 3], [90, 10]]);
  const [route] = (await call('listRoutes', { query: '?service=echo' })).body['items'];
  assert.equal(route.action, 'echo{version=v1} 25 %, echo{version=v2} 75 %');
  const entries = (await call('listAudit', { query: '?action=set-split' })).body['items'];
  assert.deepEqual(
    entries.map(({ who, subject, before: was, after: is }: Body) => [who, subject, was.to[0].weight, is.to[0].weight]),
    [['admin token eva', 'default/echo', 90, 1]],
  );
  assert.equal((await call('getMeshFile', { token })).status, 403);
  assert.deepEqual((await call('getMeshFile')).body['splits'], [
    { service: 'default/echo', route: 'canary', weights: entries[0].after.to },
  ]);
  assert.equal((await call('applyMeshFile', { ...yaml, text: SMALL_MESH })).body['changes'].length, 1);
}
