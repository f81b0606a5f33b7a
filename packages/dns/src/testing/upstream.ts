// A small resolver for tests, on real sockets: answers what it is told to, counts what it is asked, and can be slow, silent or wrong.
import dgram from 'node:dgram';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import dnsPacket from 'dns-packet';
import type { Answer, DecodedPacket, Packet } from 'dns-packet';
import { LOOPBACK } from './mesh.ts';

export interface Reply extends Packet {
  /** 0 NOERROR, 3 NXDOMAIN. */
  readonly rcode?: number;
}

export interface Upstream {
  readonly place: { readonly address: string; readonly port: number };
  /** `name TYPE` of every question, in lower case; by TCP with `/tcp` behind it. */
  readonly asked: string[];
  /** The questions as they came. */
  readonly questions: DecodedPacket[];
  close(): Promise<void>;
}

/** @param answer what to reply to a question; undefined: silence; a Buffer: these bytes. */
export async function upstream(answer: (query: DecodedPacket, transport: 'udp' | 'tcp') => Reply | Buffer | undefined): Promise<Upstream> {
  const asked: string[] = [];
  const questions: DecodedPacket[] = [];
  const respond = (bytes: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined => {
    const query = dnsPacket.decode(bytes);
    const [question] = query.questions ?? [];
    asked.push(`${question?.name.toLowerCase()} ${question?.type}${transport === 'tcp' ? '/tcp' : ''}`);
    questions.push(query);
    const reply = answer(query, transport);
    if (reply === undefined || Buffer.isBuffer(reply)) return reply;
    const { rcode = 0, flags = 0, ...rest } = reply;
    const edns = (query.additionals ?? []).some(({ type }) => type === 'OPT') ? [OPT] : [];
    return dnsPacket.encode({
      type: 'response',
      id: query.id,
      questions: query.questions,
      ...rest,
      flags: flags | rcode | dnsPacket.RECURSION_AVAILABLE,
      additionals: [...(rest.additionals ?? []), ...edns],
    });
  };
  const sockets = new Set<net.Socket>();
  const tcp = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      const reply = respond(bytes.subarray(2), 'tcp');
      if (reply === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.end(Buffer.concat([length, reply]));
    });
  });
  const udp = await bindBoth(tcp);
  udp.on('message', (bytes, from) => {
    const reply = respond(bytes, 'udp');
    if (reply !== undefined) udp.send(reply, from.port, from.address);
  });
  return {
    place: { address: LOOPBACK, port: (tcp.address() as AddressInfo).port },
    asked,
    questions,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([new Promise<void>((resolve) => void udp.close(resolve)), new Promise((resolve) => tcp.close(resolve))]);
    },
  };
}

/** The same port on both: one that is free on UDP may be taken on TCP. */
async function bindBoth(tcp: net.Server): Promise<dgram.Socket> {
  for (;;) {
    const udp = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => void udp.bind(0, LOOPBACK, resolve));
    const isFree = await new Promise<boolean>((resolve) => {
      tcp.once('error', () => resolve(false));
      tcp.listen(udp.address().port, LOOPBACK, () => resolve(true));
    });
    if (isFree) return udp;
    udp.close();
  }
}

const OPT = {
  ...{ type: 'OPT', name: '.', udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
} as Answer;

export function a(name: string, data: string, ttl = 300): Answer {
  return { type: 'A', name, data, ttl };
}

export function soa(name: string, ttl: number, minimum: number): Answer {
  return {
    type: 'SOA',
    name,
    ttl,
    data: { mname: `ns.${name}`, rname: `root.${name}`, serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
  };
}
