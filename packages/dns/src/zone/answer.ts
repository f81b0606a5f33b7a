// What the mesh answers to a question: a pure function of the zone, the question and the dice.
import { DEFAULT_LIMITS } from '@heddle/core';
import { EDE, RCODE, TYPE } from '../wire/codes.ts';
import type { Question } from '../wire/query.ts';
import type { ResourceRecord, ResponseParts } from '../wire/response.ts';
import { recordOf } from './reverse.ts';
import type { ZoneInstance } from './service.ts';
import { type Found, type HeldService, SERVER_NAME, type Zone } from './zone.ts';

/**
 * What the name of a service stands for. `instances`: the addresses at which its instances are reached. `virtual`: its virtual address, which
 * `heddle capture` sends through the proxy; for a service that has none, its instances.
 */
export type AnswerMode = 'instances' | 'virtual';

export interface AnswerSettings {
  readonly mode: AnswerMode;
  /** How long others may keep an answer. */
  readonly ttlSeconds: number;
  /** How long they may keep that there is none (RFC 2308 §4). */
  readonly negativeTtlSeconds: number;
  /** Where this server is reached; empty where that is not known. */
  readonly serverAddresses: readonly string[];
}

export type ZoneAnswer =
  | { readonly kind: 'answer'; readonly parts: ResponseParts }
  /** It depends on the instances of this service, which are not known yet. */
  | { readonly kind: 'unknown'; readonly service: string }
  | { readonly kind: 'foreign' };

/** What a question is answered from. */
interface Asked {
  readonly zone: Zone;
  readonly settings: AnswerSettings;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly type: number;
  readonly name: string;
}

interface Records {
  readonly answers: readonly ResourceRecord[];
  readonly additional?: readonly ResourceRecord[];
}

/** REFUSED, so that the next server is asked, which may be the control plane. */
const UNTOLD = 'a data plane does not know which other ports a service has; ask the control plane';
const NO_RECORDS: Records = { answers: [] };

export function answerFrom(zone: Zone, question: Question, settings: AnswerSettings, random: () => number): ZoneAnswer {
  const { name, type } = question;
  const found = zone.find(name);
  if (found.kind === 'foreign' || found.kind === 'unknown') return found;
  if (found.kind === 'untold')
    return { kind: 'answer', parts: { rcode: RCODE.REFUSED, error: { code: EDE.NOT_AUTHORITATIVE, text: UNTOLD } } };
  const soa = (): ResourceRecord => soaRecord(found.zone, zone, settings);
  if (found.kind === 'nothing') return authoritative({ rcode: RCODE.NXDOMAIN, authority: [soa()] });
  // RFC 8482 §4.2: one record that says so, instead of all.
  if (type === TYPE.ANY)
    return authoritative({
      rcode: RCODE.NOERROR,
      answers: [{ type: 'HINFO', name, ttlSeconds: settings.ttlSeconds, data: { cpu: 'RFC8482', os: '' } }],
    });
  const asked: Asked = { zone, settings, random, type, name };
  const records = name === found.zone && isOfZone(type) ? zoneRecords(asked) : recordsAt(found, asked);
  if (typeof records === 'string') return { kind: 'unknown', service: records };
  // RFC 2308 §2.2: the name is there, such a record is not.
  if (records.answers.length === 0) return authoritative({ rcode: RCODE.NOERROR, authority: [soa()] });
  return authoritative({ rcode: RCODE.NOERROR, ...records });
}

function authoritative(parts: ResponseParts): ZoneAnswer {
  return { kind: 'answer', parts: { isAuthoritative: true, ...parts } };
}

/** The records of the asked type; or the service whose instances they depend on. */
function recordsAt(found: Exclude<Found, { kind: 'foreign' | 'unknown' | 'untold' | 'nothing' }>, asked: Asked): Records | string {
  switch (found.kind) {
    case 'apex':
    case 'empty':
      return NO_RECORDS;
    case 'server':
      return { answers: addresses(asked.settings.serverAddresses, asked) };
    case 'service':
      return isAddressType(asked.type) ? serviceAddresses(found.service, asked) : NO_RECORDS;
    case 'srv':
      return asked.type === TYPE.SRV ? serviceLocations(found.service, found.port, asked) : NO_RECORDS;
    case 'instance':
      return {
        answers: addresses(
          found.instances.map(({ address }) => address),
          asked,
        ),
      };
    case 'address':
      return asked.type === TYPE.PTR ? { answers: pointers(found.names, asked) } : NO_RECORDS;
  }
}

