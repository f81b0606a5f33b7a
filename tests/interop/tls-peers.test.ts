// TLS peers that nobody here wrote, at the ports of a data plane and of a control plane, and as the instance that is called: who may not come in
// is told why by the right alert, and the log says it, too. Alerts are those of RFC 8446 §6.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { Logger } from '@heddle/runtime';
import { createLogger } from '@heddle/runtime/node';
import { endpoint, mustApply, type Plane, TestMesh } from '../../packages/dataplane/src/testing/mesh.ts';
import { TestAuthority } from '../../packages/runtime/src/testing/certificates.ts';
import { type Certificate, certificateOf, Cleanup, control, temporaryDirectory } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';
import { tryCurl } from './support/curl.ts';
import { run, skipWithout, start } from './support/programs.ts';

const cleanup = new Cleanup();
const skip = skipWithout('openssl', 'curl');
const HOUR_MS = 3_600_000;
const WEB = 'spiffe://shop.test/ns/default/svc/web';
const ORDERS = 'spiffe://shop.test/ns/default/svc/orders';
const REQUEST = 'GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n';
let directory: string;

after(() => cleanup.run());

interface Files {
  readonly cert: string;
  readonly key: string;
}

async function files(name: string, { certificatePem, keyPem }: Certificate): Promise<Files> {
  const [cert, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  await writeFile(cert, certificatePem);
  await writeFile(key, keyPem);
  return { cert, key };
}

async function selfSigned(name: string): Promise<Files> {
  const [cert, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  const names = ['-subj', '/CN=web', '-addext', `subjectAltName=URI:${WEB}`];
  const made = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
  ];
  const { code, stderr } = await run('openssl', [...made, ...names]);
  assert.equal(code, 0, stderr);
  return { cert, key };
}

const shown = (identity: Files | undefined): string[] => (identity === undefined ? [] : ['-cert', identity.cert, '-key', identity.key]);

/** Everything that `openssl s_client` says and receives. */
async function sClient(port: number, alpn: string, identity: Files | undefined, more: readonly string[] = []): Promise<string> {
  const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-alpn', alpn, '-ign_eof', ...shown(identity), ...more];
  const { stdout, stderr } = await run('openssl', args, { input: Buffer.from(REQUEST) });
  return stdout.toString() + stderr;
}

interface LogLine {
  readonly msg?: string;
  readonly peer?: string;
  readonly reason?: string;
  readonly detail?: string;
}

/** What an attempt adds to the log. */
async function reasonOf(lines: readonly LogLine[], attempt: () => Promise<unknown>): Promise<LogLine> {
  const before = lines.length;
  await attempt();
  return waitFor('the line in the log', () => lines.slice(before).find(({ msg }) => /refused/.test(msg ?? '')));
}

before(async () => {
  if (skip === false) directory = await temporaryDirectory(cleanup);
});

describe("a data plane's inbound port", { skip }, () => {
  const authority = new TestAuthority('mesh root');
  const stranger = new TestAuthority('mesh root');
  const cases: {
    readonly name: string;
    readonly identity: () => Promise<Files | undefined>;
    readonly alert: RegExp;
    readonly reason: string;
  }[] = [
    {
      name: 'no certificate',
      identity: async () => undefined,
      alert: /alert certificate required.*alert number 116/,
      reason: 'no-certificate',
    },
    { name: 'self-signed', identity: () => selfSigned('self'), alert: /alert unknown ca.*alert number 48/, reason: 'unknown-authority' },
    {
      name: 'another authority of the same name',
      identity: () => files('stranger', stranger.service('web')),
      alert: /alert unknown ca.*alert number 48/,
      reason: 'unknown-authority',
    },
    {
      name: 'expired',
      identity: () =>
        files('expired', authority.leaf({ uris: [WEB], notBeforeMs: Date.now() - 2 * HOUR_MS, notAfterMs: Date.now() - HOUR_MS })),
      alert: /alert certificate expired.*alert number 45/,
      reason: 'expired',
    },
    {
      name: 'not yet valid',
      identity: () => files('early', authority.leaf({ uris: [WEB], notBeforeMs: Date.now() + HOUR_MS })),
      alert: /alert certificate expired.*alert number 45/,
      reason: 'not-yet-valid',
    },
    {
      name: 'wrong trust domain',
      identity: () => files('elsewhere', authority.service('web', 'elsewhere.test')),
      alert: /alert access denied.*alert number 49/,
      reason: 'trust-domain',
    },
    {
      name: 'no SPIFFE id',
      identity: () => files('named', authority.leaf({ uris: [], dns: ['web.shop.test'] })),
      alert: /alert certificate unknown.*alert number 46/,
      reason: 'no-spiffe-id',
    },
    {
      name: 'denied',
      identity: () => files('denied', authority.service('denied')),
      alert: /alert access denied.*alert number 49/,
      reason: 'denied',
    },
  ];
  let mesh: TestMesh;
  let orders: Plane;

  /** A new data plane, whose log says again what one has said already. */
  async function inbound(): Promise<number> {
    mesh = new TestMesh();
    const { port } = await mesh.application((_request, response) => response.end('hello from orders'));
    orders = mesh.plane('orders');
    const inboundPort = await mesh.inbound(orders.plane, 'orders', 'orders-1', port);
    orders.plane.setIdentity('default/orders/orders-1', authority.service('orders'));
    await trust(authority.rootsPem);
    return inboundPort;
  }

  const trust = (rootsPem: string): Promise<void> => {
    const denied = ['spiffe://shop.test/ns/default/svc/denied'];
    return mustApply(orders.plane, { kind: 'secret', upserts: [{ name: 'trust-bundle', rootsPem, denied }], removed: [] });
  };

  for (const { name, identity, alert, reason } of cases)
    test(`refuses openssl and curl: ${name}`, async () => {
      const port = await inbound();
      try {
        const presented = await identity();
        let said = '';
        const line = await reasonOf(orders.lines as readonly LogLine[], async () => {
          said = await sClient(port, 'http/1.1', presented);
        });
        assert.match(said, alert);
        assert.doesNotMatch(said, /hello from orders/);
        assert.equal(line.reason, reason, line.detail ?? '');
        assert.match(line.peer ?? '', /^127\.0\.0\.1:\d+$/);
        const certificate = presented === undefined ? [] : ['--cert', presented.cert, '--key', presented.key];
        const { code, stderr, stdout } = await tryCurl(undefined, '-k', ...certificate, `https://127.0.0.1:${port}/`);
        assert.notEqual(code, 0);
        assert.match(stderr, new RegExp(/alert [a-z ]*[a-z]/.exec(alert.source)![0]), stdout.toString());
        const counted = new RegExp(`heddle_tls_refused_handshakes_total\\{[^}]*reason="${reason}"\\} 2`);
        await waitFor('both to be counted', () => counted.test(orders.metrics.expose()));
      } finally {
        await mesh.close();
      }
    });

  test('refuses TLS 1.2, and TLS without a protocol that it speaks', async () => {
    const port = await inbound();
    try {
      const web = await files('web', authority.service('web'));
      const older = await reasonOf(orders.lines as readonly LogLine[], async () => {
        assert.match(await sClient(port, 'h2', web, ['-tls1_2']), /alert protocol version.*alert number 70/);
      });
      assert.equal(older.reason, 'tls-version');
      const other = await reasonOf(orders.lines as readonly LogLine[], async () => {
        assert.match(await sClient(port, 'imap', web), /alert no application protocol.*alert number 120/);
      });
      assert.equal(other.reason, 'no-common-protocol');
    } finally {
      await mesh.close();
    }
  });

  test('lets a good one pass: by openssl, by curl over HTTP/1.1 and HTTP/2', async () => {
    const port = await inbound();
    try {
      const web = await files('web', authority.service('web'));
      const roots = join(directory, 'roots.pem');
      await writeFile(roots, authority.rootsPem);
      const said = await sClient(port, 'http/1.1', web, ['-CAfile', roots, '-verify_return_error']);
      assert.match(said, /Verify return code: 0 \(ok\)[\s\S]*hello from orders/);
      for (const version of ['--http1.1', '--http2']) {
        const { code, stdout, stderr } = await tryCurl(
          undefined,
          '-k',
          version,
          '--cert',
          web.cert,
          '--key',
          web.key,
          `https://127.0.0.1:${port}/`,
        );
        assert.deepEqual([code, stdout.toString()], [0, 'hello from orders'], stderr);
      }
    } finally {
      await mesh.close();
    }
  });

  test('a session from before a rotation of the roots opens nothing, with its certificate or without', async () => {
    const port = await inbound();
    try {
      const web = await files('web', authority.service('web'));
      const session = join(directory, 'session.pem');
      assert.match(await sClient(port, 'http/1.1', web, ['-sess_out', session]), /hello from orders/);
      const again = await sClient(port, 'http/1.1', web, ['-sess_in', session]);
      assert.match(again, /New, TLSv1\.3[\s\S]*hello from orders/);
      orders.plane.setIdentity('default/orders/orders-1', stranger.service('orders'));
      await trust(stranger.rootsPem);
      const withIt = await sClient(port, 'http/1.1', web, ['-sess_in', session]);
      assert.match(withIt, /alert unknown ca/);
      const without = await sClient(port, 'http/1.1', undefined, ['-sess_in', session]);
      assert.match(without, /alert certificate required/);
      for (const said of [withIt, without]) assert.doesNotMatch(said, /Reused|hello from orders/);
      const next = await files('next', stranger.service('web'));
      assert.match(await sClient(port, 'http/1.1', next, ['-sess_in', session]), /New, TLSv1\.3[\s\S]*hello from orders/);
    } finally {
      await mesh.close();
    }
  });

  /** The instance is `openssl s_server`; a data plane calls it. */
  async function calls(instance: Files, more: readonly string[] = []): Promise<{ said: string; answer: string; line: LogLine }> {
    mesh = new TestMesh();
    const web = mesh.plane('web');
    const port = await freePort();
    const local = new Cleanup();
    try {
      const server = start(local, 'openssl', [
        's_server',
        '-accept',
        `127.0.0.1:${port}`,
        '-alpn',
        'h2',
        '-cert',
        instance.cert,
        '-key',
        instance.key,
        ...more,
      ]);
      await server.until(/ACCEPT/);
      const outbound = await mesh.outbound(web.plane, 'orders', [endpoint(port, 'orders-1')]);
      web.plane.setIdentity('default/web/web-1', authority.service('web'));
      await mustApply(web.plane, { kind: 'secret', upserts: [{ name: 'trust-bundle', rootsPem: authority.rootsPem }], removed: [] });
      const answer = await (await fetch(`http://127.0.0.1:${outbound}/`)).text();
      await server.until(/alert|unsupported protocol/);
      const line = await waitFor('the line in the log', () =>
        (web.lines as readonly LogLine[]).find(({ msg }) => /TLS handshake came to nothing/.test(msg ?? '')),
      );
      return { said: server.output(), answer, line };
    } finally {
      await mesh.close();
      await local.run();
    }
  }

  test('is not taken for another: a caller refuses openssl with the identity of another service, and says why to both sides', async () => {
    const wrong = await calls(await files('payments', authority.service('payments')));
    assert.match(wrong.answer, /PEER_NOT_TRUSTED/);
    assert.match(wrong.said, /alert bad certificate/);
    assert.equal(wrong.line.reason, 'wrong-identity');
    assert.match(wrong.line.detail ?? '', new RegExp(`svc/payments, not ${ORDERS}`));
    const foreign = await calls(await selfSigned('instance'));
    assert.match(foreign.said, /alert unknown ca/);
    assert.equal(foreign.line.reason, 'unknown-authority');
    const past = authority.leaf({ uris: [ORDERS], notBeforeMs: Date.now() - 2 * HOUR_MS, notAfterMs: Date.now() - HOUR_MS });
    const expired = await calls(await files('past', past));
    assert.match(expired.said, /alert certificate expired/);
    assert.equal(expired.line.reason, 'expired');
    const older = await calls(await files('orders', authority.service('orders')), ['-tls1_2']);
    assert.equal(older.line.reason, 'tls-version');
  });
});

describe("the control plane's port", { skip }, () => {
  const lines: LogLine[] = [];
  let plane: RunningControl;
  let web: Files;

  /** Life of certificates, so short that one can be seen to end. */
  const TTL_MS = 2_000;
  const logger: Logger = createLogger({
    level: 'info',
    format: 'json',
    destination: { write: (line) => void lines.push(JSON.parse(line) as LogLine) },
  });

  before(async () => {
    plane = await control(cleanup, { logger, certificateTtlMs: TTL_MS });
    web = await files('controlled', await certificateOf(plane, 'web'));
  });

  /** The request is no HTTP/2: whoever is let in gets a GOAWAY, in which there is no alert. */
  const attempt = (identity: Files | undefined, ...more: readonly string[]): Promise<string> => sClient(plane.port, 'h2', identity, more);

  async function refused(identity: Files | undefined, alert: RegExp, reason: string, ...more: readonly string[]): Promise<void> {
    let said = '';
    const line = await reasonOf(lines, async () => {
      said = await attempt(identity, ...more);
    });
    assert.match(said, alert);
    assert.equal(line.reason, reason, line.detail ?? '');
  }

  test('lets a member of the mesh in, and one without a certificate, who may only join', async () => {
    const session = join(directory, 'control-session.pem');
    assert.doesNotMatch(await attempt(web, '-sess_out', session), /alert number/);
    assert.doesNotMatch(await attempt(undefined), /alert number/);
    // An old session counts for nothing: the certificate is asked for again.
    assert.match(await attempt(web, '-sess_in', session), /New, TLSv1\.3/);
  });

  test('refuses strangers, the past and old protocols', async () => {
    const stranger = new TestAuthority('heddle');
    await refused(await selfSigned('nobody'), /alert unknown ca/, 'unknown-authority');
    assert.match(await attempt(await files('other', stranger.service('web', 'test'))), /alert unknown ca/);
    await refused(undefined, /alert protocol version/, 'tls-version', '-tls1_2');
    await refused(web, /alert no application protocol/, 'no-common-protocol', '-alpn', 'http/1.1');
    await waitFor('the certificate to end', async () => /alert certificate expired/.test(await attempt(web)));
    assert.ok(lines.some(({ reason }) => reason === 'expired'));
    const { stderr } = await tryCurl(undefined, '-k', '--http2', '--cert', web.cert, '--key', web.key, `https://127.0.0.1:${plane.port}/`);
    assert.match(stderr, /alert certificate expired/);
  });
});
