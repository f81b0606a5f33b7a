// The decision about one request, in this order: the form of the request, the token that came, the rules, the outside authorizer. One object for each
// downstream connection. What is refused, watched or not to be found out is told to the record; the caller learns the code and the rule.
import { normalizePath } from '@heddle/core';
import type { Decision, VerifiedToken } from '@heddle/core';
import { NO_EFFECT } from './access-gate.ts';
import type { HeaderEffect, Later, TokenAnswer } from './access-gate.ts';
import type { AccessRecord, DecidedBy, DecidedRequest } from './access-record.ts';
import type { AccessQuestion, KnownAnswers } from './access-wait.ts';
import type { AuthorizerAnswer, OutsideAuthorizer } from './authorizer.ts';
import type { OwnHeader } from './header-rewrite.ts';
import type { InboundAccess } from './inbound-access.ts';
import { accessRefusal, errorAnswer } from './local-answer.ts';
import type { LocalAnswer } from './local-answer.ts';
import { connectionOptions } from './messages.ts';
import type { AnyRequestHead } from './messages.ts';
import type { HeadView } from './request-view.ts';

/** Of the listener that the requests come by. */
export interface AdmittingService {
  /** `<namespace>/<service>`. */
  readonly destination: string;
  /** That the requests are for, or that makes them. */
  readonly workloadName: string;
  readonly record: AccessRecord;
  /** What is said to an authorizer about the two sides of a connection. */
  peersOf(view: HeadView, access: InboundAccess): { readonly source: Peer; readonly destination: Peer };
}

type Peer = Parameters<OutsideAuthorizer['question']>[0];

const NO_RULE = 'no rule allows it';
/** RFC 6750 §3: without a token nothing is wrong with it. */
const CHALLENGE = 'Bearer';

export class Admission implements DecidedRequest {
  /** Refused: what it is answered. */
  answer: LocalAnswer | undefined;
  /** To be asked first, and then decided again. */
  question: AccessQuestion | undefined;
  /** Admitted: what happens to the headers of the request, one after the other. */
  readonly effects: HeaderEffect[] = [];
  /** What the response gets besides. */
  responseHeaders: readonly OwnHeader[] | undefined;
  private readonly view: HeadView;
  private readonly service: AdmittingService;
  private access!: InboundAccess;
  private head!: AnyRequestHead;
  private token: TokenAnswer | undefined;
  /** The rule that allowed it. */
  private rule = '';
  /** It was looked at before, and said what there was to say. */
  private isKnown = false;

  constructor(view: HeadView, service: AdmittingService) {
    this.view = view;
    this.service = service;
  }

  /** True: admitted. Else there is an answer, or a question. The view shows the request. @param known answers to questions asked before. */
  decide(access: InboundAccess, head: AnyRequestHead, known: KnownAnswers | undefined): boolean {
    const { view } = this;
    this.access = access;
    this.head = head;
    this.answer = undefined;
    this.question = undefined;
    this.responseHeaders = undefined;
    this.effects.length = 0;
    this.isKnown = known?.of === access;
    this.token = this.isKnown ? known?.token : undefined;
    view.claims = undefined;
    const isStream = view.isStream;
    if (!isStream && access.headerNames.length > 0 && !this.hasClearNames()) return false;
    if (!isStream && access.tokens !== undefined && !this.takesToken(access.tokens)) return false;
    const isClear = isStream || !access.readsPaths || this.normalisesPath();
    const answer = this.isKnown ? known?.external : undefined;
    if (!this.passesRules(isClear, answer !== undefined)) return false;
    return access.external === undefined || this.passesAuthorizer(access.external, isClear, answer);
  }

  /** What was decided on last was admitted, and goes on its way. */
  admitted(): void {
    if (this.access.policy !== undefined) this.service.record.allowed(this.rule, this);
  }

  /** Whether a stream that was admitted would be so still, as far as rules go: nobody is asked again. */
  keeps(access: InboundAccess, head: AnyRequestHead): boolean {
    return this.decide(access, head, { of: access, external: { kind: 'allowed', headers: NO_EFFECT, responseHeaders: undefined } });
  }

