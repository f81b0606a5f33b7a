// Claims of a token as the data plane hands them to the application of its own process: base64url of the JSON, in a header that only it may set.

/** As the issuer wrote them; not to be changed. */
export type Claims = Readonly<Record<string, unknown>>;

/** Callers send the same token again and again. */
const KNOWN_MAX = 256;
const known = new Map<string, Claims>();

export function readClaims(text: string | readonly string[] | undefined): Claims | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  const before = known.get(text);
  if (before !== undefined) return before;
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(text, deepFreeze(claims) as Claims);
  return claims as Claims;
}

/** Requests with the same token share them. */
function deepFreeze(value: object): object {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part as object);
  return Object.freeze(value);
}
