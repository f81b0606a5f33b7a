// What a person or a peer gets for bad input: a clear error or the right status, and everything goes on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { callThroughProxy } from '../support/load.ts';
import { ECHO, heddle, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

const MESH = `
mesh: test
services:
  echo: { port: 8080, run: "exec {{ECHO}}", health: { http: /healthz, interval: 500ms, timeout: 400ms } }
  missing: { port: 8081, run: no-such-command --flag }
`;
const URL_OF_ECHO = 'http://echo.mesh.internal/';

const MALFORMED: readonly { readonly what: string; readonly request: string; readonly status: number }[] = [
  { what: 'a bad method', request: 'GE(T http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\n\r\n', status: 400 },
  {
    what: 'a header without a colon',
    request: 'GET http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\nnonsense\r\n\r\n',
    status: 400,
  },
  {
    what: 'white space before the colon',
    request: 'GET http://echo.mesh.internal/ HTTP/1.1\r\nhost : echo.mesh.internal\r\n\r\n',
    status: 400,
  },
  {
    what: 'both length and chunked',
    request:
      'POST http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    status: 400,
  },
  {
    what: 'two lengths that differ',
    request: 'POST http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
    status: 400,
  },
  { what: 'no host', request: 'GET / HTTP/1.1\r\n\r\n', status: 400 },
  {
    what: 'a chunk size that is no number',
    request: 'POST http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    status: 400,
  },
  {
    what: 'an unknown transfer coding',
    request: 'POST http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\ntransfer-encoding: br\r\n\r\n',
    status: 501,
  },
  {
    what: 'an HTTP version of the future',
    request: 'GET http://echo.mesh.internal/ HTTP/3.0\r\nhost: echo.mesh.internal\r\n\r\n',
    status: 505,
  },
  {
    what: 'an oversized head',
    request: `GET http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\nx-big: ${'a'.repeat(100_000)}\r\n\r\n`,
    status: 431,
  },
  {
    what: 'a service that does not exist',
    request: 'GET http://nobody.mesh.internal/ HTTP/1.1\r\nhost: nobody.mesh.internal\r\n\r\n',
    status: 404,
  },
  {
    what: 'a wrong proxy credential',
    request: 'GET http://echo.mesh.internal/ HTTP/1.1\r\nhost: echo.mesh.internal\r\nproxy-authorization: Basic d3Jvbmc6\r\n\r\n',
    status: 407,
  },
  {
    what: 'a service whose command is missing',
    request: 'GET http://missing.mesh.internal/ HTTP/1.1\r\nhost: missing.mesh.internal\r\n\r\n',
    status: 503,
  },
];

describe('bad input to a running mesh', () => {
  let mesh: RunningMesh;
  before(async () => {
    mesh = await startUp(MESH);
  });
  after(() => mesh.stop());

  for (const { what, request, status } of MALFORMED) {
    it(`${what} gets ${status} with a code and a reason, and the proxy lives on`, async () => {
      const answer = await rawAnswer(mesh.proxy.port, request);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(answer, /\r\nx-heddle-error: [A-Z_]+\r\n/i);
      assert.ok((answer.split('\r\n\r\n')[1] ?? '').length > 20, 'no reason in the body');
      assert.equal((await callThroughProxy({ proxy: mesh.proxy, url: URL_OF_ECHO })).status, 200);
    });
  }

  it('a missing command is told by name while the other services run', () => {
    assert.match(mesh.output(), /missing-1.*no-such-command/);
    assert.match(mesh.output(), /ready: mesh test, except for 1 of 2 instances/);
  });

  it('a second mesh on the same ports is refused, naming the port and the flag', async () => {
    const other = await mkdtemp(join(tmpdir(), 'heddle-second-'));
    try {
      await writeFile(join(other, 'heddle.yaml'), MESH.replaceAll('{{ECHO}}', ECHO));
      const { code, stderr } = await heddle(
        ['up', '-f', 'heddle.yaml', '--state-dir', '.heddle', '--proxy-port', String(mesh.proxy.port)],
        { cwd: other },
      );
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`${mesh.proxy.port}`));
      assert.match(stderr, /--proxy-port/);
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });

  it('a join token that is none, and one of another service, are refused with the reason', async () => {
    const run = (token: string, service = 'echo') =>
      heddle(
        ['run', '--service', service, '--instance', 'extra-1', '--inbound-port', '0', '--port', '1', ...controlFlags(mesh), '--', 'true'],
        {
          cwd: mesh.directory,
          env: { HEDDLE_JOIN_TOKEN: token },
        },
      );
    const malformed = await run('nonsense');
    assert.equal(malformed.code, 1);
    assert.match(malformed.stderr, /join token/i);

    const { stdout } = await mesh.heddle('token', 'create', '--service', 'missing');
    const foreign = await run(stdout.trim());
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /default\/missing/);
  });

  it('lists what is wrong with a mesh file, all of it, with its place', async () => {
    const path = join(mesh.directory, 'bad.yaml');
    await writeFile(path, 'mesh: test\nservices:\n  a:\n    port: 99999\n    protocl: http\n  b: { port: 80, uses: [c] }\n');
    const { code, stdout, stderr } = await heddle(['validate', '-f', path]);
    assert.equal(code, 1);
    const text = stdout + stderr;
    assert.match(text, /bad\.yaml:4:11: error/);
    assert.match(text, /bad\.yaml:5:5: error.*protocl/);
    assert.match(text, /protocol/);
    assert.match(text, /bad\.yaml:6:\d+: error/);
  });

  it('a port that another program holds is told when the control plane is started', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const state = join(mesh.directory, 'other-state');
      const { code, stderr } = await heddle([
        'control',
        '-f',
        join(mesh.directory, 'heddle.yaml'),
        '--state-dir',
        state,
        '--listen',
        `127.0.0.1:${port}`,
      ]);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`${port}`));
    } finally {
      server.close();
    }
  });

  it('wrong usage ends with exit code 2 and a hint', async () => {
    const { code, stderr } = await heddle(['vaildate']);
    assert.equal(code, 2);
    assert.match(stderr, /validate/);
  });

  it('is still all there after all this', async () => {
    await waitFor('a 200', async () => (await callThroughProxy({ proxy: mesh.proxy, url: URL_OF_ECHO })).status === 200);
    assert.equal((await mesh.instances()).find(({ instance }) => instance === 'echo-1')?.health, 'healthy');
  });
});

function controlFlags(mesh: RunningMesh): string[] {
  return ['--state-dir', mesh.stateDirectory];
}

function rawAnswer(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const done = () => {
      const length = /content-length: (\d+)/i.exec(text);
      const head = text.indexOf('\r\n\r\n');
      if (length !== null && head >= 0 && text.length >= head + 4 + Number(length[1])) {
        socket.destroy();
        resolve(text);
      }
    };
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      done();
    });
    socket.on('error', (error) => (text === '' ? reject(error) : undefined));
    socket.on('close', () => resolve(text));
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.write(request);
  });
}
