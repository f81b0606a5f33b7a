// What the registry refuses, by whose fault. Servers turn the code into their protocol's status.

/**
 * `INVALID`: the input breaks a rule. `NOT_FOUND`: no such service or instance. `LIMIT`: a bound of the registry is reached.
 * `SUPERSEDED`: another registration has taken the instance's place. `EXPIRED`: the lease has ended: register again.
 * `CONFLICT`: the instance is not at the revision that was expected; `revision` is the one it is at, 0 when there is none.
 * `UNAVAILABLE`: the store cannot be written; nothing was changed.
 */
export type RegistryErrorCode = 'INVALID' | 'NOT_FOUND' | 'LIMIT' | 'SUPERSEDED' | 'EXPIRED' | 'CONFLICT' | 'UNAVAILABLE';

export class RegistryError extends Error {
  readonly code: RegistryErrorCode;
  /** With CONFLICT. */
  readonly revision: number | undefined;
  constructor(code: RegistryErrorCode, message: string, cause?: unknown, revision?: number) {
    super(message, { cause });
    this.name = 'RegistryError';
    this.code = code;
    this.revision = revision;
  }
}
