// Whether the peer still lives: a PING when it has been silent for a while, also while there is no call, and then any byte of it counts. A
// connection that is dead without a word (a cable, a machine, a frozen process) is noticed by nothing else.
import type { ClientHttp2Session } from 'node:http2';
import type { GrpcChannelOptions } from '../../ports/grpc-client.ts';

/** `bytesRead`: of the connection so far. Returns what ends the watch. `onDead` is called at most once. */
export function watchPeer(
  session: ClientHttp2Session,
  bytesRead: () => number,
  { timeMs, timeoutMs }: GrpcChannelOptions['keepalive'],
  onDead: () => void,
): () => void {
  let seen = bytesRead();
  let timer: NodeJS.Timeout | undefined;
  const later = (delayMs: number, run: () => void): void => {
    clearTimeout(timer);
    timer = setTimeout(run, delayMs);
    timer.unref();
  };
  const look = (): void => {
    const before = seen;
    seen = bytesRead();
    if (seen !== before || session.destroyed) return later(timeMs, look);
    later(timeoutMs, judge);
    session.ping((error) => {
      if (error === null && timer !== undefined) later(timeMs, look);
    });
  };
  const judge = (): void => {
    if (bytesRead() === seen) onDead();
    else look();
  };
  later(timeMs, look);
  return () => {
    clearTimeout(timer);
    timer = undefined;
  };
}
