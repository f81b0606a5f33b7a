// Random ways to compare texts, paths and fields: of routes and of access rules.
import type { FieldMatch, PathMatch, TextMatch } from '@heddle/core';
import fc from 'fast-check';
import { partly, path, record, text } from './arbitrary-values.ts';

export const textMatch: fc.Arbitrary<TextMatch> = fc.oneof(
  partly<{ kind: 'exact' | 'prefix' | 'suffix' | 'contains'; value: string; ignoreCase?: true }>(
    { kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'), value: text, ignoreCase: fc.constant(true) },
    'ignoreCase',
  ),
  record<TextMatch>({ kind: fc.constant('exact'), value: fc.constant('') }),
  record<TextMatch>({ kind: fc.constant('regex'), value: fc.constantFrom('.*curl.*', 'a|b', '[0-9]+') }),
);
export const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  record<PathMatch>({ kind: fc.constantFrom('prefix', 'exact', 'segments'), value: path }),
  fc.constantFrom<PathMatch>(
    { kind: 'template', value: '/orders/{id}/items' },
    { kind: 'template', value: '/files/{rest=**}' },
    { kind: 'regex', value: '/v[12]/.*' },
  ),
);
export const fieldMatch = (of: fc.Arbitrary<string>): fc.Arbitrary<FieldMatch> =>
  partly<FieldMatch>({ name: of, match: textMatch, invert: fc.constant(true) }, 'match', 'invert');
