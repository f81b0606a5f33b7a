// One gate for each TokenPolicy, and one set of keys for each issuer, however many virtual hosts name them. What survives a change of the configuration keeps what it
// knows: else every change of anything would have all tokens checked anew.
import type { TokenIssuer, TokenPolicy } from '@heddle/core';
import type { TokenGate, TokenGates } from '../stack/access-gate.ts';
import type { Context } from '../stack/context.ts';
import type { AuthnDeps } from './authn.ts';
import { HttpsClient } from '../asking/https-client.ts';
import { IssuerKeys } from './issuer-keys.ts';
import type { KeysOfIssuer } from './issuer-keys.ts';
import { PolicyGate } from './token-gate.ts';

export function createTokenGates(context: Context): TokenGates {
  return gatesOf({ ...context, client: new HttpsClient(context) });
}

export function gatesOf(deps: AuthnDeps): TokenGates {
  return new Gates(deps);
}

class Gates implements TokenGates {
  private readonly deps: AuthnDeps;
  private readonly gates = new Map<string, PolicyGate>();
  private readonly keys = new Map<string, IssuerKeys>();

  constructor(deps: AuthnDeps) {
    this.deps = deps;
  }

  gateFor(policy: TokenPolicy): TokenGate {
    const key = JSON.stringify(policy);
    let gate = this.gates.get(key);
    if (gate === undefined) {
      gate = new PolicyGate(this.deps, policy, (issuer) => this.keysOf(issuer));
      this.gates.set(key, gate);
    }
    return gate;
  }

  retain(policies: readonly TokenPolicy[]): void {
    const gates = new Set(policies.map((policy) => JSON.stringify(policy)));
    for (const key of this.gates.keys()) if (!gates.has(key)) this.gates.delete(key);
    const keys = new Set(policies.flatMap(({ issuers }) => issuers.map((issuer) => JSON.stringify(keysConfig(issuer)))));
    for (const [key, held] of this.keys) {
      if (keys.has(key)) continue;
      held.close();
      this.keys.delete(key);
    }
  }

  close(): void {
    this.retain([]);
  }

  private keysOf(issuer: TokenIssuer): IssuerKeys {
    const config = keysConfig(issuer);
    const key = JSON.stringify(config);
    let keys = this.keys.get(key);
    if (keys === undefined) {
      keys = new IssuerKeys(this.deps, config);
      this.keys.set(key, keys);
    }
    return keys;
  }
}

/** Where an issuer is asked about its tokens it may have no keys at all. */
function keysConfig({ name, issuer, keys, keysMaxAgeMs, rootsPem, introspection }: TokenIssuer): KeysOfIssuer {
  return { name, issuer, keys, keysMaxAgeMs, ...(rootsPem !== undefined && { rootsPem }), isEager: introspection === undefined };
}
