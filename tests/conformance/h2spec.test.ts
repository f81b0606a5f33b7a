// h2spec (github.com/summerwind/h2spec), whole and strict, against the HTTP/2 listeners of a data plane with an application behind it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { TestMesh } from '../../packages/dataplane/src/testing/mesh.ts';
import type { Plane } from '../../packages/dataplane/src/testing/mesh.ts';
import { buildH2spec, missing, run } from '../../packages/wire/src/http2/testing/programs.ts';

const TIMEOUT_MS = 120_000;
/** Fewer would mean that sections were left out. */
const TESTS_MIN = 146;
const program = buildH2spec();
const skip = 'reason' in program && missing(program.reason);
/** Where the protocol is found out by the first bytes, a wrong preface is no HTTP/2: it is answered by HTTP/1.1. */
const NO_PREFACE = /Sends invalid connection preface\n\s+-> The endpoint MUST terminate the TCP connection/;

const mesh = new TestMesh();
let planes: Plane[];
const ports = { tls: 0, plaintext: 0 };

before(async () => {
  const application = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain');
    response.end('The quick brown fox jumps over the lazy dog.\n');
  });
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  mesh.onClose(() => {
    application.closeAllConnections();
    application.close();
  });
  const endpoint = {
    address: '127.0.0.1',
    port: (application.address() as AddressInfo).port,
    health: 'healthy',
    weight: 1,
    instance: 'app-1',
  } as const;
  planes = [];
  for (const kind of ['tls', 'plaintext'] as const) {
    const made = mesh.plane(kind);
    planes.push(made);
    const port = await mesh.outbound(made.plane, 'app', [endpoint], { cluster: { http: 'http1', tls: undefined } });
    ports[kind] = port;
    if (kind === 'plaintext') continue;
    made.plane.setCertificate('site', mesh.authority.service('app'));
    const bind = await made.plane.reserve({ address: '127.0.0.1', port: 0 });
    const reason = await made.plane.apply({
      kind: 'listener',
      upserts: [
        {
          name: 'site',
          direction: 'outbound',
          ...bind,
          workload: 'default/web/web-1',
          tls: { certificateName: 'site' },
          filter: { kind: 'http', routeConfigName: 'outbound/default/app' },
        },
      ],
      removed: [],
    });
    assert.equal(reason, undefined);
    ports.tls = bind.port;
  }
});
after(() => mesh.close());

async function h2spec(
  context: TestContext,
  port: number,
  ...args: readonly string[]
): Promise<{ output: string; all: number; failed: number }> {
  if ('reason' in program) throw new Error(program.reason);
  const target = ['--host', '127.0.0.1', '--port', String(port), '--strict', '--timeout', '3'];
  const { output } = await run(program.path, [...target, ...args, 'generic', 'hpack', 'http2'], TIMEOUT_MS);
  const [, all, passed, skipped, failed] = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output) ?? [];
  assert.equal(skipped, '0', output);
  assert.ok(Number(all) >= TESTS_MIN, output);
  context.diagnostic(`h2spec: ${passed} of ${all} passed`);
  assert.deepEqual(
    planes.flatMap(({ faults }) => faults),
    [],
  );
  return { output, all: Number(all), failed: Number(failed) };
}

test('a TLS listener passes h2spec: the generic, HPACK and HTTP/2 sections, strict cases included', { skip }, async (context) => {
  const { failed, output } = await h2spec(context, ports.tls, '--tls', '--insecure');
  assert.equal(failed, 0, output);
});

test('a plaintext listener, which takes HTTP/1.1 as well, passes it but for the wrong preface', { skip }, async (context) => {
  const { failed, output } = await h2spec(context, ports.plaintext);
  assert.equal(failed, 1, output);
  assert.match(output, NO_PREFACE);
});
