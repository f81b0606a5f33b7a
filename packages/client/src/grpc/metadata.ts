// Metadata of grpc-js as headers, and headers as metadata, such as grpc-js makes of what node:http2 gives it: fields of one name are one value with
// commas, binary ones are base64.
import type { FlatHeaders } from '@heddle/dataplane/direct';
import type { Metadata, MetadataClass } from './types.ts';

/** Of requests: what the channel itself says, and what an application's metadata therefore cannot. */
const OWN = new Set([
  'content-type',
  'te',
  'user-agent',
  'host',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'accept-encoding',
  'transfer-encoding',
  'connection',
]);
/** Of responses: what is not the application's. */
const NOT_PASSED = new Set(['grpc-encoding', 'grpc-accept-encoding']);
/** As node:http2: of fields that are there once, the first. */
const SINGLE = new Set([
  'content-type',
  'content-length',
  'date',
  'etag',
  'expires',
  'last-modified',
  'location',
  'retry-after',
  'server',
  'user-agent',
  'age',
  'authorization',
]);

/** Adds metadata to the headers of a request. */
export function addRequestMetadata(headers: string[], metadata: Metadata): void {
  const fields = metadata.toHttp2Headers();
  for (const name in fields) {
    const value = fields[name];
    if (OWN.has(name)) continue;
    if (typeof value === 'string') headers.push(name, value);
    else if (Array.isArray(value)) for (const one of value) headers.push(name, one);
  }
}

/** The metadata of a response's head or trailers. @param status whether it has the status of the call, which is left out */
export function responseMetadata(metadata: MetadataClass, headers: FlatHeaders, status: boolean): Metadata {
  const fields: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at]!;
    if (NOT_PASSED.has(name) || (status && (name === 'grpc-status' || name === 'grpc-message'))) continue;
    const value = headers[at + 1]!;
    const before = fields[name];
    if (before === undefined) fields[name] = name === 'set-cookie' ? [value] : value;
    else if (typeof before !== 'string') before.push(value);
    else if (!SINGLE.has(name)) fields[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return metadata.fromHttp2Headers(fields);
}

/** The first value of a field. */
export function fieldOf(headers: FlatHeaders, name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) if (headers[at] === name) return headers[at + 1];
  return undefined;
}
