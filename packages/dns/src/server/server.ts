// The DNS server, put together: one port on UDP and TCP, the zone of a plane, forwarding of all other names.
import { DEFAULT_LIMITS, type Limits, type SocketAddress } from '@heddle/core';
import {
  type Clock,
  type Datagrams,
  type DatagramSocket,
  type ListeningSocket,
  type Logger,
  type Metrics,
  type Network,
  NetworkError,
  type Random,
} from '@heddle/runtime';
import { Forwarder } from '../forward/forwarder.ts';
import { type Resolvers, systemResolvers } from '../forward/resolvers.ts';
import type { AnswerMode } from '../zone/answer.ts';
import { dnsMetrics, type DnsMetrics } from './metrics.ts';
import { RateLimiter } from './rate-limit.ts';
import { Responder, type ZoneSource } from './responder.ts';
import { TcpServer } from './tcp.ts';

/** Where names that are not of the mesh are looked up: at the system's resolvers, at these, or not at all. */
export type Forwarding = 'system' | 'off' | readonly SocketAddress[];

/** What a person chooses about a DNS server. */
export interface DnsSettings {
  /** Port 0: the system chooses. The same port on UDP and TCP. */
  readonly listen: SocketAddress;
  /** What names of services stand for. */
  readonly answers: AnswerMode;
  /** How long clients may keep an answer, and that there is none. Default 5 s. */
  readonly ttlSeconds?: number;
  /** Default: the system's resolvers. */
  readonly forward?: Forwarding;
}

export interface DnsServerOptions extends DnsSettings {
  readonly source: ZoneSource;
  /** Text of the system's resolv.conf(5), as it is now; the same string while it is unchanged. */
  readonly resolvConf: () => string | undefined;
  /** Whether another process may take the port over while this one still serves (SO_REUSEPORT). Default `no`. `from-predecessor`: this one does. */
  readonly handover?: 'no' | 'to-successor' | 'from-predecessor';
  readonly datagrams: Datagrams;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  readonly limits?: Partial<Limits>;
}

export interface DnsServer {
  readonly address: SocketAddress;
  /** Closes the sockets and all connections; what is being looked up is left alone. */
  close(): Promise<void>;
}

export const DEFAULT_TTL_SECONDS = 5;
/** With port 0: UDP's choice may be taken on TCP. */
const PORT_TRIES_MAX = 20;
const LINE_EVERY_MS = 60_000;

/** Throws NetworkError when the port cannot be had; then nothing is left open. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { source, clock, random, logger, answers, ttlSeconds = DEFAULT_TTL_SECONDS } = options;
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const metrics = dnsMetrics(options.metrics);
  const forwarder = makeForwarder(options, limits, metrics);
  let serverAddresses: readonly string[] = [];
  const responder = new Responder({
    source,
    settings: () => ({ mode: answers, ttlSeconds, negativeTtlSeconds: ttlSeconds, serverAddresses }),
    forwarder,
    random: () => random.next(),
    udpBytes: limits.dnsUdpBytesMax,
    logger,
    metrics,
  });
  const limiter = new RateLimiter({
    perSecond: limits.dnsQueriesPerSecondMax,
    perSecondLocal: limits.dnsLocalQueriesPerSecondMax,
    clientsMax: limits.dnsClientsMax,
  });
  const admit = admission(limiter, clock, logger);
  const door = new UdpDoor(responder, admit, metrics);
  const { udp, tcp } = await bindBoth(options, (bytes, address, port) => door.received(bytes, address, port));
  door.socket = udp;
  const address: SocketAddress = { address: tcp.address, port: tcp.port };
  if (!isWildcard(address.address)) serverAddresses = [address.address];
  forwarder?.listensOn([address]);
  const streams = new TcpServer({
    limits,
    clock,
    metrics,
    respond: (message, client) => {
      // An address that holds a connection is not forged; to wait is enough.
      const verdict = admit(client);
      if (verdict === 'answer') return responder.respond(message, { address: client, transport: 'tcp' });
      metrics.rateLimited.dropped.add(1);
      return undefined;
    },
  });
  streams.serve(tcp);
  logger.info({ address: address.address, port: address.port, answers, forward: describe(options.forward) }, 'DNS is served');
  return {
    address,
    async close() {
      streams.close();
      await Promise.all([udp.close(), tcp.close()]);
    },
  };
}

type Admit = (client: string) => ReturnType<RateLimiter['admit']>;

/** With a line in the log about clients that ask too often: one a minute, however many there are. */
function admission(limiter: RateLimiter, clock: Clock, logger: Logger): Admit {
  let nextLineMs = -Infinity;
  return (client) => {
    const nowMs = clock.nowMs();
    const verdict = limiter.admit(client, nowMs);
    if (verdict !== 'answer' && nowMs >= nextLineMs) {
      nextLineMs = nowMs + LINE_EVERY_MS;
      logger.warn({ client }, 'a client asks for names too often (dnsQueriesPerSecondMax): some of its queries are not answered');
    }
    return verdict;
  };
}

