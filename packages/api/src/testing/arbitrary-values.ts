// The small pieces that random resources are made of.
import fc from 'fast-check';

/** Plain objects, as code makes them. */
export function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** The same, of which these fields may be left out. */
export function partly<T>(model: { [K in keyof T]?: fc.Arbitrary<NonNullable<T[K]>> }, ...optional: (keyof T)[]): fc.Arbitrary<T> {
  const requiredKeys = Object.keys(model).filter((key) => !optional.includes(key as keyof T)) as never[];
  return fc.record(model as Record<string, fc.Arbitrary<unknown>>, { noNullPrototype: true, requiredKeys }) as unknown as fc.Arbitrary<T>;
}

export const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
export const name = fc.stringMatching(/^[a-z0-9]([a-z0-9./-]{0,20}[a-z0-9])?$/);
export const port = fc.integer({ min: 1, max: 65_535 });
export const durationMs = fc.integer({ min: 1, max: 10_000_000 });
export const count = fc.integer({ min: 0, max: 4_294_967_295 });
/** Zero has one sign. */
export const percent = fc.double({ min: 0, max: 100, noNaN: true }).map((value) => value + 0);
export const rate = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
/** RFC 9110 §5.6.2, in lower case: the name of a header. */
export const token = fc.oneof(fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,20}$/), fc.constantFrom('__proto__', 'constructor', '1', '0'));
/** Nothing that could end a header. */
export const headerText = fc.oneof(
  fc.constant(''),
  text.filter((value) => !/[^\t\x20-\x7e\x80-\u{10ffff}]/u.test(value)),
);
export const path = text.map((rest) => `/${rest}`);
