// The REST API of a running mesh, called as a stranger would: every operation of the document, and every answer held against its schema.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Logger } from '@heddle/runtime';
import { type RunningControl, startControl } from '@heddle/control';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { OPERATIONS } from '../../packages/control/src/rest/operations.ts';
import type { Operation, OperationId } from '../../packages/control/src/rest/operations.ts';
import { Problem } from '../../packages/control/src/rest/schema/common.ts';
import { Cleanup, connectedProxies, LOOPBACK, machine, meshOf, silent, SMALL_MESH, temporaryDirectory } from '../support/planes.ts';
import { fits, RestCaller, type Answer, type Body, type CallOptions } from '../support/rest-call.ts';
import { askAboutTraffic } from '../support/rest-traffic.ts';
import { waitFor } from '../support/wait.ts';
import { changeMesh } from './support/rest-mesh-file.ts';

const cleanup = new Cleanup();
const logged: { readonly level: string; readonly message: string; readonly fields: Body }[] = [];
let plane: RunningControl;
let base: string;
let caller: RestCaller;
const call = (id: OperationId, options?: CallOptions): Promise<Answer> => caller.call(id, options);

const recorder: Logger = {
  ...silent,
  info: (fields, message) => void logged.push({ level: 'info', message, fields }),
  warn: (fields, message) => void logged.push({ level: 'warn', message, fields }),
  error: (fields, message) => void logged.push({ level: 'error', message, fields }),
};

before(async () => {
  plane = await startControl({
    ...{ mesh: meshOf(SMALL_MESH), stateDir: await temporaryDirectory(cleanup), logger: recorder, clock: nodeClock, random: nodeRandom },
    ...{ listen: { address: LOOPBACK, port: 0 }, rest: { address: LOOPBACK, port: 0 } },
  });
  cleanup.add(() => plane.close());
  base = `http://${LOOPBACK}:${plane.rest?.port}`;
  caller = new RestCaller(base, plane.operatorToken);
  await machine(cleanup, plane, { node: 'n1' });
  await waitFor('the data plane to be connected', async () => (await connectedProxies(plane)).length > 0);
});
after(() => cleanup.run());

const one = (instance: string, service = 'echo') => ({ namespace: 'default', service, instance });
const registration = (port: number, over: Body = {}): Body => ({
  ...{ node: 'elsewhere', inbound: { address: '127.0.0.1', port }, application: { address: '127.0.0.1', port: port + 1 } },
  ...{ labels: { zone: port % 2 === 0 ? 'a' : 'b' }, leaseTtlMs: 60_000, health: 'healthy', healthReason: 'it answers', ...over },
});
const register = (instance: string, port: number, over?: Body): Promise<Answer> =>
  call('registerInstance', { path: one(instance), body: registration(port, over) });