  /** Counts as refused, and not by a rule. */
  refuse(answer: LocalAnswer, by: DecidedBy, why: string): false {
    this.answer = answer;
    this.service.record.told('denied', by, '', why, this);
    return false;
  }

  // --- for the record

  get sourceIdentity(): string {
    return this.view.sourceIdentity;
  }

  get peerAddress(): string {
    return this.view.peerAddress;
  }

  get method(): string {
    return this.view.isStream ? 'CONNECT' : this.view.method;
  }

  get path(): string {
    return this.view.path;
  }

  get authority(): string {
    return this.view.authority;
  }

  get issuer(): string {
    return this.view.claims?.issuer ?? '';
  }

  // --- the form

  /** What rules look at must be what the application gets, under that name alone. */
  private hasClearNames(): boolean {
    const { head, access } = this;
    const alike = access.lookalikes.find((name) => head.has(name));
    const hop = alike === undefined ? connectionOptions(head).find((name) => access.headerNames.includes(name)) : undefined;
    if (alike === undefined && hop === undefined) return true;
    const why =
      alike === undefined
        ? `rules look at the header ${hop}, and Connection says that it is not to be passed on`
        : `the header ${alike} reads like one that a rule looks at`;
    if (!access.onlyWatches) return this.refuse(errorAnswer('BAD_REQUEST', why), 'form', why);
    if (!this.isKnown) this.service.record.told('would-deny', 'form', '', why, this);
    return true;
  }

  /** False: there is no one way to read it. A policy that only watches changes nothing. */
  private normalisesPath(): boolean {
    const { view, head } = this;
    const normal = normalizePath(head.path);
    if (normal !== head.path && !this.access.onlyWatches) view.normalPath = normal;
    return normal !== undefined;
  }

  // --- the token

  private takesToken(tokens: NonNullable<InboundAccess['tokens']>): boolean {
    const { view, access } = this;
    const answer = this.token ?? tokens.check(view, view.nowMs);
    if (answer.kind === 'later') {
      this.question = new TokenQuestion(access, answer);
      return false;
    }
    this.token = answer;
    this.effect(tokens.always);
    switch (answer.kind) {
      case 'none':
        return true;
      case 'valid':
        view.claims = answer.token satisfies VerifiedToken;
        this.effect(answer.headers);
        return true;
      case 'invalid':
        return this.refuse(accessRefusal('TOKEN_INVALID', '', `${CHALLENGE} error="${answer.error}"`), 'token', answer.reason);
      case 'unavailable':
        this.answer = accessRefusal('AUTHORIZER_UNAVAILABLE', 'the issuer of the token', '');
        this.service.record.told('unavailable', 'token', '', answer.reason, this);
        return false;
    }
  }

  private effect(effect: HeaderEffect): void {
    if (effect !== NO_EFFECT) this.effects.push(effect);
  }

  // --- the rules

  /** @param isSecond its rules have let it pass before, and said so. */
  private passesRules(isClear: boolean, isSecond: boolean): boolean {
    const { view, service, access } = this;
    const decision = access.rulesFor(service.destination)?.decide(view);
    if (decision === undefined) return true;
    if (decision.audited.length > 0 && !isSecond) this.tellAudited(decision);
    if (!decision.allowed) return this.refuseBy(decision, isClear);
    this.rule = decision.rule;
    return true;
  }

  private refuseBy({ rule, code }: Decision, isClear: boolean): false {
    const why = rule === '' ? NO_RULE : `rule "${rule}"`;
    const by = rule === '' ? 'default' : 'rule';
    const isNeeded = code === 'TOKEN_REQUIRED';
    this.answer = isClear
      ? accessRefusal(isNeeded ? 'TOKEN_REQUIRED' : 'ACCESS_DENIED', why, isNeeded ? CHALLENGE : '')
      : errorAnswer('BAD_REQUEST', 'the path could be read in several ways, and rules of the service look at it');
    this.service.record.told(
      'denied',
      by,
      rule,
      isClear ? (isNeeded ? `${why} without a token` : why) : `${why}, and the path could be read in several ways`,
      this,
    );
    return false;
  }

