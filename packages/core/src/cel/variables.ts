// The variables of conditions, shown to the library as maps that look into the request when they are asked: nothing is copied but claims, and
// these once for each token.
import { type CelError, celError, type CelInput, celList, type CelMap, celMap } from '@bufbuild/cel';
import { isJsonObject, type JsonObject, type JsonValue } from '../authn/unique-json.ts';
import type { ConditionFacts } from '../authz/condition.ts';
import { parseSpiffeId, type SpiffeId } from '../identity/spiffe.ts';
import { pathEnd } from '../routing/request.ts';
import { celTime } from './time.ts';

/** Values in the claims of one token, at all depths: what a macro may go through, some of them in square time. Tokens for people have fewer than 300. */
const CLAIM_VALUES_MAX = 500;

export interface Bindings {
  readonly source: CelMap;
  readonly destination: CelMap;
  readonly request: CelMap;
  readonly token: CelMap;
  claims: CelMap | CelError;
}

/** Those of one condition. One object serves all requests in turn. */
export class Variables {
  private facts: ConditionFacts | undefined;
  private readonly readsClaims: boolean;
  private readonly bindings: Bindings;

  constructor(readsClaims: boolean) {
    this.readsClaims = readsClaims;
    const headers = lookup((name) => this.header(name));
    this.bindings = {
      source: lookup((name) => this.source(name)),
      destination: lookup((name) => this.destination(name)),
      request: lookup((name) => (name === 'headers' ? (this.now.view.isStream ? undefined : headers) : this.request(name))),
      claims: NOTHING,
      token: lookup((name) => (name === 'issuer' ? this.now.view.claims?.issuer : undefined)),
    };
  }

  /** Valid until the next call. */
  of(facts: ConditionFacts): Bindings {
    this.facts = facts;
    if (this.readsClaims) this.bindings.claims = mapOfClaims(facts.view.claims?.claims);
    return this.bindings;
  }

  private get now(): ConditionFacts {
    return this.facts as ConditionFacts;
  }

  private source(name: string): CelInput | undefined {
    const { view, labels } = this.now;
    switch (name) {
      case 'identity':
        return view.sourceIdentity;
      case 'namespace':
        return spiffe(view.sourceIdentity)?.namespace;
      case 'service':
        return spiffe(view.sourceIdentity)?.name;
      case 'address':
        return view.peerAddress;
      case 'labels':
        return mapOfLabels(Object.hasOwn(labels.sources, view.sourceIdentity) ? labels.sources[view.sourceIdentity] : undefined);
      default:
        return undefined;
    }
  }

  private destination(name: string): CelInput | undefined {
    const { destination, labels } = this.now;
    switch (name) {
      case 'namespace':
        return destination?.namespace;
      case 'service':
        return destination?.name;
      case 'labels':
        return mapOfLabels(labels.destination);
      default:
        return undefined;
    }
  }

  private request(name: string): CelInput | undefined {
    const facts = this.now;
    const { view } = facts;
    if (name === 'time') return celTime(view.nowMs);
    if (name === 'protocol') return protocolOf(facts);
    if (view.isStream) return undefined;
    switch (name) {
      case 'method':
        return view.method;
      case 'path':
        return facts.path;
      case 'query':
        return view.path.slice(pathEnd(view.path) + 1);
      case 'host':
        return facts.host;
      default:
        return undefined;
    }
  }

  private header(name: string): CelInput | undefined {
    return this.now.view.header(name.toLowerCase());
  }
}

function protocolOf({ view }: ConditionFacts): string {
  if (view.isStream) return 'tcp';
  return view.header('content-type')?.startsWith('application/grpc') === true ? 'grpc' : 'http';
}

let lastIdentity = '';
let lastParsed: SpiffeId | undefined;

/** Callers come in runs: the last one is remembered. */
function spiffe(identity: string): SpiffeId | undefined {
  if (identity !== lastIdentity) {
    lastParsed = parseSpiffeId(identity);
    lastIdentity = identity;
  }
  return lastParsed;
}

/** A map that knows its values only by name. Conditions cannot go through it: the check sees to that. */
function lookup(get: (name: string) => CelInput | undefined): CelMap {
  return celMap(new Lookup(get));
}

class Lookup extends Map<string, CelInput> {
  private readonly find: (name: string) => CelInput | undefined;

  constructor(find: (name: string) => CelInput | undefined) {
    super();
    this.find = find;
  }

  override get(name: string): CelInput | undefined {
    return typeof name === 'string' ? this.find(name) : undefined;
  }
}

const labelMaps = new WeakMap<object, CelMap>();
const NOTHING = celMap(new Map<string, string>());

function mapOfLabels(labels: Readonly<Record<string, string>> | undefined): CelMap {
  if (labels === undefined) return NOTHING;
  let map = labelMaps.get(labels);
  if (map === undefined) labelMaps.set(labels, (map = celMap(new Map(Object.entries(labels)))));
  return map;
}

const TOO_MANY = celError(`the token has more than ${CLAIM_VALUES_MAX} values, which conditions do not go through`);

/** The library takes objects by their constructor's name, which a claim may have as its own. */
const claimMaps = new WeakMap<JsonObject, CelMap | CelError>();

function mapOfClaims(claims: JsonObject | undefined): CelMap | CelError {
  if (claims === undefined) return NOTHING;
  let map = claimMaps.get(claims);
  if (map === undefined) {
    map = countValues(claims, CLAIM_VALUES_MAX) < 0 ? TOO_MANY : (celValue(claims) as CelMap);
    claimMaps.set(claims, map);
  }
  return map;
}

/** What is left of the number; negative: there are more. */
function countValues(value: JsonValue, left: number): number {
  let rest = left - 1;
  if (typeof value !== 'object' || value === null) return rest;
  for (const part of Object.values(value) as JsonValue[]) {
    if (rest < 0) return rest;
    rest = countValues(part, rest);
  }
  return rest;
}

function celValue(value: JsonValue): CelInput {
  if (isJsonObject(value)) return celMap(new Map(Object.entries(value).map(([name, part]) => [name, celValue(part)])));
  return Array.isArray(value) ? celList(value.map(celValue)) : (value as string | number | boolean | null);
}
