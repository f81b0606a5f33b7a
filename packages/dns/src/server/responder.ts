// From a message to its answer: names of the mesh from the zone, all others from other resolvers. The same for UDP and TCP.
import type { Logger } from '@heddle/runtime';
import { type AnswerSettings, answerFrom } from '../zone/answer.ts';
import type { Zone } from '../zone/zone.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { relay } from '../forward/relay.ts';
import { EDE, type ExtendedError, FLAG, MESSAGE_BYTES_MAX, PLAIN_UDP_BYTES, RCODE } from '../wire/codes.ts';
import { type Query, readQuery } from '../wire/query.ts';
import { type Asked, type ResponseOptions, type ResponseParts, writeResponse } from '../wire/response.ts';
import type { DnsMetrics } from './metrics.ts';
import { isNear } from './near.ts';

/** Where the names of the mesh come from. */
export interface ZoneSource {
  /** As it is now. Undefined: nothing is known yet, not even which names there are. */
  zone(): Zone | undefined;
  /** Resolves when the instances of the service are known, or cannot be had in time. */
  demand(service: string): Promise<void>;
}

export interface ResponderOptions {
  readonly source: ZoneSource;
  /** Asked for every answer. */
  readonly settings: () => AnswerSettings;
  /** Absent: other names are refused. */
  readonly forwarder: Forwarder | undefined;
  readonly random: () => number;
  readonly udpBytes: number;
  readonly logger: Logger;
  readonly metrics: DnsMetrics;
}

/** Who asks, and how. */
export interface Client {
  readonly address: string;
  readonly transport: 'udp' | 'tcp';
  /** It asks too often: it is only told to come again by TCP. */
  readonly isOverLimit?: boolean;
}

export class Responder {
  readonly #options: ResponderOptions;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Undefined: no answer. Never throws, never rejects. */
  respond(message: Buffer, client: Client): Buffer | undefined | Promise<Buffer | undefined> {
    try {
      const answer = this.#respond(message, client);
      return answer instanceof Promise ? answer.catch((error: unknown) => this.#failed(error)) : answer;
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** A fault of ours: one query goes without an answer, the plane goes on. */
  #failed(error: unknown): undefined {
    this.#options.logger.error(
      { error: (error as Error).stack ?? String(error) },
      'a DNS query could not be answered: this is a fault of Heddle',
    );
  }

  #respond(message: Buffer, client: Client): Buffer | undefined | Promise<Buffer | undefined> {
    const { metrics } = this.#options;
    const read = readQuery(message);
    if (read.kind === 'drop') {
      metrics.ignored[read.reason].add(1);
      return undefined;
    }
    if (read.kind === 'fault') return this.#write(read, { rcode: read.rcode }, client);
    if (client.isOverLimit === true) return this.#write(read, { rcode: RCODE.NOERROR, isCut: true }, client);
    return this.#answer(read, client, true);
  }

  /** @param mayWait whether instances that are not known may be waited for. */
  #answer(query: Query, client: Client, mayWait: boolean): Buffer | Promise<Buffer> {
    const { source, settings, random } = this.#options;
    const zone = source.zone();
    // Names of the mesh must not be asked for elsewhere only because it is not known yet which these are.
    if (zone === undefined) return this.#write(query, notReady('the names of the mesh have not arrived yet'), client);
    const answer = answerFrom(zone, query.question, settings(), random);
    if (answer.kind === 'answer') return this.#write(query, answer.parts, client);
    if (answer.kind === 'foreign') return this.#forward(query, client);
    if (!mayWait) return this.#write(query, notReady(`the instances of ${answer.service} have not arrived`), client);
    return source.demand(answer.service).then(() => this.#answer(query, client, false));
  }

  #forward(query: Query, client: Client): Buffer | Promise<Buffer> {
    const { forwarder, metrics } = this.#options;
    if (forwarder === undefined)
      return this.#write(query, refused(EDE.NOT_AUTHORITATIVE, 'names outside of the mesh are not looked up here'), client);
    if ((query.flags & FLAG.RD) === 0)
      return this.#write(
        query,
        refused(EDE.NOT_AUTHORITATIVE, 'names outside of the mesh are looked up only when that is asked for (RD)'),
        client,
      );
    if (!isNear(client.address))
      return this.#write(query, refused(EDE.PROHIBITED, 'names outside of the mesh are looked up for private addresses only'), client);
    return forwarder.look(query).then((looked) => {
      if (looked.kind === 'failed') return this.#write(query, { rcode: RCODE.SERVFAIL, error: looked.error }, client);
      metrics.answered(query.question.type, looked.reply.rcode);
      return relay(query, looked, this.#limits(query, client));
    });
  }

  #write(asked: Asked, parts: ResponseParts, client: Client): Buffer {
    this.#options.metrics.answered(asked.question?.type, parts.rcode);
    return writeResponse(asked, parts, this.#limits(asked, client));
  }

  #limits({ edns }: Asked, { transport }: Client): ResponseOptions {
    const { udpBytes, forwarder } = this.#options;
    const bytesMax = transport === 'tcp' ? MESSAGE_BYTES_MAX : Math.min(edns?.udpBytes ?? PLAIN_UDP_BYTES, udpBytes);
    return { bytesMax, isRecursive: forwarder !== undefined, udpBytes };
  }
}

function notReady(text: string): ResponseParts {
  return { rcode: RCODE.SERVFAIL, error: { code: EDE.NOT_READY, text } };
}

function refused(code: ExtendedError['code'], text: string): ResponseParts {
  return { rcode: RCODE.REFUSED, error: { code, text } };
}
