// What certificates a TLS server shows, before anything of it is trusted. Only for first contact: the caller compares a pin and
// then connects anew with the pinned root; no data is sent on this connection.
import type tls from 'node:tls';

export interface PresentedChainOptions {
  readonly address: string;
  readonly port: number;
  /** Connecting and handshake together. */
  readonly timeoutMs: number;
  readonly alpn?: readonly string[];
  readonly serverName?: string;
  /** Gives up at once. */
  readonly signal?: AbortSignal;
}

/** A chain is a leaf, perhaps an intermediate, and the root. */
const CHAIN_LENGTH_MAX = 8;

/** DER, leaf first, each followed by its issuer. Rejects with the socket's error, `ETIMEDOUT`, `ECONNRESET` or `ECANCELED`. */
export function presentedChain(options: PresentedChainOptions): Promise<Uint8Array[]> {
  const { signal, timeoutMs } = options;
  return new Promise((resolve, reject) => {
    const socket = process.getBuiltinModule('node:tls').connect({
      host: options.address,
      port: options.port,
      rejectUnauthorized: false, // Nothing is known yet; see the rule of this file.
      minVersion: 'TLSv1.3',
      ALPNProtocols: options.alpn === undefined ? undefined : [...options.alpn],
      servername: options.serverName,
    });
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      socket.destroy();
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    const abort = (): void => fail(withCode('given up', 'ECANCELED'));
    const timer = setTimeout(() => fail(withCode(`no TLS handshake within ${timeoutMs} ms`, 'ETIMEDOUT')), timeoutMs);
    socket.on('error', fail); // Stays: an error may still come after the promise has settled.
    socket.once('close', () => fail(withCode('the connection was closed during the TLS handshake', 'ECONNRESET')));
    socket.once('secureConnect', () => {
      const chain = chainOf(socket);
      settle();
      resolve(chain);
    });
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
  });
}

function chainOf(socket: tls.TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && chain.length < CHAIN_LENGTH_MAX) {
    chain.push(certificate.raw);
    const issuer: tls.DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer; // A root is its own issuer.
  }
  return chain;
}

function withCode(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
