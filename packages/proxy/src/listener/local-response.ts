// Answers that the data plane gives by itself: the error table as HTTP. The header names the code for the calling data plane, the body
// tells a person what happened and what to do.
import { ERROR_HEADER, ERRORS } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import type { RemoteProtocolError } from '@heddle/wire';
import { renderResponse } from '@heddle/wire';

export interface LocalResponse {
  readonly code: ErrorCode;
  /** What exactly happened, for people. */
  readonly detail: string;
  readonly close: boolean;
  readonly toHead: boolean;
  /** Default: that of the code. */
  readonly httpStatus?: number;
}

export function renderError(response: LocalResponse): Buffer {
  const { code, detail, close, toHead } = response;
  const status = response.httpStatus ?? ERRORS[code].httpStatus;
  const headers: [string, string][] = [
    [ERROR_HEADER, code],
    ['content-type', 'text/plain; charset=utf-8'],
  ];
  // RFC 9110 §11.7.1: a 407 says how to authenticate.
  if (status === 407) headers.push(['proxy-authenticate', 'Basic realm="heddle"']);
  if (status === 503) headers.push(['retry-after', '1']);
  return renderResponse({ status, headers, body: errorText(code, detail), close, toHead });
}

/** What happened and what to do, for people. */
export function errorText(code: ErrorCode, detail: string): string {
  const { meaning, mend } = ERRORS[code];
  return `${code}: ${meaning}${detail === '' ? '' : ` (${detail})`} ${mend}\n`;
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
