// What is worth a place in the dynamic table. Most values come back with the next request or never; the second kind would push out the
// first. So a value of a name that usually varies, or of an unknown name, is entered when it is seen again.

export type Indexing = 'adaptive' | 'always' | 'never';

/** Same value for many requests of a connection: worth entering at once. */
const STABLE = [
  ':authority',
  ':method',
  ':scheme',
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'access-control-allow-origin',
  'cache-control',
  'content-encoding',
  'content-type',
  'grpc-accept-encoding',
  'grpc-encoding',
  'host',
  'origin',
  'server',
  'strict-transport-security',
  'te',
  'user-agent',
  'vary',
  'via',
];

/** RFC 7541 §7.1.3: whoever can make requests on the same connection could guess what is in the table, the shorter the easier. */
const SECRET = ['authorization', 'proxy-authorization'];
const SECRET_WHEN_SHORT = ['cookie', 'set-cookie'];
const SHORT_SECRET_CHARS = 20;

/** How a field that is in no table is written. */
export const TREATMENT = { varying: 0, stable: 1, secret: 2, secretWhenShort: 3 } as const;
export type Treatment = (typeof TREATMENT)[keyof typeof TREATMENT];

const TREATMENTS: ReadonlyMap<string, Treatment> = new Map<string, Treatment>([
  ...STABLE.map((name) => [name, TREATMENT.stable] as const),
  ...SECRET.map((name) => [name, TREATMENT.secret] as const),
  ...SECRET_WHEN_SHORT.map((name) => [name, TREATMENT.secretWhenShort] as const),
]);

export function treatmentOf(name: string, value: string): Treatment {
  const treatment = TREATMENTS.get(name);
  if (treatment === undefined) return TREATMENT.varying;
  if (treatment !== TREATMENT.secretWhenShort) return treatment;
  return value.length < SHORT_SECRET_CHARS ? TREATMENT.secret : TREATMENT.varying;
}

/** Places for values seen lately. A power of two. */
const PLACES = 64;
/** Characters looked at, spread over the value. */
const SAMPLE_CHARS = 24;

/** Remembers fields by a hash: a false memory enters a field too early, which does no harm. */
export class SeenFields {
  private readonly hashes = new Int32Array(PLACES);

  /** Whether the field was seen lately; from now on it was. */
  seenBefore(name: string, value: string): boolean {
    const hash = sampleHash(name, value);
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    if (this.hashes[place] === hash) return true;
    this.hashes[place] = hash;
    return false;
  }
}

function sampleHash(name: string, value: string): number {
  const { length } = value;
  let hash = Math.imul(name.length * 0x10001 + length, 0x9e3779b1);
  const step = length <= SAMPLE_CHARS ? 1 : length / SAMPLE_CHARS;
  // From the end, where values such as ids and paths differ most.
  for (let at = length - 1; at >= 0; at -= step) hash = Math.imul(hash ^ value.charCodeAt(at | 0), 0x01000193);
  return hash;
}
