// For tests: heads of our own.

import { Http2RequestHead, Http2ResponseHead } from '../head.ts';
import type { Fields } from './frames.ts';

export function ownRequest(method: string, path: string = '/', fields: Fields = []): Http2RequestHead {
  const head = new Http2RequestHead();
  head.method = method;
  head.authority = method === 'CONNECT' ? 'db:5432' : 'orders.mesh.internal';
  if (method !== 'CONNECT') {
    head.scheme = 'http';
    head.path = path;
  }
  for (const [name, value] of fields) head.add(name, value);
  return head;
}

export function ownResponse(status: number, fields: Fields = []): Http2ResponseHead {
  const head = new Http2ResponseHead();
  head.status = status;
  for (const [name, value] of fields) head.add(name, value);
  return head;
}
