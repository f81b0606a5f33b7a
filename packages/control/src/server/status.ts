// Errors of the layers below as gRPC statuses. What is nobody's known error is our bug: logged whole, told to nobody.
import { Metadata, status } from '@grpc/grpc-js';
import type { StatusObject } from '@grpc/grpc-js';
import { InvalidMessageError } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import { AuditError } from '../audit/log.ts';
import { AuthorityError, JoinTokenRequestError } from '../ca/index.ts';
import { RegistryError } from '../registry/errors.ts';
import type { RegistryErrorCode } from '../registry/errors.ts';
import { StoreError } from '../registry/store.ts';

const REGISTRY_STATUS: Readonly<Record<RegistryErrorCode, status>> = {
  INVALID: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  LIMIT: status.RESOURCE_EXHAUSTED,
  SUPERSEDED: status.ABORTED,
  EXPIRED: status.NOT_FOUND,
  CONFLICT: status.FAILED_PRECONDITION,
  UNAVAILABLE: status.UNAVAILABLE,
};

/** Thrown by handlers that know their status. */
export class CallError extends Error {
  readonly code: status;
  readonly reason: Reason | undefined;
  constructor(code: status, message: string, reason?: Reason) {
    super(message);
    this.name = 'CallError';
    this.code = code;
    this.reason = reason;
  }
}

/** Why a call failed, for programs: told in the trailers `heddle-reason` and `heddle-revision`. */
export interface Reason {
  readonly word: string;
  readonly revision?: number | undefined;
}

type CallStatus = Pick<StatusObject, 'code' | 'details'> & { readonly metadata?: Metadata };

export function statusOf(error: unknown, logger: Logger): CallStatus {
  if (error instanceof CallError) return { code: error.code, details: error.message, ...trailers(error.reason) };
  if (error instanceof RegistryError)
    return { code: REGISTRY_STATUS[error.code], details: error.message, ...trailers(registryReason(error)) };
  if (error instanceof InvalidMessageError || error instanceof JoinTokenRequestError)
    return { code: status.INVALID_ARGUMENT, details: error.message };
  if (error instanceof StoreError && error.code === 'CLOSED') return { code: status.UNAVAILABLE, details: 'the control plane is stopping' };
  if (error instanceof AuthorityError && error.code === 'REFUSED') return { code: status.FAILED_PRECONDITION, details: error.message };
  if (error instanceof StoreError || error instanceof AuthorityError || error instanceof AuditError) {
    logger.error({ error: error.message }, 'a call failed at the control plane itself');
    return { code: status.UNAVAILABLE, details: error.message };
  }
  logger.error({ error }, 'a call failed by a fault of the control plane');
  return { code: status.INTERNAL, details: 'the control plane failed; its log says why' };
}

function registryReason({ code, revision }: RegistryError): Reason | undefined {
  if (code === 'CONFLICT') return { word: 'revision-mismatch', revision };
  if (code === 'EXPIRED') return { word: 'lease-ended' };
  return code === 'SUPERSEDED' ? { word: 'superseded' } : undefined;
}

function trailers(reason: Reason | undefined): { readonly metadata?: Metadata } {
  if (reason === undefined) return {};
  const metadata = new Metadata();
  metadata.set('heddle-reason', reason.word);
  if (reason.revision !== undefined) metadata.set('heddle-revision', String(reason.revision));
  return { metadata };
}
