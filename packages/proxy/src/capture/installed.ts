// What the kernel holds, read from `nft -j list table ip heddle`. Our own form only: whatever else stands in the table, and whatever of
// ours is missing, is told in words, so that "as it should be" means that somebody looked.
import type { EntryCounter } from './ruleset.ts';
import { chainName, mapName } from './ruleset.ts';
import type { CapturedCaller, CaptureEntry, CaptureTable } from './types.ts';

export interface InstalledEntry extends CaptureEntry {
  readonly counter: EntryCounter;
}

export interface InstalledCaller extends CapturedCaller {
  readonly entries: readonly InstalledEntry[];
}

export interface InstalledTable extends CaptureTable {
  readonly callers: readonly InstalledCaller[];
  /** Calls to virtual addresses that no entry took. */
  readonly refused: number;
  /** What in the table is not as `renderRuleset` writes it; empty: nothing. */
  readonly strange: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

interface Objects {
  readonly sets: Map<string, Json>;
  readonly maps: Map<string, Json>;
  readonly chains: Map<string, Json>;
  /** By chain, in order. */
  readonly rules: Map<string, Json[]>;
  readonly strange: string[];
}

/** `listing`: the parsed JSON. */
export function readInstalled(listing: unknown): InstalledTable {
  const objects = sortOut(listing);
  const { chains, rules, strange } = objects;
  const callers: InstalledCaller[] = [];
  expectHook(objects, 'capture', 'nat', -100);
  expectHook(objects, 'refuse', 'filter', 0);
  for (const [index, jump] of (rules.get('capture') ?? []).entries()) {
    const caller = readCaller(objects, jump, index);
    if (caller === undefined) strange.push(`rule ${index + 1} of the chain capture is not one of ours`);
    else callers.push(caller);
  }
  const refusals = rules.get('refuse') ?? [];
  if (refusals.length !== 2 || !refusals.every((rule) => find(rule, 'reject') !== undefined))
    strange.push('the chain refuse does not hold the two rules that refuse what was not captured');
  const known = new Set(['capture', 'refuse', ...callers.map((_, index) => chainName(index))]);
  for (const name of chains.keys()) if (!known.has(name)) strange.push(`the chain ${name} is not one of ours`);
  const maps = new Set(callers.map((_, index) => mapName(index)));
  for (const name of objects.maps.keys()) if (!maps.has(name)) strange.push(`the map ${name} is not one of ours`);
  for (const name of objects.sets.keys()) if (name !== 'addresses') strange.push(`the set ${name} is not one of ours`);
  const refused = refusals.reduce((sum, rule) => sum + counter(find(rule, 'counter')).packets, 0);
  const addresses = array(objects.sets.get('addresses')?.['elem']).map(String).sort();
  return { addresses, callers, refused, strange };
}

function sortOut(listing: unknown): Objects {
  const objects: Objects = { sets: new Map(), maps: new Map(), chains: new Map(), rules: new Map(), strange: [] };
  for (const item of array(record(listing)['nftables'])) {
    const [[kind, value] = ['', undefined]] = Object.entries(record(item));
    const object = record(value);
    const name = String(object['name']);
    if (kind === 'set') objects.sets.set(name, object);
    else if (kind === 'map') objects.maps.set(name, object);
    else if (kind === 'chain') objects.chains.set(name, object);
    else if (kind === 'rule') {
      const chain = String(object['chain']);
      objects.rules.set(chain, [...(objects.rules.get(chain) ?? []), object]);
    } else if (kind !== 'metainfo' && kind !== 'table') objects.strange.push(`the ${kind} ${name} is not one of ours`);
  }
  return objects;
}

function expectHook({ chains, strange }: Objects, name: string, type: string, priority: number): void {
  const chain = chains.get(name);
  if (chain?.['type'] === type && chain['hook'] === 'output' && chain['prio'] === priority && chain['policy'] === 'accept') return;
  strange.push(`the chain ${name} is not a ${type} chain of the hook output with priority ${priority}`);
}

/** `jump`: the rule for one caller. Undefined when anything on the way to its map is not ours. */
function readCaller(objects: Objects, jump: Json, index: number): InstalledCaller | undefined {
  const [dnat, ...others] = objects.rules.get(chainName(index)) ?? [];
  const map = objects.maps.get(mapName(index));
  const chain = objects.chains.get(chainName(index));
  if (chain === undefined || chain['hook'] !== undefined) return undefined;
  const service = jump['comment'];
  const instance = dnat?.['comment'];
  if (dnat === undefined || others.length > 0 || map === undefined || typeof service !== 'string' || typeof instance !== 'string')
    return undefined;
  if (record(find(jump, 'jump'))['target'] !== chainName(index)) return undefined;
  if (record(record(record(find(dnat, 'dnat'))['addr'])['map'])['data'] !== `@${mapName(index)}`) return undefined;
  const matches = array(jump['expr'])
    .map((part) => record(record(part)['match']))
    .filter(({ op }) => op === '==');
  const users = matches.filter(({ left }) => record(record(left)['meta'])['key'] === 'skuid').map(({ right }) => right);
  if (array(jump['expr']).length !== users.length + 2 || !matches.some(({ right }) => right === '@addresses')) return undefined;
  const entries: InstalledEntry[] = [];
  for (const element of array(map['elem'])) {
    const entry = readEntry(element);
    if (entry === undefined) objects.strange.push(`the map ${mapName(index)} holds an element that is not one of ours`);
    else entries.push(entry);
  }
  entries.sort((a, b) => (a.service < b.service ? -1 : 1));
  const [uid] = users;
  if (uid !== undefined && typeof uid !== 'number') return undefined;
  return { workload: `${service}/${instance}`, ...(uid === undefined ? {} : { uid }), entries };
}

function readEntry(element: unknown): InstalledEntry | undefined {
  const [left, right] = array(element);
  const { val, comment, counter: counted } = record(record(left)['elem']);
  const [address, port] = array(record(val)['concat']);
  const [toAddress, toPort] = array(record(right)['concat']);
  if (typeof comment !== 'string' || typeof address !== 'string' || typeof port !== 'number') return undefined;
  if (typeof toAddress !== 'string' || typeof toPort !== 'number') return undefined;
  return { service: comment, address, port, to: { address: toAddress, port: toPort }, counter: counter(counted) };
}

/** The statement of that kind in a rule. */
function find(rule: Json, kind: string): unknown {
  return array(rule['expr'])
    .map((part) => record(part)[kind])
    .find((value) => value !== undefined);
}

function counter(value: unknown): EntryCounter {
  const { packets, bytes } = record(value);
  return { packets: Number(packets ?? 0), bytes: Number(bytes ?? 0) };
}

function record(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
