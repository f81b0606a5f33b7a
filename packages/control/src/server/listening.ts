// Taking a port, and what people are told when it cannot be had.
import type { Server } from 'node:net';

export interface ListenWords {
  /** Begins the sentence: "The control plane". */
  readonly who: string;
  /** Ends it after "choose another port" or "choose one it has": "with --listen ADDRESS:PORT". */
  readonly how: string;
}

/** The port could not be taken; the message names it and says what to do. */
export class ListenError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
  }
}

/** Rejects with ListenError. */
export function listenOn(server: Server, address: string, port: number, words: ListenWords): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(listenError(error.code, address, port, words, error));
    server.once('error', fail);
    server.listen({ host: address, port }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

/** `code`: that of the system. */
export function listenError(code: string | undefined, address: string, port: number, { who, how }: ListenWords, cause: Error): ListenError {
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new ListenError(
        `${who} cannot listen on ${place}: the port is in use. Stop the process that holds it, or choose another port ${how}.`,
        cause,
      );
    case 'EACCES':
      return new ListenError(
        `${who} may not listen on ${place}: ports below 1024 need special rights (CAP_NET_BIND_SERVICE). Choose another port ${how}.`,
        cause,
      );
    case 'EADDRNOTAVAIL':
      return new ListenError(`${who} cannot listen on ${place}: this machine has no such address. Choose one it has ${how}.`, cause);
    default:
      return new ListenError(`${who} cannot listen on ${place}: ${cause.message}`, cause);
  }
}

export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(?:\.\d{1,3}){3}$/.test(address);
}
