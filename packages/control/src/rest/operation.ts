// What the table of the REST API says of one operation.
import type { z } from 'zod';
import type { Role } from '../server/caller.ts';
import type { ProblemCode } from './problems.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface Answer {
  readonly description: string;
  /** Absent: the answer has no body. */
  readonly schema?: z.ZodType;
  /** Of the body; `application/json` unless it says otherwise. */
  readonly mediaType?: string;
}

export interface Operation {
  readonly method: Method;
  /** With `{name}` for what `path` describes. */
  readonly url: string;
  readonly tag: 'mesh' | 'administration' | 'identities' | 'services' | 'instances' | 'proxies' | 'traffic' | 'events' | 'watch';
  readonly summary: string;
  readonly description?: string;
  /** Which one is needed. Absent: it is answered to everybody. */
  readonly role?: Role;
  readonly path?: z.ZodType;
  readonly query?: z.ZodType;
  /** A JSON body. */
  readonly body?: z.ZodType;
  /** The body may be left out, which means an empty object. */
  readonly bodyOptional?: boolean;
  /** Of a JSON body; 1 MiB unless it says otherwise. */
  readonly bodyBytesMax?: number;
  /** A body of text, of one of these media types; with `body` either of the two. */
  readonly text?: { readonly mediaTypes: readonly string[]; readonly description: string; readonly example: string };
  /** `if-match` with an entity tag of the resource makes it conditional; `if-none-match: *` on PUT: only when there is none. */
  readonly conditional?: boolean;
  /** `false`: it changes nothing, whatever its method. */
  readonly changes?: false;
  /** It comes all the time. */
  readonly frequent?: true;
  /** Its answer carries an entity tag, and `if-none-match` is honoured. */
  readonly tagged?: boolean;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Besides those that every operation may have. */
  readonly problems?: readonly ProblemCode[];
}
