// Answers of the data plane itself as HTTP/1.1.
import type { ErrorCode } from '@heddle/core';
import type { RemoteProtocolError } from '@heddle/wire';
import { renderResponse } from '@heddle/wire';
import type { LocalAnswer } from '../stack/local-answer.ts';

/** `toHead`: in answer to HEAD. */
export function renderAnswer({ status, headers, contentType, body }: LocalAnswer, close: boolean, toHead: boolean): Buffer {
  const all = body === '' ? headers : [...headers, ['content-type', contentType] as const];
  return renderResponse({ status, headers: all, body, close, toHead });
}

/** The table's code for a broken request; the status stays that of the violated rule. */
export function codeOfViolation(error: RemoteProtocolError): ErrorCode {
  switch (error.httpStatus) {
    case 431:
    case 414:
      return 'HEAD_TOO_LARGE';
    case 501:
    case 505:
      return 'NOT_IMPLEMENTED';
    default:
      return 'BAD_REQUEST';
  }
}
