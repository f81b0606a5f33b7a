// What goes wrong with the mesh itself inside an application. What goes wrong with a call is an answer, with the code in `x-heddle-error`.

export type MeshErrorCode =
  /** Options or environment cannot be used. */
  | 'BAD_OPTIONS'
  /** The data plane has not come up in time. */
  | 'NOT_READY'
  /** It was stopped. */
  | 'STOPPED';

/** Thrown by functions of this package; the message says what to do. */
export class MeshError extends Error {
  readonly code: MeshErrorCode;
  constructor(code: MeshErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'MeshError';
    this.code = code;
  }
}
