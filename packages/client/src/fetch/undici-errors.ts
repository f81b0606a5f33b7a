// Errors as undici makes them: code and name are what applications look at, and `instanceof` of the package's own classes looks at these symbols.

const KINDS = {
  UND_ERR_ABORTED: { name: 'AbortError', message: 'Request aborted' },
  UND_ERR_BODY_TIMEOUT: { name: 'BodyTimeoutError', message: 'Body Timeout Error' },
  UND_ERR_CLOSED: { name: 'ClientClosedError', message: 'The client is closed' },
  UND_ERR_DESTROYED: { name: 'ClientDestroyedError', message: 'The client is destroyed' },
  UND_ERR_HEADERS_TIMEOUT: { name: 'HeadersTimeoutError', message: 'Headers Timeout Error' },
  UND_ERR_INVALID_ARG: { name: 'InvalidArgumentError', message: 'Invalid Argument Error' },
  UND_ERR_NOT_SUPPORTED: { name: 'NotSupportedError', message: 'Not supported error' },
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: {
    name: 'RequestContentLengthMismatchError',
    message: 'Request body length does not match content-length header',
  },
  UND_ERR_SOCKET: { name: 'SocketError', message: 'Socket error' },
} as const;

export type DispatchErrorCode = keyof typeof KINDS;

/** An error of a request through `MeshDispatcher`, with undici's code and name. */
export class DispatchError extends Error {
  readonly code: DispatchErrorCode;

  constructor(code: DispatchErrorCode, message: string = KINDS[code].message, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    hidden(this, 'name', KINDS[code].name);
    hidden(this, Symbol.for('undici.error.UND_ERR'), true);
    hidden(this, Symbol.for(`undici.error.${code}`), true);
    if (code === 'UND_ERR_ABORTED') hidden(this, Symbol.for('undici.error.UND_ERR_ABORT'), true);
  }
}

export function invalidArgument(message: string): DispatchError {
  return new DispatchError('UND_ERR_INVALID_ARG', message);
}

function hidden(error: object, key: string | symbol, value: unknown): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true });
}
