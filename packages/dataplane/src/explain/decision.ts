// What the access policy of a called instance says to a request, where this data plane hosts the instance: the engine's own explanation. Tokens are not
// looked at: whether one is valid is found out with keys that are not in a dump, so the request is taken as one without.
import { explainAccess } from '@heddle/core';
import type { AccessView, ConditionCompiler, PlainRequest, ServiceRef, VirtualHost } from '@heddle/core';
import type { AppliedListener } from './dump.ts';
import { serviceOf } from './dump.ts';
import type { DecisionFacts } from './types.ts';

/** Of rules that are listed. */
const RULES_MAX = 100;

export interface DecisionOptions {
  /** `compileCondition` of `@heddle/core/cel`; needed where a policy has conditions. */
  readonly conditions?: ConditionCompiler;
  /** Unix time. */
  readonly wallMs: number;
}

/** The request as the called side sees it. */
class AskedView implements AccessView {
  /** Calls between workloads that this data plane hosts stay on the machine. */
  readonly peerAddress = '127.0.0.1';
  readonly claims = undefined;
  readonly isStream: boolean;
  readonly nowMs: number;
  private readonly request: PlainRequest;

  constructor(request: PlainRequest, nowMs: number) {
    this.request = request;
    this.isStream = request.method === 'CONNECT';
    this.nowMs = nowMs;
  }

  get method(): string {
    return this.request.method;
  }

  get path(): string {
    return this.request.path;
  }

  get authority(): string {
    return this.request.authority;
  }

  get sourceAddress(): string {
    return this.request.sourceAddress;
  }

  get sourceIdentity(): string {
    return this.request.sourceIdentity;
  }

  header(name: string, line?: number): string | undefined {
    return this.request.header(name, line);
  }
}

/** Null: nothing is asked. @param host of the way in of the instance. */
export function decisionOf(
  { workload = '' }: AppliedListener,
  { access, tokens }: Pick<VirtualHost, 'access' | 'tokens'>,
  request: PlainRequest,
  { conditions, wallMs }: DecisionOptions,
): DecisionFacts | null {
  const issuers = tokens?.issuers.map(({ name }) => name) ?? [];
  if (access === undefined)
    return issuers.length === 0 ? null : { ...EVERYBODY, issuers, reason: 'there are no rules; a token that is not valid is refused' };
  const {
    decision,
    path = '',
    rules,
    reason,
    token,
  } = explainAccess(access, new AskedView(request, wallMs), {
    destination: refOf(workload),
    ...(conditions && { conditions }),
  });
  const { allowed, rule, code, audited } = decision;
  return {
    allowed,
    code: code ?? null,
    rule,
    reason,
    token,
    path,
    onlyWatches: access.audit === true,
    watched: audited.map((note) => ({ ...note })),
    rules: rules.slice(0, RULES_MAX),
    rulesCount: rules.length,
    authorizer: access.external?.cluster ?? '',
    issuers,
  };
}

const EVERYBODY: DecisionFacts = {
  allowed: true,
  code: null,
  rule: '',
  reason: '',
  token: '',
  path: '',
  onlyWatches: false,
  watched: [],
  rules: [],
  rulesCount: 0,
  authorizer: '',
  issuers: [],
};

function refOf(workload: string): ServiceRef {
  const [namespace = '', name = ''] = serviceOf(workload).split('/');
  return { namespace, name };
}
