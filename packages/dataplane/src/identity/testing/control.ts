// A small real control plane for tests: a root of its own, TLS 1.3, and the Identity service over grpc-js. Tests only.
import { randomBytes } from 'node:crypto';
import tls from 'node:tls';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { identity } from '@heddle/api';
import type { IdentityServer } from '@heddle/api/grpc-js';
import {
  type CertificateInput,
  certificateTbs,
  distinguishedName,
  encodePem,
  formatJoinToken,
  type JoinToken,
  lateRenewalStatement,
  withSignature,
} from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { generateKeyPair, isSignature, keyIdentifier, pinOfKey, readCsr, readPeerId, sha256 } from '@heddle/runtime/node';

export class TestRoot {
  readonly key = generateKeyPair();
  readonly pem: string;
  readonly pin = pinOfKey(this.key.spkiDer);
  readonly trustDomain: string;

  constructor(trustDomain = 'shop') {
    this.trustDomain = trustDomain;
    this.pem = this.issue(this.key.spkiDer, `spiffe://${trustDomain}`, 3_600_000, { role: 'authority', subjectDer: this.#name });
  }

  get #name(): Uint8Array {
    return distinguishedName({ commonName: 'test root' });
  }

  issue(spkiDer: Uint8Array, uri: string, lifeMs: number, change: Partial<CertificateInput> = {}): string {
    const nowMs = Date.now();
    const tbs = certificateTbs({
      serial: randomBytes(16),
      issuerDer: this.#name,
      subjectDer: distinguishedName({ commonName: 'leaf' }),
      notBeforeMs: nowMs - 60_000,
      notAfterMs: nowMs + lifeMs,
      spkiDer,
      role: 'leaf',
      names: { uris: [uri] },
      subjectKeyId: keyIdentifier(spkiDer),
      authorityKeyId: keyIdentifier(this.key.spkiDer),
      ...change,
    });
    return encodePem('CERTIFICATE', withSignature(tbs, this.key.sign(tbs)));
  }
}

export type Answer = Partial<identity.SignResponse> | { readonly code: status; readonly details: string };

export interface TestControlOptions {
  readonly root: TestRoot;
  /** Whom the server says to be. Default: the control plane of the root's trust domain. */
  readonly uri?: string;
  /** Who really signed the server's certificate, which names `root` as its issuer. Default: `root`. */
  readonly signedBy?: TestRoot;
  readonly port?: number;
  /** Default: signs for the token's service, or for the client certificate's identity. */
  answer?(call: TestCall): Answer;
}

export interface TestCall {
  readonly joinToken: string;
  /** Of the client certificate; empty without one. */
  readonly peer: string;
  readonly spkiDer: Uint8Array;
  /** Whose ended certificate was shown, and whether the request was signed with its key. */
  readonly late: { readonly peer: string; readonly isProven: boolean } | undefined;
}

export interface TestControl {
  readonly port: number;
  readonly calls: readonly TestCall[];
  stop(): Promise<void>;
}

export async function startTestControl(t: TestContext, options: TestControlOptions): Promise<TestControl> {
  const { root } = options;
  const key = generateKeyPair();
  const leaf = (options.signedBy ?? root).issue(
    key.spkiDer,
    options.uri ?? `spiffe://${root.trustDomain}/ns/heddle-system/svc/control`,
    3_600_000,
    { authorityKeyId: keyIdentifier(root.key.spkiDer) },
  );
  const calls: TestCall[] = [];
  const peers = new Map<string, string>();
  const implementation: IdentityServer = {
    sign: (call, callback) => {
      const seen: TestCall = {
        joinToken: call.request.joinToken,
        peer: peers.get(call.getPeer()) ?? '',
        spkiDer: readCsr(call.request.csrDer),
        late: readLate(call.request),
      };
      calls.push(seen);
      const answer = options.answer?.(seen) ?? signFor(root, seen, 3_600_000);
      if ('code' in answer) callback({ code: answer.code, details: answer.details });
      else callback(null, identity.SignResponse.create(answer));
    },
    watchTrust: (call) => call.end(),
  };
  const server = new Server();
  server.addService(identity.IdentityService, implementation);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const door = tls.createServer({
    cert: leaf + root.pem,
    key: key.keyPem,
    ca: root.pem,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  door.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    const certificate = socket.getPeerX509Certificate();
    const svid = certificate !== undefined && socket.authorized ? readPeerId(certificate) : undefined;
    if (svid?.ok === true) peers.set(`${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`, svid.uri);
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve) => door.listen(options.port ?? 0, '127.0.0.1', resolve));
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    server.forceShutdown();
    injector.destroy();
    await new Promise((resolve) => door.close(resolve));
  };
  t.after(stop);
  return { port: (door.address() as AddressInfo).port, calls, stop };
}

function readLate({ lateRenewal, csrDer }: identity.SignRequest): TestCall['late'] {
  if (lateRenewal === undefined) return undefined;
  const { certificateDer, signature } = lateRenewal;
  const svid = readPeerId(certificateDer);
  if (!svid.ok) return undefined;
  const statement = lateRenewalStatement(sha256(certificateDer), sha256(csrDer));
  return { peer: svid.uri, isProven: isSignature(svid.facts.spkiDer, statement, signature) };
}

/** What an honest control plane answers. */
export function signFor(root: TestRoot, call: TestCall, lifeMs: number): Answer {
  const { joinToken, late } = call;
  const peer = late?.isProven === true ? late.peer : call.peer;
  if (joinToken === '' && peer === '') return { code: status.UNAUTHENTICATED, details: 'who are you?' };
  const uri = joinToken === '' ? peer : `spiffe://${root.trustDomain}/ns/default/svc/orders`;
  return { certificatePem: root.issue(call.spkiDer, uri, lifeMs), rootsPem: root.pem, spiffeId: uri };
}

/** A token for `default/orders`. */
export function testToken(root: TestRoot, change: Partial<JoinToken> = {}): string {
  return formatJoinToken({
    id: 'AAAABBBBCCCC',
    namespace: 'default',
    service: 'orders',
    pin: root.pin,
    notAfterMs: Date.now() + 60_000,
    secret: randomBytes(32),
    ...change,
  });
}

/** Time that the test moves; the wall starts at the real time, because certificates are checked against it. */
export class TestClock implements Clock {
  readonly #startMs = Date.now();
  #passedMs = 0;
  #sleptMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  wallMs(): number {
    return this.#startMs + this.#passedMs + this.#sleptMs;
  }

  nowMs(): number {
    return this.#passedMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#passedMs + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  get sleepers(): number {
    return this.#timers.size;
  }

  /** As when the machine is suspended: timers stand still, the time of day goes on. */
  sleep(forMs: number): void {
    this.#sleptMs += forMs;
  }

  advance(byMs: number): void {
    this.#passedMs += byMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#passedMs || !this.#timers.delete(timer)) continue;
      timer.run();
    }
  }
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly text: string;
}

export function recordingLogger(lines: LogLine[]): Logger {
  const write =
    (level: LogLine['level']) =>
    (fields: object, message: string): void =>
      void lines.push({ level, message, text: JSON.stringify(fields) });
  const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => logger };
  return logger;
}

/** Resolves when the condition holds; rejects after 10 s. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
