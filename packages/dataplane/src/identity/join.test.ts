import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { parseJoinToken } from '@heddle/core';
import { generateKeyPair, nodeClock, nodeGrpc, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import { join } from './join.ts';
import { type HeldIdentity, JoinError, type JoinErrorCode } from './sign-call.ts';
import { signFor, startTestControl, type TestControlOptions, TestRoot, testToken } from './testing/control.ts';

const root = new TestRoot();

function joinAt(port: number, tokenText = testToken(root), key = generateKeyPair(), signal?: AbortSignal): Promise<HeldIdentity> {
  const parsed = parseJoinToken(tokenText);
  assert.ok(parsed.ok);
  return join({
    grpc: nodeGrpc,
    control: { address: '127.0.0.1', port },
    token: parsed.token,
    tokenText,
    key,
    clock: nodeClock,
    timeoutMs: 5_000,
    signal,
  });
}

async function fails(joining: Promise<unknown>, code: JoinErrorCode, ...reasons: RegExp[]): Promise<JoinError> {
  try {
    await joining;
  } catch (error) {
    assert.ok(error instanceof JoinError, String(error));
    assert.equal(error.code, code, error.message);
    for (const reason of reasons) assert.match(error.message, reason);
    return error;
  }
  throw new assert.AssertionError({ message: 'it joined' });
}

async function failsAgainst(t: TestContext, options: TestControlOptions, code: JoinErrorCode, ...reasons: RegExp[]): Promise<JoinError> {
  const control = await startTestControl(t, options);
  return await fails(joinAt(control.port), code, ...reasons);
}

test('a workload with a token gets the certificate of its service', async (t) => {
  const control = await startTestControl(t, { root });
  const key = generateKeyPair();
  const tokenText = testToken(root);
  const held = await joinAt(control.port, tokenText, key);
  assert.deepEqual(held.id, { trustDomain: 'shop', namespace: 'default', name: 'orders' });
  assert.equal(held.keyPem, key.keyPem);
  assert.equal(held.rootsPem, root.pem);
  assert.equal(spkiPin(held.rootsPem), root.pin);
  assert.ok(verifyLeaf({ leaf: held.certificatePem, rootsPem: root.pem, nowMs: Date.now() }).ok);
  assert.deepEqual(
    control.calls.map((call) => call.joinToken),
    [tokenText],
  );
});

test('an impostor never sees the token', async (t) => {
  const impostor = new TestRoot();
  for (const [what, options, code, reason] of [
    ['another root', { root: impostor }, 'wrong-pin', /is not the one the token was made for.*make a new token/],
    ['the right root shown behind a foreign leaf', { root, signedBy: impostor }, 'not-control', /not issued by any/],
    [
      'a workload of the mesh',
      { root, uri: 'spiffe://shop/ns/default/svc/web' },
      'not-control',
      /is spiffe:\/\/shop\/ns\/default\/svc\/web, not the control plane/,
    ],
    [
      'the control plane of another trust domain',
      { root, uri: 'spiffe://bank/ns/heddle-system/svc/control' },
      'not-control',
      /not of trust domain shop/,
    ],
  ] as const) {
    const control = await startTestControl(t, options);
    const error = await fails(joinAt(control.port), code, reason);
    assert.equal(control.calls.length, 0, what);
    assert.equal(error.tokenRefused, false, 'the token is not at fault');
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${control.port}`), 'says where');
  }
});

test('a refusal of the token is passed on with its reason and is final', async (t) => {
  for (const code of [status.UNAUTHENTICATED, status.INVALID_ARGUMENT, status.PERMISSION_DENIED]) {
    const error = await failsAgainst(
      t,
      { root, answer: () => ({ code, details: 'The join token has been used already.' }) },
      'refused',
      /refused the workload: The join token has been used already\./,
    );
    assert.equal(error.tokenRefused, true);
  }
});

test('a control plane that has trouble of its own may be asked again', async (t) => {
  const internal = await failsAgainst(
    t,
    { root, answer: () => ({ code: status.INTERNAL, details: 'disk full' }) },
    'bad-answer',
    /INTERNAL: disk full/,
  );
  const away = await failsAgainst(
    t,
    { root, answer: () => ({ code: status.UNAVAILABLE, details: 'stopping' }) },
    'unreachable',
    /stopping/,
  );
  assert.deepEqual([internal.tokenRefused, away.tokenRefused], [false, false]);
});

test('nothing that is answered is believed unchecked', async (t) => {
  const impostor = new TestRoot();
  const orders = 'spiffe://shop/ns/default/svc/orders';
  const wrong = (change: object): TestControlOptions => ({ root, answer: (call) => ({ ...signFor(root, call, 60_000), ...change }) });
  await failsAgainst(t, wrong({ certificatePem: '' }), 'bad-answer', /no certificate/);
  await failsAgainst(t, wrong({ rootsPem: '' }), 'bad-answer', /not issued by any/);
  await failsAgainst(
    t,
    wrong({ certificatePem: root.issue(generateKeyPair().spkiDer, orders, 60_000) }),
    'bad-answer',
    /belongs to another key/,
  );
  await failsAgainst(
    t,
    {
      root,
      answer: ({ spkiDer }) => ({ certificatePem: root.issue(spkiDer, 'spiffe://shop/ns/default/svc/web', 60_000), rootsPem: root.pem }),
    },
    'bad-answer',
    /svc\/web, not of .*svc\/orders/,
  );
  await failsAgainst(
    t,
    { root, answer: ({ spkiDer }) => ({ certificatePem: impostor.issue(spkiDer, orders, 60_000), rootsPem: impostor.pem }) },
    'bad-answer',
    /the root that the token pins has no part in it/,
  );
  await failsAgainst(
    t,
    { root, answer: ({ spkiDer }) => ({ certificatePem: root.issue(spkiDer, orders, -1_000), rootsPem: root.pem }) },
    'bad-answer',
    /Set the clocks/,
  );
});

test('a control plane that is not there, says nothing, or speaks no TLS is named with the mend', async (t) => {
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .resume()
      .end('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await fails(joinAt(port), 'unreachable', /cannot be reached/);
  await new Promise((resolve) => server.close(resolve));
  await fails(joinAt(port), 'unreachable', /ECONNREFUSED/, /Check that `heddle control` runs there/);
});

test('joining can be given up', async (t) => {
  const server = createServer((socket) => void socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const abort = new AbortController();
  const joining = joinAt((server.address() as AddressInfo).port, testToken(root), generateKeyPair(), abort.signal);
  abort.abort();
  await fails(joining, 'cancelled');
});
