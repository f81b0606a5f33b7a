// Lists in pages. A cursor is the name of the last item, so that a page begins at the right place however much has changed in between.
import { serviceKey } from '@heddle/core';
import type { Instance } from '@heddle/core';
import { ProblemError } from './problems.ts';

/** A page ends here whatever its limit: items with many labels are large, and a page is in memory whole. */
const PAGE_BYTES_MAX = 4_194_304;

/** The JSON of a page: `head`, the items, and `next` when there are more. */
export function pageJson<T>(
  head: Readonly<Record<string, unknown>>,
  items: Iterable<T>,
  limit: number,
  textOf: (item: T) => string,
  cursorOf: (item: T) => string | number,
): string {
  const texts: string[] = [];
  let last: T | undefined;
  let next: string | number | undefined;
  let chars = 0;
  for (const item of items) {
    if (last !== undefined && (texts.length >= limit || chars >= PAGE_BYTES_MAX)) {
      next = cursorOf(last);
      break;
    }
    const text = textOf(item);
    chars += text.length;
    texts.push(text);
    last = item;
  }
  const begin = JSON.stringify(head).slice(0, -1);
  const more = next === undefined ? '' : `,"next":${JSON.stringify(next)}`;
  return `${begin}${begin === '{' ? '' : ','}"items":[${texts.join(',')}]${more}}`;
}

/** The service key that the cursor `NAMESPACE/SERVICE` names. */
export function serviceAfter(cursor: string | undefined): string | undefined {
  if (cursor !== undefined) cursorParts(cursor, 2, 'NAMESPACE/SERVICE');
  return cursor;
}

export function instanceAfter(cursor: string | undefined): { readonly service: string; readonly id: string } | undefined {
  if (cursor === undefined) return undefined;
  const [namespace = '', name = '', id = ''] = cursorParts(cursor, 3, 'NAMESPACE/SERVICE/INSTANCE');
  return { service: `${namespace}/${name}`, id };
}

export function instanceCursor({ service, id }: Instance): string {
  return `${serviceKey(service)}/${id}`;
}

function cursorParts(cursor: string, count: number, form: string): string[] {
  const parts = cursor.split('/');
  if (parts.length !== count || parts.includes(''))
    throw new ProblemError('INVALID', `query: cursor: ${JSON.stringify(cursor)} is not ${form}`, {
      mend: 'use `next` of the page before as it is',
    });
  return parts;
}

/** Those after the one that the cursor names. One that went in the meantime is no place: the client has to begin anew. Throws ProblemError INVALID. */
export function itemsAfter<T>(items: readonly T[], cursor: string | undefined, nameOf: (item: T) => string): readonly T[] {
  if (cursor === undefined) return items;
  const index = items.findIndex((item) => nameOf(item) === cursor);
  if (index === -1) throw new ProblemError('INVALID', 'query: cursor: what it names is gone', { mend: 'list again without a cursor' });
  return items.slice(index + 1);
}
