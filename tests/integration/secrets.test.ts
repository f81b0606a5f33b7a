// Secrets stay where they belong: a control plane and a data plane run with all of their logs on, everything secret is used once, rightly and
// wrongly, and then nothing of it is in logs, configuration dumps, metrics, answers of the REST API, events or the audit log.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import type { Logger } from '@heddle/runtime';
import { createCsr, generateKeyPair, nodeClock, nodeRandom } from '@heddle/runtime/node';
import type { Operation } from '../../packages/control/src/rest/operations.ts';
import { OPERATIONS } from '../../packages/control/src/rest/operations.ts';
import { TestClient, operator } from '../../packages/control/src/testing/client.ts';
import { OidcIssuer, SHOP } from '../support/oidc-issuer.ts';
import { callThroughProxy } from '../support/load.ts';
import {
  ADMIN_TOKEN,
  adminCall,
  application,
  Cleanup,
  host,
  joinToken,
  machine,
  meshOf,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';

const cleanup = new Cleanup();
/** By what it is. */
const secrets = new Map<string, string>();
/** Everything that was written to logs, by whom. */
const logs = new Map<string, string[]>();
const PASSPHRASE = 'correct horse battery staple 4711';
let control: RunningControl;
let shared: RunningProxy;
let stateDir: string;

function listening(who: string): Logger {
  const lines = logs.get(who) ?? [];
  logs.set(who, lines);
  const write = (fields: unknown, message?: string): void =>
    void lines.push(
      `${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? String(value.stack) : value))} ${message ?? ''}`,
    );
  const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
  return logger;
}

before(async () => {
  const issuer = await OidcIssuer.start();
  cleanup.add(() => issuer.close());
  stateDir = await temporaryDirectory(cleanup);
  const listen = { address: '127.0.0.1', port: 0 };
  control = await startControl({
    mesh: meshOf(`
mesh: test
services:
  echo: { port: 80, health: { http: /healthz, interval: 500ms, timeout: 500ms } }
  web: { port: 81, health: { interval: 500ms, timeout: 500ms } }
security:
  issuers:
    - { name: login, issuer: "${issuer.url}", audiences: ["${SHOP}"] }
  access:
    default: deny
    rules:
      - { from: [web, operator], to: "*" }
`),
    stateDir,
    listen,
    rest: listen,
    ca: { kind: 'own', passphrase: PASSPHRASE },
    login: { issuer: issuer.url, audience: SHOP, roles: { reader: 'viewer' } },
    logger: listening('control plane'),
    clock: nodeClock,
    random: nodeRandom,
  });
  cleanup.add(() => control.close());
  shared = await machine(cleanup, control, { node: 'shared', logger: listening('data plane') });
  await host(shared, control, 'echo-1', (await application(cleanup, 'echo-1')).port);
  const web = await host(shared, control, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo'] });
  await untilReady(shared);
  await untilEndpoints(shared, 'echo', ['echo-1']);

  secrets.set('the passphrase of the root', PASSPHRASE);
  secrets.set("the operator's token", control.operatorToken);
  secrets.set("the token of the data plane's admin API", ADMIN_TOKEN);
  secrets.set('the credential of a workload', web.proxyCredential);
  secrets.set('a login', await issuer.token('web'));
  const admin = operator(control);
  cleanup.add(() => admin.close());
  const made = await admin.call('heddle.admin.v1.Admin', 'CreateAdminToken', { name: 'ann', role: 'viewer' });
  secrets.set('the token of an administrator', made['token']);
  secrets.set('a join token', await joinToken(control, 'web'));
  secrets.set('another join token', await joinToken(control, 'echo'));
});
after(() => cleanup.run());

/** Each as it is, and what is secret about it alone. */
function* needles(): Iterable<readonly [what: string, text: string]> {
  for (const [what, secret] of secrets) {
    yield [what, secret];
    yield [what, Buffer.from(secret).toString('base64')];
    const parts = secret.split('.');
    if (parts.length === 3) yield [`what is secret of ${what}`, parts[2] ?? ''];
  }
  yield ['a private key', 'PRIVATE KEY-----'];
}

function assertNone(where: string, text: string): void {
  for (const [what, needle] of needles()) {
    const at = text.indexOf(needle);
    assert.equal(at, -1, `${where} has ${what}: ${text.slice(Math.max(0, at - 100), at + 20)}…`);
  }
}

async function useEverything(): Promise<void> {
  const { address, port } = control.rest!;
  const rest = (token: string): Promise<Response> =>
    fetch(`http://${address}:${port}/api/v1/mesh`, { headers: { authorization: `Bearer ${token}` } });
  const stranger = new TestClient(control);
  cleanup.add(() => stranger.close());
  for (const [, secret] of secrets) {
    // Rightly or wrongly, and damaged: what is refused must not be told either.
    for (const token of [secret, `${secret}x`]) {
      await (await rest(encodeURIComponent(token))).body?.cancel();
      const client = new TestClient(control, undefined, token.replaceAll(/[^\x21-\x7e]/g, '-'));
      await client.call('heddle.admin.v1.Admin', 'GetMesh').catch(() => {});
      client.close();
      const csr_der = createCsr(generateKeyPair());
      await stranger.call('heddle.identity.v1.Identity', 'Sign', { csr_der, join_token: token }).catch(() => {});
      const headers = { authorization: `Bearer ${token}`, cookie: `session=${encodeURIComponent(token)}` };
      const credential = Buffer.from(`${token}:`).toString('base64');
      await callThroughProxy({ proxy: through(shared), url: 'http://echo.mesh.internal/', headers });
      await callThroughProxy({
        proxy: through(shared),
        url: 'http://echo.mesh.internal/',
        headers: { ...headers, 'proxy-authorization': `Basic ${credential}` },
      });
      await (await adminCall(shared, 'GET', '/workloads', undefined, encodeURIComponent(token))).body?.cancel();
    }
  }
  // An application that is not there: errors tell much.
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port: closed } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  await host(shared, control, 'echo-2', closed);
}

test('nothing secret is in logs, dumps, metrics, answers, events or the audit log', async () => {
  await useEverything();
  for (const path of ['/config_dump', '/metrics', '/workloads', '/sync', '/ready', '/clusters', '/certs']) {
    const answer = await adminCall(shared, 'GET', path);
    assertNone(`the data plane's ${path}`, await answer.text());
  }
  const { address, port } = control.rest!;
  let answered = 0;
  for (const operation of Object.values(OPERATIONS) as Operation[]) {
    if (operation.method !== 'GET' || operation.answers[200]?.mediaType === 'text/event-stream') continue;
    const path = operation.url
      .replace('{namespace}', 'default')
      .replace('{service}', 'echo')
      .replace('{instance}', 'echo-1')
      .replace('{node}', 'shared');
    const answer = await fetch(`http://${address}:${port}${path}`, { headers: { authorization: `Bearer ${control.operatorToken}` } });
    assert.equal(answer.status, 200, path);
    assertNone(path, await answer.text());
    answered += 1;
  }
  assert.ok(answered > 12);
  for (const [who, lines] of logs) {
    assert.ok(lines.length > 20, `${who} logs`);
    assertNone(`the log of the ${who}`, lines.join('\n'));
  }
  for (const name of (await readdir(stateDir)).filter((one) => /\.jsonl|control\.json/.test(one)))
    assertNone(name, await readFile(join(stateDir, name), 'utf8'));
});

test('what is kept of secrets cannot be used: hashes of tokens, and a key that its passphrase locks', async () => {
  const files = (await readdir(stateDir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const texts = await Promise.all(
    files.map(async (file) => [file.name, await readFile(join(file.parentPath, file.name), 'latin1')] as const),
  );
  for (const [name, text] of texts) {
    for (const [what, secret] of secrets) {
      // Its file is where it is kept.
      if (name === 'operator.token' && what === "the operator's token") continue;
      const [, , part = secret] = secret.split('.');
      assert.equal(text.includes(part), false, `${name} has ${what}`);
    }
    assert.doesNotMatch(text, /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----/, name);
  }
  assert.ok(texts.some(([, text]) => text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')));
});
