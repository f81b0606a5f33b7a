// DNS clients for tests: raw sockets, with dns-packet as a reader that nobody here wrote.
import dgram from 'node:dgram';
import net from 'node:net';
import dnsPacket from 'dns-packet';
import type { DecodedPacket, RecordType } from 'dns-packet';
import { LOOPBACK } from './mesh.ts';

const TIMEOUT_MS = 5_000;

export interface Question {
  readonly name: string;
  readonly type?: RecordType;
  /** Default: no EDNS0. */
  readonly udpBytes?: number;
  readonly dnssecOk?: boolean;
  /** Default true. */
  readonly isRecursive?: boolean;
}

/** dns-packet names the code in a field that its types leave out. */
export type Answered = DecodedPacket & { readonly rcode: string; readonly bytes: number };

export function query({ name, type = 'A', udpBytes, dnssecOk = false, isRecursive = true }: Question, id = 4_711): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: isRecursive ? dnsPacket.RECURSION_DESIRED : 0,
    questions: [{ type, name }],
    additionals:
      udpBytes === undefined
        ? []
        : [
            {
              ...{ type: 'OPT', name: '.', udpPayloadSize: udpBytes, extendedRcode: 0, ednsVersion: 0, flag_do: dnssecOk, options: [] },
              flags: dnssecOk ? dnsPacket.DNSSEC_OK : 0,
            },
          ],
  });
}

export function read(message: Buffer): Answered {
  return Object.assign(dnsPacket.decode(message), { bytes: message.length }) as Answered;
}

export async function askUdp(port: number, question: Question): Promise<Answered> {
  return read(await exchangeUdp(port, query(question)));
}

/** Rejects when there is no answer in time. */
export function exchangeUdp(port: number, message: Buffer, timeoutMs = TIMEOUT_MS): Promise<Buffer> {
  const socket = dgram.createSocket('udp4');
  return new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once('error', reject);
    socket.once('message', (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.send(message, port, LOOPBACK);
  }).finally(() => socket.close());
}

export async function askTcp(port: number, question: Question): Promise<Answered> {
  const [answer] = await exchangeTcp(port, [query(question)], 1);
  return read(answer!);
}

/** Sends all messages in one write, and resolves to the first answers. Rejects when the connection ends before. */
export function exchangeTcp(port: number, messages: readonly Buffer[], count: number): Promise<Buffer[]> {
  const socket = net.connect(port, LOOPBACK);
  const answers: Buffer[] = [];
  let received = Buffer.alloc(0);
  return new Promise<Buffer[]>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${answers.length} of ${count} answers within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`the connection ended after ${answers.length} of ${count} answers`));
    });
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        answers.push(received.subarray(2, 2 + received.readUInt16BE(0)));
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (answers.length >= count) resolve(answers);
    });
    socket.write(Buffer.concat(messages.map((message) => Buffer.concat([length(message), message]))));
  }).finally(() => socket.destroy());
}

function length(message: Buffer): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(message.length);
  return bytes;
}

/** `A 10.0.0.1`, `SRV 0 1 15006 orders-1…`: one text for each record. */
export function texts(records: DecodedPacket['answers']): string[] {
  return (records ?? [])
    .filter(({ type }) => type !== 'OPT')
    .map((record) => {
      if (record.type === 'SRV') return `SRV ${record.data.priority} ${record.data.weight} ${record.data.port} ${record.data.target}`;
      if (record.type === 'SOA') return `SOA ${record.name}`;
      return `${record.type} ${'data' in record ? String(record.data) : ''}`;
    });
}
