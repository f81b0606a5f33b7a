// What is worth a place in the dynamic table. Most values come back with the next request or never; the second kind would push out the
// first. So a value of a name that usually varies, or of an unknown name, is entered when it is seen again,
// or when the name alone is, so that an index can stand for that.

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

/** Another value with each request: only the name is worth a place. */
const UNIQUE = ['x-request-id', 'traceparent'];

/** How a field that is in no table is written. */
export const TREATMENT = { varying: 0, stable: 1, secret: 2, secretWhenShort: 3, unique: 4 } as const;
export type Treatment = (typeof TREATMENT)[keyof typeof TREATMENT];

/** Of the names that do not simply vary. */
export const TREATMENTS: ReadonlyMap<string, Treatment> = new Map<string, Treatment>([
  ...STABLE.map((name) => [name, TREATMENT.stable] as const),
  ...UNIQUE.map((name) => [name, TREATMENT.unique] as const),
  ...SECRET.map((name) => [name, TREATMENT.secret] as const),
  ...SECRET_WHEN_SHORT.map((name) => [name, TREATMENT.secretWhenShort] as const),
]);

/** What becomes of a value of a name that is treated so. */
export function treatmentOf(treatment: Treatment, value: string): Treatment {
  if (treatment !== TREATMENT.secretWhenShort) return treatment;
  return value.length < SHORT_SECRET_CHARS ? TREATMENT.secret : TREATMENT.varying;
}

/** Places for values seen lately. A power of two. */
const PLACES = 64;
/** Characters looked at: the last ones, and as many spread over what comes before. */
const SAMPLE_CHARS = 8;

/** Remembers fields by a hash: a false memory enters a field too early, which does no harm. */
export class SeenFields {
  private hashes: Int32Array | undefined;

  /** Whether the field was seen lately; from now on it was. */
  seenBefore(name: string, value: string): boolean {
    const hash = sampleHash(name, value);
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    const hashes = (this.hashes ??= new Int32Array(PLACES));
    if (hashes[place] === hash) return true;
    hashes[place] = hash;
    return false;
  }
}

function sampleHash(name: string, value: string): number {
  const { length } = value;
  let hash = Math.imul(name.length * 0x10001 + length, 0x9e3779b1);
  // At the end values such as ids and paths differ most.
  const tail = length <= 2 * SAMPLE_CHARS ? 0 : length - SAMPLE_CHARS;
  for (let at = tail; at < length; at++) hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193);
  if (tail === 0) return hash;
  const step = (tail / SAMPLE_CHARS) | 0;
  for (let at = 0; at < tail; at += step) hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193);
  return hash;
}
