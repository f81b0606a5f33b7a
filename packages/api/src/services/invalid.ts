// What a message that cannot be used is answered with: where, what is wrong there, and what would be right.

/**
 * A message of the peer holds something that cannot be used. `path` is the field's, in the names of the contract: `instance.inbound.port`.
 */
export class InvalidMessageError extends Error {
  readonly path: string;
  readonly reason: string;
  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`);
    this.name = 'InvalidMessageError';
    this.path = path;
    this.reason = reason;
  }
}