/** Answers datagrams. */
class UdpDoor {
  socket: DatagramSocket | undefined;
  readonly #responder: Responder;
  readonly #admit: Admit;
  readonly #metrics: DnsMetrics;

  constructor(responder: Responder, admit: Admit, metrics: DnsMetrics) {
    this.#responder = responder;
    this.#admit = admit;
    this.#metrics = metrics;
  }

  received(bytes: Buffer, address: string, port: number): void {
    // Nobody can have sent from there; an answer would go nowhere.
    if (port === 0) return;
    const verdict = this.#admit(address);
    if (verdict === 'cut') this.#metrics.rateLimited.cut.add(1);
    if (verdict === 'drop') {
      this.#metrics.rateLimited.dropped.add(1);
      return;
    }
    const answer = this.#responder.respond(bytes, { address, transport: 'udp', isOverLimit: verdict === 'cut' });
    if (answer instanceof Promise) void answer.then((later) => this.#send(later, address, port));
    else this.#send(answer, address, port);
  }

  #send(answer: Buffer | undefined, address: string, port: number): void {
    if (answer !== undefined) this.socket?.send(answer, address, port);
  }
}

type OnMessage = (bytes: Buffer, address: string, port: number) => void;

interface Sockets {
  readonly udp: DatagramSocket;
  readonly tcp: ListeningSocket;
}

async function bindBoth(options: DnsServerOptions, onMessage: OnMessage): Promise<Sockets> {
  const { listen, handover = 'no' } = options;
  if (handover !== 'to-successor') return bindPort(options, listen.port, handover === 'from-predecessor', onMessage);
  // Sockets that share a port let others of the same user in unnoticed: so the port is had alone first.
  const alone = await bindPort(options, listen.port, false, () => {});
  await Promise.all([alone.udp.close(), alone.tcp.close()]);
  return bindPort(options, alone.udp.port, true, onMessage);
}

async function bindPort(
  { listen, datagrams, network }: DnsServerOptions,
  port: number,
  shared: boolean,
  onMessage: OnMessage,
): Promise<Sockets> {
  const { address } = listen;
  for (let attempt = 1; ; attempt += 1) {
    const udp = await datagrams.bind({ address, port, shared, onMessage });
    try {
      return { udp, tcp: await network.listen({ address, port: udp.port, shared }) };
    } catch (error) {
      await udp.close();
      const isTaken = error instanceof NetworkError && error.kind === 'address-in-use';
      if (!isTaken || port !== 0 || attempt === PORT_TRIES_MAX) throw error;
    }
  }
}

function makeForwarder(options: DnsServerOptions, limits: Limits, metrics: DnsMetrics): Forwarder | undefined {
  const { forward = 'system', resolvConf, datagrams, network, clock, random, logger } = options;
  if (forward === 'off') return undefined;
  const resolvers: Resolvers = forward === 'system' ? systemResolvers(resolvConf) : () => forward;
  return new Forwarder({ resolvers, datagrams, network, clock, random, logger, metrics, limits });
}

function describe(forward: Forwarding = 'system'): string {
  return typeof forward === 'string' ? forward : forward.map(({ address, port }) => `${address} port ${port}`).join(', ');
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