  private tellAudited({ audited }: Decision): void {
    const { record } = this.service;
    for (const { rule, effect } of audited) {
      const by = rule === '' ? 'default' : 'rule';
      record.told(effect === 'deny' ? 'would-deny' : 'would-allow', by, rule, rule === '' ? NO_RULE : `rule "${rule}"`, this);
    }
  }

  // --- the authorizer

  private passesAuthorizer(external: OutsideAuthorizer, isClear: boolean, answer: AuthorizerAnswer | undefined): boolean {
    const { view, service, access, head } = this;
    if (!isClear && !access.onlyWatches) {
      const why = 'the path could be read in several ways, and an authorizer is asked about it';
      return this.refuse(errorAnswer('BAD_REQUEST', why), 'form', why);
    }
    if (answer === undefined) {
      const { source, destination } = service.peersOf(view, access);
      const asked = external.question(source, destination, view.isStream ? undefined : head, view.path);
      this.question = new AuthorizerQuestion(access, external, asked, service.workloadName, this.token);
      return false;
    }
    return this.follows(answer, external.policy.failOpen);
  }

  private follows(answer: AuthorizerAnswer, failOpen: boolean): boolean {
    const { service, access } = this;
    const { record } = service;
    if (answer.kind === 'allowed') {
      this.effect(answer.headers);
      this.responseHeaders = answer.responseHeaders;
      return true;
    }
    if (answer.kind === 'unavailable') {
      record.told('unavailable', 'authorizer', '', failOpen ? `${answer.reason}; it is let through (failOpen)` : answer.reason, this);
      if (failOpen || access.onlyWatches) return true;
      this.answer = accessRefusal('AUTHORIZER_UNAVAILABLE', 'an authorizer', '');
      return false;
    }
    const why = `the authorizer answered ${answer.answer.status}`;
    if (!access.onlyWatches) return this.refuse(answer.answer, 'authorizer', why);
    record.told('would-deny', 'authorizer', '', why, this);
    return true;
  }
}

class TokenQuestion implements AccessQuestion {
  readonly bodyBytes = 0;
  readonly bodyTimeoutMs = 0;
  private readonly of: InboundAccess;
  private readonly answer: Later<TokenAnswer>;

  constructor(of: InboundAccess, answer: Later<TokenAnswer>) {
    this.of = of;
    this.answer = answer;
  }

  ask(): Later<KnownAnswers> {
    const { of, answer } = this;
    return { kind: 'later', wait: (done) => answer.wait((token) => done({ of, token })) };
  }

  unanswered(reason: string): KnownAnswers {
    return { of: this.of, token: { kind: 'unavailable', reason } };
  }
}

class AuthorizerQuestion implements AccessQuestion {
  readonly bodyBytes: number;
  readonly bodyTimeoutMs: number;
  private readonly of: InboundAccess;
  private readonly external: OutsideAuthorizer;
  private readonly asked: ReturnType<OutsideAuthorizer['question']>;
  private readonly workload: string;
  /** Is not asked about again. */
  private readonly token: TokenAnswer | undefined;

  constructor(
    of: InboundAccess,
    external: OutsideAuthorizer,
    asked: ReturnType<OutsideAuthorizer['question']>,
    workload: string,
    token: TokenAnswer | undefined,
  ) {
    const { bodyBytesMax, timeoutMs } = external.policy;
    this.bodyBytes = asked.request === undefined ? 0 : bodyBytesMax;
    this.bodyTimeoutMs = timeoutMs;
    this.of = of;
    this.external = external;
    this.asked = asked;
    this.workload = workload;
    this.token = token;
  }

  ask(body: Buffer | undefined, isPartial: boolean): Later<KnownAnswers> {
    const { external, asked, workload } = this;
    const answer = external.ask(asked, workload, body, isPartial);
    return { kind: 'later', wait: (done) => answer.wait((said) => done(this.known(said))) };
  }

  unanswered(reason: string): KnownAnswers {
    return this.known({ kind: 'unavailable', reason });
  }

  private known(external: AuthorizerAnswer): KnownAnswers {
    return { of: this.of, external, ...(this.token && { token: this.token }) };
  }
}
