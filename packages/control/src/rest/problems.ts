// What the REST API answers when it does not do what it was asked for: one table, told as `application/problem+json` (RFC 9457).
import { AuditError } from '../audit/log.ts';
import { AuthorityError, JoinTokenRequestError } from '../ca/index.ts';
import { MeshFileError } from '../mesh-file/read.ts';
import { RegistryError } from '../registry/errors.ts';
import type { RegistryErrorCode } from '../registry/errors.ts';
import { StoreError } from '../registry/store.ts';
import { TapRefusal } from '../telemetry/tap-desk.ts';
import type { FileProblem, Problem } from './schema/common.ts';

export const PROBLEMS = {
  INVALID: { status: 400, title: 'The request breaks a rule' },
  BAD_JSON: { status: 400, title: 'The body is not JSON' },
  UNAUTHENTICATED: { status: 401, title: 'The token is missing or wrong' },
  FORBIDDEN: { status: 403, title: 'The role does not allow it' },
  FOREIGN_ORIGIN: { status: 403, title: 'Pages of other origins may not change anything' },
  NOT_FOUND: { status: 404, title: 'There is no such thing' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The resource has no such method' },
  REFUSED: { status: 409, title: 'It cannot be done now' },
  SUPERSEDED: { status: 409, title: 'Another registration has taken the place of the instance' },
  EXPIRED: { status: 410, title: 'The registration has ended' },
  PRECONDITION_FAILED: { status: 412, title: 'The resource is not what it was' },
  TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The body is of a kind that cannot be read' },
  MISDIRECTED: { status: 421, title: 'The host name is not one of this server' },
  LIMIT: { status: 429, title: 'A limit is reached' },
  INTERNAL: { status: 500, title: 'The control plane failed' },
  UNAVAILABLE: { status: 503, title: 'The control plane cannot do it now' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface ProblemExtras {
  readonly mend?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
  /** Of a mesh file. */
  readonly problems?: readonly FileProblem[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown by whoever knows what is wrong with a request. */
export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly extras: ProblemExtras;
  constructor(code: ProblemCode, message: string, extras: ProblemExtras = {}) {
    super(message);
    this.name = 'ProblemError';
    this.code = code;
    this.extras = extras;
  }
}

const OF_REGISTRY: Readonly<Record<RegistryErrorCode, ProblemCode>> = {
  INVALID: 'INVALID',
  NOT_FOUND: 'NOT_FOUND',
  LIMIT: 'LIMIT',
  SUPERSEDED: 'SUPERSEDED',
  EXPIRED: 'EXPIRED',
  CONFLICT: 'PRECONDITION_FAILED',
  UNAVAILABLE: 'UNAVAILABLE',
};

const OF_TAP: Readonly<Record<TapRefusal['kind'], ProblemCode>> = { invalid: 'INVALID', 'not-found': 'NOT_FOUND', limit: 'LIMIT' };

/** Undefined for what is nobody's known error: our fault. */
export function problemOf(error: unknown): ProblemError | undefined {
  if (error instanceof ProblemError) return error;
  if (error instanceof RegistryError) return new ProblemError(OF_REGISTRY[error.code], error.message);
  if (error instanceof MeshFileError) return new ProblemError('INVALID', error.message, { problems: error.problems });
  if (error instanceof TapRefusal) return new ProblemError(OF_TAP[error.kind], error.message);
  if (error instanceof JoinTokenRequestError) return new ProblemError('INVALID', error.message);
  if (error instanceof AuthorityError && error.code === 'REFUSED') return new ProblemError('REFUSED', error.message);
  if (error instanceof StoreError && error.code === 'CLOSED') return new ProblemError('UNAVAILABLE', 'the control plane is stopping');
  if (error instanceof StoreError || error instanceof AuthorityError || error instanceof AuditError)
    return new ProblemError('UNAVAILABLE', error.message);
  return undefined;
}

/** @param instance path of the request. */
export function problemBody({ code, message, extras }: ProblemError, instance: string): Problem {
  const { status, title } = PROBLEMS[code];
  return {
    type: problemType(code),
    title,
    status,
    detail: message,
    instance,
    code,
    ...(extras.mend === undefined ? {} : { mend: extras.mend }),
    ...(extras.errors === undefined ? {} : { errors: [...extras.errors] }),
    ...(extras.problems === undefined ? {} : { problems: [...extras.problems] }),
  };
}

export function problemType(code: ProblemCode): string {
  return `urn:heddle:problem:${code.toLowerCase().replaceAll('_', '-')}`;
}
