// Bytes that come to an instance as they are, as callers without TLS may send them: they are decided on like a CONNECT to the instance by somebody
// that nobody knows. What has to be asked of others before is refused: there is no request that could wait, or be answered.
import type { Connection } from '@heddle/runtime';
import { Http2RequestHead } from '@heddle/wire';
import { Entry } from './entry.ts';
import type { HttpService } from './http-service.ts';

/** @param authority `host:port` that the bytes would be for. */
export function admitsBytes(service: HttpService, connection: Connection, authority: string): boolean {
  // Nothing is asked of who calls.
  if (service.routes.access === undefined) return true;
  const head = new Http2RequestHead();
  head.method = 'CONNECT';
  head.authority = authority;
  const entry = new Entry(service, connection, 'http1', undefined);
  if (entry.find(head) && entry.clearance === undefined) return true;
  if (entry.answer === undefined) entry.refused(entry.clearance === undefined ? entry.code : 'ACCESS_DENIED');
  else entry.answered(entry.answer);
  return false;
}
