// One issuer of a TokenPolicy, with what finds out whether its tokens are valid.
import type { TokenIssuer } from '@heddle/core';
import type { Introspector } from './introspection.ts';
import type { IssuerKeys } from './issuer-keys.ts';

export interface PolicyIssuer {
  readonly config: TokenIssuer;
  /** Where its tokens may be: places in the policy's list of sources. */
  readonly places: ReadonlySet<number>;
  readonly keys: IssuerKeys;
  /** Undefined: it knows JSON Web Tokens alone. */
  readonly introspector: Introspector | undefined;
}