function isOfZone(type: number): boolean {
  return type === TYPE.SOA || type === TYPE.NS;
}

function isAddressType(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA;
}

function zoneRecords({ type, name, zone, settings }: Asked): Records {
  if (type === TYPE.SOA) return { answers: [{ ...soaRecord(name, zone, settings), ttlSeconds: settings.ttlSeconds }] };
  const { ttlSeconds, serverAddresses } = settings;
  const additional = serverAddresses.flatMap((address) => addressRecord(SERVER_NAME, address, ttlSeconds));
  return { answers: [{ type: 'NS', name, ttlSeconds, data: SERVER_NAME }], additional };
}

function soaRecord(name: string, zone: Zone, { negativeTtlSeconds }: AnswerSettings): ResourceRecord {
  return {
    type: 'SOA',
    name,
    ttlSeconds: negativeTtlSeconds,
    data: {
      mname: SERVER_NAME,
      rname: 'hostmaster.mesh.internal',
      serial: zone.serial,
      // For secondary servers, of which there are none: zones are not transferred.
      refresh: 3_600,
      retry: 600,
      expire: 86_400,
      minimum: negativeTtlSeconds,
    },
  };
}

function serviceAddresses(held: HeldService, asked: Asked): Records | string {
  const { virtualAddress, instances } = held.service;
  if (asked.settings.mode === 'virtual' && virtualAddress !== undefined) return { answers: addresses([virtualAddress], asked) };
  if (instances === undefined) return held.key;
  return {
    answers: addresses(
      healthy(instances).map(({ address }) => address),
      asked,
    ),
  };
}

/**
 * RFC 2782. One priority: all healthy instances are equal but for their weight. Other ports than the one that the mesh carries are those of
 * the instances in either mode.
 */
function serviceLocations(held: HeldService, portName: string | undefined, asked: Asked): Records | string {
  const { zone, settings, name } = asked;
  const { ttlSeconds } = settings;
  const { virtualAddress, instances, port } = held.service;
  const record = (target: string, at: number, weight: number): ResourceRecord => ({
    type: 'SRV',
    name,
    ttlSeconds,
    data: { priority: 0, weight, port: at, target },
  });
  if (portName === undefined && settings.mode === 'virtual' && virtualAddress !== undefined) {
    const target = zone.fullName(held);
    if (target === undefined) return NO_RECORDS;
    return { answers: [record(target, port, 0)], additional: addressRecord(target, virtualAddress, ttlSeconds) };
  }
  if (instances === undefined) return held.key;
  const answers: ResourceRecord[] = [];
  const additional: ResourceRecord[] = [];
  for (const instance of drawn(healthy(instances), asked)) {
    const { id, address, weight } = instance;
    const target = zone.instanceName(held, id);
    const at = portName === undefined ? instance.port : (instance.ports?.[portName] ?? held.service.ports?.[portName]);
    if (target === undefined || at === undefined) continue;
    answers.push(record(target, at, weight));
    additional.push(...addressRecord(target, address, ttlSeconds));
  }
  return { answers, additional };
}

function pointers(names: readonly string[], asked: Asked): ResourceRecord[] {
  const { name, settings } = asked;
  return drawn(names, asked).map((data) => ({ type: 'PTR', name, ttlSeconds: settings.ttlSeconds, data }));
}

function healthy(instances: readonly ZoneInstance[]): ZoneInstance[] {
  return instances.filter(({ isHealthy }) => isHealthy);
}

/** Of the asked type, each once (RFC 2181 §5): instances on one machine share its address. */
function addresses(all: readonly string[], asked: Asked): ResourceRecord[] {
  const { name, settings, type } = asked;
  const records = [...new Set(all)].flatMap((address) => addressRecord(name, address, settings.ttlSeconds));
  const wanted = type === TYPE.A ? 'A' : type === TYPE.AAAA ? 'AAAA' : undefined;
  return drawn(
    records.filter((record) => record.type === wanted),
    asked,
  );
}

function addressRecord(name: string, address: string, ttlSeconds: number): ResourceRecord[] {
  const record = recordOf(address);
  return record === undefined ? [] : [{ ...record, name, ttlSeconds }];
}

/** As many as an answer has, beginning anywhere: many clients take the first. */
function drawn<T>(all: readonly T[], { random }: Asked): T[] {
  const from = Math.floor(random() * all.length);
  return [...all.slice(from), ...all.slice(0, from)].slice(0, DEFAULT_LIMITS.dnsAnswersMax);
}
