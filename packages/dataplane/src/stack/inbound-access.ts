// What one virtual host asks of requests: its tokens, rules and outside authorizer, compiled when a configuration is applied. How a request is decided
// on is in admission.ts.
import { compileAccess } from '@heddle/core';
import type { AccessPolicy, CompiledAccess, ConditionCompiler, ServiceRef } from '@heddle/core';
import { lookalikes } from './access-gate.ts';
import type { TokenGate } from './access-gate.ts';
import type { OutsideAuthorizer } from './authorizer.ts';

/** Text of a condition, which may be the name of a header. */
const QUOTED = /["']([A-Za-z0-9!#$%&*+.^_`|~-]{1,256})["']/g;

export class InboundAccess {
  readonly policy: AccessPolicy | undefined;
  readonly tokens: TokenGate | undefined;
  readonly external: OutsideAuthorizer | undefined;
  /** Of headers that rules look at, in lower case. */
  readonly headerNames: readonly string[];
  /** The same, as some applications read them too: what comes under these names is refused. */
  readonly lookalikes: readonly string[];
  /** What is decided on is what the application gets. */
  readonly readsPaths: boolean;
  /** Nothing is refused by rules or authorizer. */
  readonly onlyWatches: boolean;
  private readonly conditions: ConditionCompiler | undefined;
  private compiled: CompiledAccess | undefined;
  private destination = '';

  /** @throws AccessPolicyError */
  constructor(
    policy: AccessPolicy | undefined,
    tokens: TokenGate | undefined,
    external: OutsideAuthorizer | undefined,
    conditions: ConditionCompiler | undefined,
  ) {
    this.policy = policy;
    this.tokens = tokens;
    this.external = external;
    this.conditions = conditions;
    this.compiled = policy && this.compile(policy, undefined);
    this.headerNames = policy === undefined ? [] : headerNames(policy);
    this.lookalikes = lookalikes(this.headerNames);
    this.readsPaths = external !== undefined || this.compiled?.readsPaths === true;
    this.onlyWatches = policy?.audit === true;
  }

  /** Undefined: there are none. @param destination `<namespace>/<service>`, for conditions that ask; nearly always the same. */
  rulesFor(destination: string): CompiledAccess | undefined {
    if (destination !== this.destination && this.policy !== undefined) {
      const [namespace = '', name = ''] = destination.split('/');
      this.destination = destination;
      this.compiled = this.compile(this.policy, name === '' ? undefined : { namespace, name });
    }
    return this.compiled;
  }

  private compile(policy: AccessPolicy, destination: ServiceRef | undefined): CompiledAccess {
    return compileAccess(policy, { ...(this.conditions && { conditions: this.conditions }), ...(destination && { destination }) });
  }
}

function headerNames({ rules }: AccessPolicy): string[] {
  const names = rules.flatMap(({ permissions }) =>
    permissions.flatMap(({ headers = [] }) => headers.map(({ name }) => name.toLowerCase())),
  );
  // A text that is something else costs a look at the head, and a request that has a header of this very name.
  const quoted = rules.flatMap(({ when = '' }) =>
    /\bheaders\b/.test(when) ? [...when.matchAll(QUOTED)].map((match) => match[1]!.toLowerCase()) : [],
  );
  return [...new Set([...names, ...quoted])];
}