describe('the REST API', () => {
  it('tells about the mesh, and that it serves, and what there is, without a token only the latter two', async () => {
    assert.deepEqual((await call('getHealth', { token: null })).body, { status: 'serving' });
    assert.deepEqual((await call('getReadiness', { token: null })).body, { status: 'serving' });
    const document = await call('getDocument', { token: null });
    assert.equal(document.body['openapi'], '3.1.1');
    assert.deepEqual(Object.keys(document.body['paths']).length, new Set(Object.values(OPERATIONS).map(({ url }) => url)).size);
    const { body } = await call('getMesh');
    assert.equal(body['mesh'], 'test');
    assert.equal(body['services'], 3);
    assert.equal(body['proxies'], 1);
    for (const id of Object.keys(OPERATIONS) as OperationId[]) {
      const operation: Operation = OPERATIONS[id];
      if (operation.role === undefined) continue;
      for (const token of [null, 'x'.repeat(43)]) {
        const { status, headers } = await call(id, { token, path: { ...one('x'), node: 'n1', name: 'ann', id: 'x', route: 'x' } });
        assert.equal(status, 401, id);
        assert.match(headers.get('www-authenticate') ?? '', /^Bearer /);
      }
    }
  });

  it('makes, lists and revokes tokens of administrators, tells the rules that hold, and who has changed what', async () => {
    assert.equal((await call('createAdminToken', { body: { name: 'ann', role: 'root' } })).status, 400);
    const made = await call('createAdminToken', { body: { name: 'ann', role: 'viewer' } });
    assert.deepEqual([made.status, made.headers.get('cache-control')], [201, 'no-store']);
    assert.equal((await call('createAdminToken', { body: { name: 'ann', role: 'viewer' } })).status, 400);
    const token: string = made.body['token'];
    assert.deepEqual(
      (await call('listAdminTokens', { token })).body['items'].map(({ name, role }: Body) => [name, role]),
      [['ann', 'viewer']],
    );
    assert.equal((await call('revokeAdminToken', { token, path: { name: 'ann' } })).status, 403);
    assert.equal((await call('listPolicies', { token })).body['mtls'], 'strict');
    assert.equal((await call('listPolicies', { query: '?service=gone' })).status, 404);
    assert.equal((await call('revokeAdminToken', { path: { name: 'ann' } })).status, 204);
    assert.equal((await call('listAdminTokens', { token })).status, 401);
    const { body } = await call('listAudit', { query: '?subject=ann&outcome=done' });
    assert.deepEqual(body['items'].map(({ action }: Body) => action).join(), 'create-admin-token,revoke-admin-token');
    const { code } = (await call('createLoginCode', { body: { role: 'viewer' } })).body;
    const login = (await call('login', { token: null, body: { code } })).body;
    assert.deepEqual([login['by'], (await call('getCaller', login)).body['who']], ['operator token', `admin token ${login['name']}`]);
    assert.equal((await call('login', { token: null, body: { code } })).status, 404);
    assert.doesNotMatch(JSON.stringify(logged), new RegExp(`${code}|${login['token']}`));
  });

  it('lists services and one of them, in pages, and answers 304 while nothing changes', async () => {
    const { body, headers } = await call('listServices', { query: '?limit=2' });
    assert.deepEqual(
      body['items'].map(({ name }: Body) => name),
      ['cache', 'echo'],
    );
    const rest = await call('listServices', { query: `?limit=2&cursor=${encodeURIComponent(body['next'])}` });
    assert.deepEqual([rest.body['items'].map(({ name }: Body) => name), rest.body['next']], [['web'], undefined]);
    assert.equal((await call('listServices', { query: '?namespace=nowhere' })).body['items'].length, 0);
    const tag = headers.get('etag') ?? '';
    assert.equal((await call('listServices', { headers: { 'if-none-match': `W/"x", ${tag}` } })).status, 304);
    await register('echo-1', 21_000);
    assert.equal((await call('listServices', { headers: { 'if-none-match': tag } })).status, 200);
    const detail = await call('getService', { path: { namespace: 'default', service: 'echo' } });
    assert.deepEqual(
      detail.body['endpoints'].map(({ instance }: Body) => instance),
      ['echo-1'],
    );
    assert.equal((await call('getService', { path: { namespace: 'default', service: 'ecko' } })).body['code'], 'NOT_FOUND');
    assert.deepEqual((await call('listAddresses')).body['services'], [{ name: 'echo', ip: '127.0.0.1' }]);
    assert.deepEqual((await call('listAddresses', { query: '?namespace=eu' })).body['services'], []);
  });

  it('registers an instance with all that can be said about it, again in its own place, and removes it', async () => {
    const said = {
      ...{ outbounds: [{ service: 'web', listen: { address: '127.0.0.1', port: 9_000 } }], version: 'v2', weight: 7 },
      ...{ metadata: { team: 'a' }, ports: { metrics: 9_090 }, locality: { region: 'eu', zone: 'eu-a' } },
    };
    const first = await register('echo-2', 21_002, said);
    assert.equal(first.status, 201);
    const { instance } = first.body as { instance: Body };
    assert.deepEqual(instance['outbounds'], [{ namespace: 'default', service: 'web', listen: { address: '127.0.0.1', port: 9_000 } }]);
    assert.deepEqual([instance['version'], instance['weight'], instance['health']], ['v2', 7, 'healthy']);
    assert.deepEqual([instance['metadata'], instance['ports'], instance['locality']], [said.metadata, said.ports, said.locality]);
    const again = await register('echo-2', 21_002);
    assert.equal(again.status, 200);
    assert.notEqual(again.body['lease'], first.body['lease']);
    assert.equal((await call('heartbeat', { path: one('echo-2'), body: { lease: first.body['lease'] } })).body['code'], 'SUPERSEDED');
    const beat = { lease: again.body['lease'], health: 'unhealthy', healthReason: 'it does not answer' };
    assert.equal((await call('heartbeat', { path: one('echo-2'), body: beat })).body['instance'].healthReason, 'it does not answer');
    assert.equal((await call('heartbeat', { path: one('echo-2'), body: { lease: again.body['lease'] } })).status, 200);
    assert.equal((await call('deregisterInstance', { path: one('echo-2') })).status, 204);
    assert.equal((await call('deregisterInstance', { path: one('echo-2') })).body['code'], 'NOT_FOUND');
    assert.equal((await call('getInstance', { path: one('echo-2') })).body['code'], 'NOT_FOUND');
    const { body } = await call('heartbeat', { path: one('echo-2'), body: beat });
    assert.deepEqual([body['code'], body['mend']], ['EXPIRED', 'register the instance again']);
    assert.equal((await call('registerInstance', { path: one('x', 'nothing'), body: registration(1) })).body['code'], 'NOT_FOUND');
  });

  it('removes an instance that sends no heartbeats', async () => {
    await register('echo-3', 21_003, { leaseTtlMs: 1_000 });
    await waitFor('the lease to end', async () => (await call('getInstance', { path: one('echo-3') })).status === 404);
  });

  it('changes an instance only when it is what the caller thinks it is', async () => {
    const { headers } = await register('echo-4', 21_004);
    const tag = headers.get('etag') ?? '';
    assert.equal(tag, (await call('getInstance', { path: one('echo-4') })).headers.get('etag'));
    const report = { health: 'unhealthy', reason: 'wrong answers' };
    const conditional = (ifMatch: string): CallOptions => ({ path: one('echo-4'), body: report, headers: { 'if-match': ifMatch } });
    assert.equal((await call('reportHealth', conditional('"1"'))).status, 412);
    assert.equal((await call('reportHealth', conditional(tag))).status, 200);
    assert.equal((await call('reportHealth', conditional(tag))).status, 412);
    assert.equal((await call('reportHealth', conditional('W/"1", "2"'))).status, 400);
    const anew = { path: one('echo-4'), body: registration(21_004), headers: { 'if-none-match': '*' } };
    assert.equal((await call('registerInstance', anew)).body['code'], 'PRECONDITION_FAILED');
    assert.equal((await call('registerInstance', { ...anew, path: one('echo-5') })).status, 201);
  });

  it('takes verdicts of detectors and takes an instance out of rotation until it is put back', async () => {
    await register('echo-6', 21_006);
    const report = (detector: string, health: string): Promise<Answer> =>
      call('reportHealth', { path: one('echo-6'), body: { detector, health, reason: 'wrong answers' } });
    assert.match((await report('prober', 'unhealthy')).body['instance'].healthReason, /prober reports: wrong answers/);
    assert.equal((await report('other', 'healthy')).body['instance'].health, 'unhealthy');
    assert.equal((await report('prober', 'healthy')).body['instance'].health, 'healthy');
    assert.equal((await report('the operator', 'healthy')).status, 400);
    const drained = await call('drainInstance', { path: one('echo-6'), body: { reason: 'machine is replaced' } });
    assert.equal(drained.body['instance'].health, 'draining');
    assert.match(drained.body['instance'].healthReason, /machine is replaced/);
    await register('echo-6', 21_006);
    assert.equal((await call('getInstance', { path: one('echo-6') })).body['health'], 'draining');
    assert.equal((await call('undrainInstance', { path: one('echo-6') })).body['instance'].health, 'healthy');
    assert.equal((await call('drainInstance', { path: one('echo-6') })).status, 200);
    assert.equal((await call('drainInstance', { path: one('nothing') })).status, 404);
  });

  it('lists instances by filters and in pages', async () => {
    for (let index = 10; index < 20; index += 1) await register(`echo-${index}`, 22_000 + index);
    const ids = async (query: string): Promise<string[]> =>
      (await call('listInstances', { query })).body['items'].map(({ instance }: Body) => instance);
    const all = await ids('');
    assert.ok(all.length >= 10);
    const paged: string[] = [];
    for (let next = ''; ; ) {
      const { body } = await call('listInstances', { query: `?limit=3${next}` });
      paged.push(...body['items'].map(({ instance }: Body) => instance));
      if (body['next'] === undefined) break;
      next = `&cursor=${encodeURIComponent(body['next'])}`;
    }
    assert.deepEqual(paged, all);
    assert.deepEqual(
      await ids('?label=zone%3Da&service=echo&node=elsewhere&health=healthy&namespace=default&cursor=default/echo/echo-15'),
      ['echo-16', 'echo-18', 'echo-5'],
    );
    assert.deepEqual(await ids('?label=zone%3Da&label=zone%3Db'), []);
    assert.deepEqual(await ids('?health=draining'), ['echo-6']);
    for (const query of ['?limit=0', '?limit=1001', '?limit=x', '?cursor=x', '?health=fine', '?label=x', '?fast=1', '?limit=1&limit=2'])
      assert.equal((await call('listInstances', { query })).status, 400, query);
  });

  it('tells what the data planes have applied, and their load', async () => {
    const { body } = await call('listProxies');
    const [proxy] = body['items'] as Body[];
    assert.deepEqual([proxy?.['node'], proxy?.['flavour']], ['n1', 'heddle']);
    await waitFor('the data plane to be in sync', async () => (await call('getProxy', { path: { node: 'n1' } })).body['inSync'] === true);
    assert.equal((await call('getProxy', { path: { node: 'n2' } })).body['code'], 'NOT_FOUND');
    assert.equal((await call('listProxies', { query: '?node=n2' })).body['items'].length, 0);
    assert.equal((await call('listProxies', { query: '?cursor=n0%401' })).status, 400);
    assert.ok(Array.isArray((await call('listLoad', { query: '?node=n1' })).body['items']));
  });

  it('shows metrics of its own, in both formats, and where data planes show theirs', async () => {
    const text = await call('getMetrics');
    assert.match(text.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    for (const line of [
      /^heddle_control_data_planes\{kind="heddle"\} 1$/m,
      /^heddle_control_rest_requests_total\{action="getMesh",code="200"\} 1$/m,
      /^heddle_control_authority_seconds_left \d{7,}$/m,
      /^heddle_control_events_total\{kind="data-plane-connected"\} 1$/m,
    ])
      assert.match(String(text.body), line);
    const open = await call('getMetrics', { headers: { accept: 'application/openmetrics-text;version=1.0.0' } });
    assert.match(open.headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1\.0\.0/);
    assert.ok(String(open.body).endsWith('\n# EOF\n'));
    const [target] = (await call('listScrapeTargets')).body as unknown as [{ targets: [string]; labels: Body }];
    assert.deepEqual(target.labels, { node: 'n1' });
    assert.match(await (await fetch(`http://${target.targets[0]}/metrics`)).text(), /heddle_control_connected 1\n/);
  });

  it('tells of traffic that there is none yet, asks data planes that are there, and refuses questions that make no sense', () =>
    askAboutTraffic(call));

  it('tells what has happened', async () => {
    const { body } = await call('listEvents', { query: '?kind=instance-registered&subject=default/echo/echo-1&limit=5' });
    assert.equal(body['items'].length, 1);
    const page = await call('listEvents', { query: '?after=0&limit=2' });
    assert.equal(page.body['items'].length, 2);
    const more = await call('listEvents', { query: `?after=${page.body['next']}&limit=1` });
    assert.equal(more.body['items'][0].id, page.body['items'][1].id + 1);
    assert.equal((await call('listEvents', { query: '?after=999999' })).body['next'], undefined);
  });

  it('makes join tokens, for services that there are', async () => {
    const { status, body, headers } = await call('createToken', { body: { service: 'echo', ttlMs: 60_000 } });
    assert.equal(status, 201);
    assert.ok(Date.parse(body['notAfter']) > Date.now());
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal((await call('createToken', { body: { service: 'nothing' } })).status, 404);
    assert.equal((await call('createToken', { body: { service: 'echo', ttlMs: 1 } })).status, 400);
  });

  it('lists join tokens, in pages, and revokes one, once', async () => {
    for (let made = 0; made < 3; made += 1) await call('createToken', { body: { service: 'web' } });
    const { body } = await call('listTokens', { query: '?limit=2' });
    assert.equal(body['items'].length, 2);
    assert.doesNotMatch(JSON.stringify(body), /secret|heddle1/i);
    const rest = await call('listTokens', { query: `?cursor=${encodeURIComponent(body['next'])}` });
    assert.ok(rest.body['items'].length >= 1);
    assert.equal((await call('listTokens', { query: '?cursor=nothing' })).status, 400);
    const [{ id, state, service }] = body['items'];
    assert.deepEqual([state, service], ['good', 'web']);
    assert.equal((await call('revokeToken', { path: { id } })).status, 204);
    const again = await call('revokeToken', { path: { id } });
    assert.deepEqual([again.status, again.body['code']], [409, 'REFUSED']);
    assert.match(again.body['detail'], /cannot be used any more anyway: it is revoked/);
    assert.equal((await call('revokeToken', { path: { id: 'nothing' } })).status, 404);
    assert.equal((await call('listTokens')).body['items'].find((one: Body) => one['id'] === id).state, 'revoked');
    const audit = await call('listAudit', { query: `?subject=${id}` });
    assert.deepEqual(
      audit.body['items'].map(({ action, before, after: is }: Body) => [action, before.state, is.state]),
      [['revoke-join-token', 'open', 'revoked']],
    );
  });

  it('lists identities, denies one and takes that back', async () => {
    const { body } = await call('listIdentities');
    const identity = 'spiffe://test/ns/default/svc/web';
    const own = body['items'].find(({ why }: Body) => why === 'control');
    assert.match(own.identity, /heddle-system\/svc\/control$/);
    assert.equal((await call('listIdentities', { query: `?limit=1` })).body['items'].length, 1);
    assert.equal((await call('listIdentities', { query: `?cursor=${body['items'].at(-1).serial}` })).body['items'].length, 0);
    const path = { namespace: 'default', service: 'web' };
    const denied = await call('denyIdentity', { path, body: { reason: 'lost laptop' } });
    assert.deepEqual([denied.status, denied.body['identity'], denied.body['reason']], [201, identity, 'lost laptop']);
    assert.equal((await call('denyIdentity', { path })).status, 200);
    assert.deepEqual(
      (await call('listDeniedIdentities')).body['items'].map((one: Body) => [one['identity'], one['by']]),
      [[identity, 'operator']],
    );
    assert.match((await call('createToken', { body: { service: 'web' } })).body['detail'], /is denied in this mesh/);
    assert.equal((await call('allowIdentity', { path })).status, 204);
    assert.equal((await call('allowIdentity', { path })).status, 404);
    assert.deepEqual((await call('listDeniedIdentities')).body['items'], []);
    const control = { namespace: 'heddle-system', service: 'control' };
    assert.match((await call('denyIdentity', { path: control })).body['detail'], /is the control plane itself/);
    const audit = await call('listAudit', { query: `?subject=${encodeURIComponent(identity)}&outcome=done` });
    assert.deepEqual(audit.body['items'].map(({ action }: Body) => action).join(), 'deny-identity,deny-identity,allow-identity');
  });

  it('replaces the root step by step, each by the operator alone, and refuses what may not be done yet', async () => {
    const status = await call('getAuthority');
    assert.deepEqual([status.body['source'], status.body['phase'], status.body['next']], ['own', 'none', null]);
    const rotate = (step: string, more: Body = {}, token?: string): Promise<Answer> =>
      call('rotateRoot', { body: { step, ...more }, ...(token === undefined ? {} : { token }) });
    const viewer: string = (await call('createAdminToken', { body: { name: 'eve', role: 'editor' } })).body['token'];
    assert.equal((await rotate('start', {}, viewer)).status, 403);
    assert.equal((await call('getAuthority', { token: viewer })).status, 200);
    assert.match((await rotate('use')).body['detail'], /no rotation is under way/);
    assert.equal((await rotate('sideways')).status, 400);
    const added = await rotate('start');
    assert.deepEqual([added.body['phase'], added.body['step']], ['added', 'use']);
    assert.notEqual(added.body['next'].pin, status.body['root'].pin);
    assert.equal((await rotate('finish')).body['code'], 'REFUSED');
    assert.equal((await rotate('abort', { force: true })).body['phase'], 'none');
    const audit = await call('listAudit', { query: '?action=rotate-root&outcome=done' });
    assert.deepEqual(audit.body['items'].map(({ subject }: Body) => subject).join(), 'start,abort');
  });

  it('tells how requests are routed', async () => {
    const { body } = await call('listRoutes', { query: '?service=echo' });
    assert.deepEqual([body['items'][0].service, body['items'][0].name], ['echo', 'default']);
    assert.ok((await call('listRoutes')).body['items'].length > body['items'].length);
    assert.equal((await call('listRoutes', { query: '?service=a%20b' })).status, 400);
  });

  it('puts a mesh file in place, and changes the weights of a split, each by its role', () => changeMesh(call));

  it('checks a mesh file, with the place of every problem', async () => {
    const yaml = { headers: { 'content-type': 'application/yaml' } };
    const { body } = await call('validateMeshFile', { ...yaml, text: 'mesh: a\nservices:\n  b:\n    port: 99999\n' });
    assert.deepEqual([body['valid'], body['problems'][0].line, body['problems'][0].column], [false, 4, 11]);
    assert.equal((await call('validateMeshFile', { ...yaml, text: SMALL_MESH })).body['valid'], true);
    assert.equal((await call('validateMeshFile', { ...yaml, text: `# ${'x'.repeat(1_060_000)}` })).body['valid'], false);
    assert.equal((await call('validateMeshFile', { ...yaml, text: 'x'.repeat(1_200_000) })).body['code'], 'TOO_LARGE');
    assert.equal((await call('validateMeshFile', { text: '{}', headers: { 'content-type': 'application/json' } })).status, 415);
  });

  it('refuses bodies that are no JSON, of another kind, or where none belongs', async () => {
    const put = (options: CallOptions): Promise<Answer> => call('registerInstance', { path: one('bad'), ...options });
    const json = { 'content-type': 'application/json' };
    assert.match((await put({ text: '{\n"node" 1}', headers: json })).body['detail'], /^line 2, column 8: /);
    assert.equal((await put({ text: '{}', headers: { 'content-type': 'text/plain' } })).status, 415);
    assert.deepEqual((await put({ body: registration(1, { nod: 1 }) })).body['errors'], [
      { path: 'nod', message: 'there is no such field here' },
    ]);
    assert.match((await put({ body: registration(1, { inbound: { address: '0.0.0.0', port: 1 } }) })).body['detail'], /any address/);
    assert.equal((await put({ body: registration(1, { labels: { ' ': 'x' } }) })).body['code'], 'INVALID');
    assert.equal((await put({ text: `"${'x'.repeat(1_100_000)}"`, headers: json })).status, 413);
    assert.equal((await call('deregisterInstance', { path: one('echo-1'), body: {} })).status, 400);
    assert.equal((await call('getInstance', { path: one('a b') })).status, 400);
  });

  it('is served to names of this machine, changes nothing for pages of others, and knows its paths and methods', async () => {
    /** `fetch` sends no host of one's choice. */
    const raw = (
      method: string,
      path: string,
      headers: Record<string, string>,
    ): Promise<{ status: number; allow: string | undefined; code: string }> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(`${base}${path}`, { method, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => {
            const code = text === '' ? '' : ((JSON.parse(text) as Body)['code'] as string);
            resolve({ status: response.statusCode ?? 0, allow: response.headers.allow, code });
          });
        });
        request.on('error', reject).end();
      });
    const authorization = `Bearer ${plane.operatorToken}`;
    assert.equal((await raw('GET', '/healthz', { host: 'evil.example' })).code, 'MISDIRECTED');
    assert.equal((await raw('GET', '/api/v1/mesh', { host: `localhost:${plane.rest?.port}`, authorization })).status, 200);
    const origin = { authorization, origin: 'http://evil.example' };
    assert.equal((await raw('DELETE', '/api/v1/instances/default/echo/echo-1', origin)).code, 'FOREIGN_ORIGIN');
    assert.equal((await raw('GET', '/api/v1/mesh', origin)).status, 200);
    assert.deepEqual(await raw('OPTIONS', '/api/v1/mesh', origin), { status: 405, allow: 'GET, HEAD', code: 'METHOD_NOT_ALLOWED' });
    assert.deepEqual(await raw('POST', '/api/v1/instances/default/echo/echo-1', { authorization }), {
      ...{ status: 405, allow: 'DELETE, GET, HEAD, PUT', code: 'METHOD_NOT_ALLOWED' },
    });
    assert.equal((await raw('GET', '/api/v1/nothing', { authorization })).code, 'NOT_FOUND');
    assert.equal((await raw('HEAD', '/api/v1/mesh', { authorization })).status, 200);
    assert.equal((await raw('HEAD', '/api/v1/watch', { authorization })).status, 405);
    assert.equal((await call('getInstance', { path: one('echo-1') })).status, 200);
  });

  /** Not by a stream, which would be waited for. */
  const isAnswered = ({ answers }: Operation): boolean => answers[200]?.mediaType !== 'text/event-stream';
  it('answers whatever is asked, and a fault of the caller is never one of its own', async () => {
    const words = fc.constantFrom(
      'default',
      'echo',
      'echo-1',
      'web',
      '..',
      '%2e%2e',
      '%',
      '%ff',
      '%00',
      'a%2Fb',
      '__proto__',
      'x'.repeat(300),
      '',
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record({ node: fc.jsonValue(), labels: fc.jsonValue(), inbound: fc.jsonValue(), lease: fc.string() }),
    );
    const asked = fc.record({
      operation: fc.constantFrom(...(Object.values(OPERATIONS) as Operation[]).filter(isAnswered)),
      method: fc.constantFrom('', '', 'GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'),
      words: fc.array(words, { minLength: 3, maxLength: 3 }),
      query: fc.oneof(
        fc.constant(''),
        fc.webQueryParameters().map((text) => `?${text}`),
        fc.constantFrom('?limit=1&cursor=a/b/c', '?__proto__=1', '?after=-1'),
      ),
      body: fc.oneof(
        value.map((made) => JSON.stringify(made)),
        fc.string(),
      ),
      contentType: fc.constantFrom('application/json', 'application/yaml', 'text/plain;charset=utf-8', ''),
    });
    await fc.assert(
      fc.asyncProperty(asked, async ({ operation, method, words: names, query, body, contentType }) => {
        const path = operation.url.replaceAll(/\{\w+\}/g, () => names.pop() ?? '');
        const verb = method === '' ? operation.method : method;
        const response = await fetch(`${base}${path}${query}`, {
          method: verb,
          headers: { authorization: `Bearer ${plane.operatorToken}`, ...(contentType === '' ? {} : { 'content-type': contentType }) },
          ...(verb === 'GET' ? {} : { body }),
        });
        const text = await response.text();
        assert.notEqual(response.status, 500, `${verb} ${path}${query} ${body}: ${text}`);
        if (response.status >= 400 && text !== '') fits(Problem, JSON.parse(text), path);
      }),
      { numRuns: 100 },
    );
    assert.deepEqual(
      logged.filter(({ level }) => level === 'error'),
      [],
    );
  });

  it('logs who changed what and what became of it, and who was refused', () => {
    const lines = logged.filter(({ message }) => message.startsWith('call of the REST API'));
    const of = (path: string, status: number) => lines.find(({ fields }) => fields['path'].endsWith(path) && fields['status'] === status);
    assert.equal(of('/tokens', 201)?.fields['caller'], 'operator token');
    assert.match(of('/tokens', 404)?.fields['reason'], /no service default\/nothing/);
    assert.equal(of('/echo-1', 403)?.level, 'warn');
    assert.equal(
      lines.some(({ fields }) => fields['method'] === 'GET' && fields['status'] === 200),
      false,
    );
    assert.equal(
      lines.some(({ fields }) => String(fields['path']).endsWith('/heartbeat') && fields['status'] === 200),
      false,
    );
    assert.doesNotMatch(JSON.stringify(logged), new RegExp(plane.operatorToken));
  });
});

