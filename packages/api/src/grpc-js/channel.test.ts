import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { Metadata, Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { certificateTbs, distinguishedName, encodePem, withSignature } from '@heddle/core';
import { controlTarget } from '../channel.ts';
import { IdentityService, SignRequest, SignResponse } from '../services/identity.ts';
import { controlChannelCredentials, controlChannelOptions, operatorMetadata } from './channel.ts';
import { IdentityClient, type IdentityServer } from './clients.ts';

const CONTROL = 'spiffe://shop/ns/heddle-system/svc/control';

interface Party {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly key: KeyObject;
}

function party(uri: string, role: 'authority' | 'leaf', issuer?: Party): Party {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const rootName = distinguishedName({ commonName: 'root' });
  const tbs = certificateTbs({
    serial: new Uint8Array(16).fill(3),
    issuerDer: rootName,
    subjectDer: role === 'authority' ? rootName : distinguishedName({ commonName: 'leaf' }),
    notBeforeMs: Date.now() - 60_000,
    notAfterMs: Date.now() + 600_000,
    spkiDer: publicKey.export({ type: 'spki', format: 'der' }),
    role,
    names: { uris: [uri] },
    subjectKeyId: new Uint8Array(20),
    authorityKeyId: new Uint8Array(20),
  });
  const certificatePem = encodePem('CERTIFICATE', withSignature(tbs, sign('sha256', tbs, issuer?.key ?? privateKey)));
  return { certificatePem, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, key: privateKey };
}

const root = party('spiffe://shop', 'authority');
const workload = party('spiffe://shop/ns/default/svc/web', 'leaf', root);

/** A server that answers with the bearer token it was shown. */
async function serve(t: TestContext, leaf: Party): Promise<number> {
  const server = new Server();
  const implementation: IdentityServer = {
    sign: (call, callback) => {
      callback(null, SignResponse.create({ spiffeId: 'answered', certificatePem: String(call.metadata.get('authorization')[0] ?? '') }));
    },
    watchTrust: (call) => call.end(),
  };
  server.addService(IdentityService, implementation);
  const credentials = ServerCredentials.createSsl(
    Buffer.from(root.certificatePem),
    [{ cert_chain: Buffer.from(leaf.certificatePem), private_key: Buffer.from(leaf.keyPem) }],
    false,
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  t.after(() => server.forceShutdown());
  return port;
}

async function ask(t: TestContext, port: number, metadata = new Metadata()): Promise<SignResponse> {
  const credentials = controlChannelCredentials({ rootsPem: root.certificatePem, expectedSpiffeId: CONTROL });
  const client = new IdentityClient(controlTarget('127.0.0.1', port), credentials, controlChannelOptions());
  t.after(() => client.close());
  return await new Promise((resolve, reject) => {
    client.sign(SignRequest.create(), metadata, { deadline: Date.now() + 10_000 }, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

test('the control plane is reached by its identity, with a bearer token or without', async (t) => {
  const port = await serve(t, party(CONTROL, 'leaf', root));
  assert.equal((await ask(t, port)).certificatePem, '');
  assert.equal((await ask(t, port, operatorMetadata('secret'))).certificatePem, 'Bearer secret');
});

test('an HTTP proxy in the environment has no part in it', async (t) => {
  process.env.http_proxy = 'http://127.0.0.1:1';
  t.after(() => delete process.env.http_proxy);
  const port = await serve(t, party(CONTROL, 'leaf', root));
  assert.equal((await ask(t, port)).spiffeId, 'answered');
});

test('a server with another identity or of another root is not talked to', async (t) => {
  const other = party('spiffe://shop', 'authority');
  for (const [leaf, reason] of [
    [
      party('spiffe://shop/ns/default/svc/web', 'leaf', root),
      /the server is spiffe:\/\/shop\/ns\/default\/svc\/web, not spiffe:\/\/shop\/ns\/heddle-system\/svc\/control/,
    ],
    [party('spiffe://bank/ns/heddle-system/svc/control', 'leaf', root), /the server is spiffe:\/\/bank/],
    [party('https://control.mesh.internal', 'leaf', root), /not of the form/],
    [party(CONTROL, 'leaf', other), /certificate|signature|self/],
  ] as const) {
    await assert.rejects(
      ask(t, await serve(t, leaf)),
      (error: ServiceError) => error.code === status.UNAVAILABLE && reason.test(error.details),
      String(reason),
    );
  }
});

test('half a key pair is refused', () => {
  assert.throws(
    () => controlChannelCredentials({ rootsPem: root.certificatePem, certificatePem: workload.certificatePem, expectedSpiffeId: CONTROL }),
    /needs its key/,
  );
  assert.throws(
    () => controlChannelCredentials({ rootsPem: root.certificatePem, keyPem: workload.keyPem, expectedSpiffeId: CONTROL }),
    /needs its key/,
  );
});

test('addresses are written as grpc-js reads them', () => {
  assert.equal(controlTarget('127.0.0.1', 1), '127.0.0.1:1');
  assert.equal(controlTarget('::1', 15_010), '[::1]:15010');
  assert.equal(controlTarget('localhost', 1), 'localhost:1');
});
