// One answer to the question who calls, for gRPC and REST: certificate, operator token, named token or login. Wrong proofs are counted by address.
import type { Clock } from '@heddle/runtime';
import { bearerToken, identifyCaller } from './caller.ts';
import type { CallerEvidence, CallerResult, CallerRules } from './caller.ts';
import { FailedAttempts } from './failed-attempts.ts';

/** Tokens of an issuer outside the mesh. */
export interface Logins {
  /** Whether the token is one for it: a JSON Web Token. */
  isMeant(token: string): boolean;
  /** Never rejects. */
  check(token: string): Promise<CallerResult>;
}

export interface AuthenticatorOptions extends CallerRules {
  readonly logins?: Logins;
  readonly clock: Clock;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #attempts = new FailedAttempts();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** `address`: of the other end, without its port. At once, except for logins. */
  identify(evidence: CallerEvidence, address: string): CallerResult | Promise<CallerResult> {
    const { logins, clock } = this.#options;
    if (evidence.authorization.length === 0) return identifyCaller(evidence, this.#options, clock.wallMs());
    const token = bearerToken(evidence.authorization) ?? '';
    if (!this.#attempts.admits(address, token, clock.nowMs()))
      return { ok: false, isThrottled: true, reason: 'too many wrong tokens came from this address; wait some seconds' };
    if (logins?.isMeant(token) === true) return logins.check(token).then((result) => this.#counted(result, address, token));
    return this.#counted(identifyCaller(evidence, this.#options, clock.wallMs()), address, token);
  }

  #counted(result: CallerResult, address: string, token: string): CallerResult {
    if (result.ok) this.#attempts.succeeded(address, token);
    else this.#attempts.failed(address, this.#options.clock.nowMs());
    return result;
  }
}