describe('a watch by the REST API', () => {
  const watch: RestCaller['watch'] = (...asked) => caller.watch(...asked);
  const ids = (items: Body[]): string[] => items.map(({ instance }) => instance as string);

  it('of live requests ends by itself', async () => {
    const { headers, body } = await call('tap', { query: '?forMs=1' });
    assert.equal(headers.get('content-type'), 'text/event-stream');
    assert.match(String(body), /event: end\ndata: {"reason":"its time is over","told":0,"lost":0}\n\n$/);
  });

  it('tells everything, then each change, and goes on where it broke off', async () => {
    const changing = (async () => {
      await waitFor('the watch to be open', () => caller.seen.has('watch'));
      await register('watched-1', 23_001);
    })();
    const told = await watch({}, '?kinds=instances', (all) => all.some(({ event }) => event === 'changes'));
    await changing;
    assert.deepEqual([told[0]?.event, told[0]?.data['first'], told[0]?.data['last']], ['snapshot', true, true]);
    const change = told.find(({ event }) => event === 'changes');
    assert.deepEqual(ids(change?.data['changed']), ['watched-1']);
    await call('deregisterInstance', { path: one('watched-1') });
    const lastId = told.at(-1)?.id ?? '';
    const more = await watch({ 'last-event-id': lastId }, '?kinds=instances', (all) => all.length >= 2);
    assert.equal(more[0]?.event, 'resumed');
    assert.match(JSON.stringify(more[1]?.data['removed']), /"default\/echo\/watched-1"/);
    const anew = await watch({ 'last-event-id': `x${lastId}` }, '?kinds=instances', (all) => all.length >= 2);
    assert.deepEqual(anew.map(({ event }) => event).slice(0, 2), ['resync', 'snapshot']);
  });

  it('tells of services, data planes and events in the same stream', async () => {
    const told = await watch({}, '', (all) => new Set(all.map(({ data }) => data['kind'])).size === 4);
    assert.deepEqual(told.map(({ data }) => data['kind']).slice(0, 4), ['services', 'instances', 'proxies', 'events']);
    assert.equal(told[2]?.data['items'][0].node, 'n1');
  });

  it('that breaks off makes room for others, however many break off', async () => {
    for (let index = 0; index < 70; index += 1)
      await waitFor('room for another watch', () => watch({}, '?kinds=events', (all) => all.length > 0).then(() => true));
  });

  it('refuses kinds that there are not, and ends when the control plane stops', async () => {
    assert.equal((await call('watch', { query: '?kinds=instances,cakes' })).status, 400);
    assert.deepEqual([...caller.seen].sort(), Object.keys(OPERATIONS).sort(), 'every operation has been called with success');
    let told = 0;
    const ending = watch({}, '', (all) => {
      told = all.length;
      return false;
    });
    await waitFor('the stream to have told everything', () => told >= 4);
    await plane.close();
    await ending;
  });
});
