// The static table (RFC 7541 Appendix A): index 1 to 61.

import { HeaderField } from './field.ts';

const ROWS: readonly (readonly [name: string, ...values: string[]])[] = [
  [':authority'],
  [':method', 'GET', 'POST'],
  [':path', '/', '/index.html'],
  [':scheme', 'http', 'https'],
  [':status', '200', '204', '206', '304', '400', '404', '500'],
  ['accept-charset'],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language'],
  ['accept-ranges'],
  ['accept'],
  ['access-control-allow-origin'],
  ['age'],
  ['allow'],
  ['authorization'],
  ['cache-control'],
  ['content-disposition'],
  ['content-encoding'],
  ['content-language'],
  ['content-length'],
  ['content-location'],
  ['content-range'],
  ['content-type'],
  ['cookie'],
  ['date'],
  ['etag'],
  ['expect'],
  ['expires'],
  ['from'],
  ['host'],
  ['if-match'],
  ['if-modified-since'],
  ['if-none-match'],
  ['if-range'],
  ['if-unmodified-since'],
  ['last-modified'],
  ['link'],
  ['location'],
  ['max-forwards'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  ['range'],
  ['referer'],
  ['refresh'],
  ['retry-after'],
  ['server'],
  ['set-cookie'],
  ['strict-transport-security'],
  ['transfer-encoding'],
  ['user-agent'],
  ['vary'],
  ['via'],
  ['www-authenticate'],
];

/** Field of each index. There is none at 0. */
export const STATIC_FIELDS: readonly (HeaderField | undefined)[] = [undefined, ...ROWS.flatMap(fieldsOf)];

/** Entries of the static table; the first dynamic one comes after it. */
export const STATIC_COUNT: number = STATIC_FIELDS.length - 1;

function fieldsOf([name, ...values]: readonly [string, ...string[]]): HeaderField[] {
  return (values.length === 0 ? [''] : values).map((value) => new HeaderField(name, value, false));
}
