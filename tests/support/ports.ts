// Ports for programs that must be told theirs and cannot have the system choose.
import { createServer } from 'node:net';

// Below the ports that systems hand out by themselves (Linux 32768 and up, IANA 49152 and up), and below those that `heddle up` gives to its
// applications (20000 and up), which other tests run meanwhile: nobody else is given one of these.
const FIRST = 16_000;
const COUNT = 4_000;
const ATTEMPTS_MAX = 100;

/** Ports of the loopback that nobody listens on, each another, and on Linux none that another process has drawn and its program not yet taken. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt++) {
    if (attempt === ATTEMPTS_MAX + count) throw new Error(`no free port among ${attempt} from ${FIRST} to ${FIRST + COUNT - 1}`);
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if ((await isFree(port)) && (await isReserved(port))) ports.add(port);
  }
  return [...ports];
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * Whether the port is this process's from now on, until it ends: a name among the sockets of the machine says so, which only one can have. Two programs
 * that let others share their port, as Envoy does, would not notice that they have the same.
 */
function isReserved(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true);
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ path: `\0heddle-test-port-${port}` }, () => resolve(true)).unref();
  });
}
