// Ports: those of a mesh that runs answer, and those that `heddle up` would take are free.
import { connect } from 'node:net';
import { connectableAddress, type ControlInfo } from '../state-directory.ts';
import type { UpInfo } from '../up/lock.ts';
import { holderText, listenProblem } from '../up/ports.ts';
import { failed, ok, type Finding } from './finding.ts';

const TIMEOUT_MS = 3_000;
const LOOPBACK = '127.0.0.1';

interface Port {
  readonly what: string;
  readonly address: string;
  readonly port: number;
}

/** As `heddle up` takes them where nobody says otherwise. */
const DEFAULTS: readonly Port[] = [
  { what: 'HTTP proxy', address: LOOPBACK, port: 15_001 },
  { what: 'control plane', address: LOOPBACK, port: 15_010 },
  { what: 'proxy admin', address: LOOPBACK, port: 15_020 },
  { what: 'names by DNS', address: LOOPBACK, port: 15_053 },
  { what: 'REST API', address: LOOPBACK, port: 15_080 },
];

/** Of a mesh that runs. */
export async function checkPorts(control: ControlInfo | undefined, up: UpInfo | undefined): Promise<Finding> {
  const ports = [
    ...(control === undefined ? [] : [{ what: 'control plane', address: connectableAddress(control.address), port: control.port }]),
    ...(control?.rest === undefined ? [] : [{ what: 'REST API', ...control.rest, address: connectableAddress(control.rest.address) }]),
    ...(control?.dns === undefined ? [] : [{ what: 'names by DNS', ...control.dns, address: connectableAddress(control.dns.address) }]),
    ...(up === undefined
      ? []
      : [
          { what: 'HTTP proxy', address: LOOPBACK, port: up.proxyPort },
          { what: 'proxy admin', address: LOOPBACK, port: up.adminPort },
        ]),
  ];
  const problems = await Promise.all(ports.map(async (port) => ({ port, problem: await connectProblem(port) })));
  const silent = problems.filter(({ problem }) => problem !== undefined);
  if (silent.length === 0) return ok('ports', `${ports.map(({ what, port }) => `${what} ${port}`).join(', ')} answer`);
  return failed(
    'ports',
    silent.map(({ port: { what, port }, problem }) => `${what}, port ${port}: ${problem}`).join('; '),
    'who should be reached there is not',
    'see the output of `heddle up`, or start the mesh again',
  );
}

/** Where no mesh runs: whether one could be started. */
export async function checkFreePorts(): Promise<Finding> {
  const problems = await Promise.all(DEFAULTS.map(async (one) => ({ one, problem: await listenProblem(one.address, one.port) })));
  const taken = problems.filter(({ problem }) => problem !== undefined);
  if (taken.length === 0) return ok('ports', `${DEFAULTS.map(({ port }) => port).join(', ')} are free for a mesh`);
  return failed(
    'ports',
    taken
      .map(
        ({ one: { what, port }, problem }) =>
          `${port} (${what}) ${problem?.code === 'EADDRINUSE' ? `is in use${holderText(port)}` : `cannot be taken: ${problem?.message}`}`,
      )
      .join('; '),
    '`heddle up` cannot take them',
    'stop what holds them, or choose others with --control-port, --proxy-port, --admin-port, --dns-port and --rest-port',
  );
}

/** Undefined: somebody takes connections there. */
function connectProblem({ address, port }: Port): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: TIMEOUT_MS });
    const over = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.once('connect', () => over(undefined));
    socket.once('timeout', () => over(`no answer within ${TIMEOUT_MS / 1_000} s`));
    socket.once('error', (error: NodeJS.ErrnoException) => over(error.code === 'ECONNREFUSED' ? 'nobody listens' : error.message));
  });
}
