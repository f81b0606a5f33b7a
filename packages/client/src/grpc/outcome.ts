// How a call has ended, from what the mesh says: the status in trailers, or in a head that is all there is, or what stands for a missing one.
import { ERROR_HEADER, ERRORS, type ErrorCode } from '@heddle/core';
import type { DirectCallError, FlatHeaders } from '@heddle/dataplane/direct';
import { decodeGrpcMessage, GRPC_STATUS, grpcStatusOfHttp } from '@heddle/wire';
import { fieldOf, responseMetadata } from './metadata.ts';
import type { MetadataClass, StatusObject } from './types.ts';

const NUMBER = /^\d{1,9}$/;

/** What trailers say, or a head without anything after it. */
export function outcomeOf(fields: FlatHeaders, httpStatus: number, metadataClass: MetadataClass): StatusObject {
  const metadata = responseMetadata(metadataClass, fields, true);
  const status = fieldOf(fields, 'grpc-status');
  if (status === undefined) return { ...httpOutcome(httpStatus), metadata };
  const message = fieldOf(fields, 'grpc-message');
  return {
    code: NUMBER.test(status) ? Number(status) : GRPC_STATUS.UNKNOWN,
    details: message === undefined ? '' : decodeGrpcMessage(message),
    metadata,
  };
}

/** For an answer that is none of gRPC. */
export function httpOutcome(httpStatus: number): { readonly code: number; readonly details: string } {
  return { code: grpcStatusOfHttp(httpStatus), details: `Received HTTP status code ${httpStatus}` };
}

/** For a response that broke off. */
export function brokenOutcome(error: DirectCallError, metadataClass: MetadataClass): StatusObject {
  const metadata = new metadataClass();
  metadata.set(ERROR_HEADER, error.code);
  return { code: ERRORS[error.code].grpcStatus, details: error.message, metadata };
}

/**
 * Whether a call that waits for readiness may be made again after this head, which is all of the answer: nobody has seen the request, and the reason can
 * pass.
 */
export function mayComeLater(head: FlatHeaders): boolean {
  const code = fieldOf(head, ERROR_HEADER);
  if (code === undefined || !Object.hasOwn(ERRORS, code)) return false;
  const { neverDelivered, grpcStatus } = ERRORS[code as ErrorCode];
  return neverDelivered && grpcStatus === GRPC_STATUS.UNAVAILABLE;
}
