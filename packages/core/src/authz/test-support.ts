// Rules and requests for the tests of this folder and of the conditions.
import type { AccessPolicy, AccessRule, Permission, Subject } from '../model/security.ts';
import type { PathMatch } from '../model/route.ts';
import { PlainRequest, type PlainRequestParts } from '../routing/request.ts';
import type { AccessView, VerifiedToken } from './view.ts';

export const idOf = (service: string, namespace = 'default'): string => `spiffe://mesh.internal/ns/${namespace}/svc/${service}`;

export const ANYONE: Subject = {};
export const MESH: Subject = { identities: [{ kind: 'any' }] };
export const service = (...names: string[]): Subject => ({ identities: names.map((name) => ({ kind: 'exact', id: idOf(name) })) });

export function rule(effect: 'allow' | 'deny', subject: Subject, permission?: Permission, more: Partial<AccessRule> = {}): AccessRule {
  return { name: effect, effect, subjects: [subject], permissions: permission === undefined ? [] : [permission], ...more };
}

export const paths = (kind: PathMatch['kind'], ...values: string[]): Permission => ({ paths: values.map((value) => ({ kind, value })) });

export function policy(byDefault: 'allow' | 'deny', ...rules: AccessRule[]): AccessPolicy {
  return { default: byDefault, rules };
}

export interface ViewParts extends Partial<Omit<PlainRequestParts, 'sourceIdentity'>> {
  /** Name of the calling service in the default namespace, or a whole identity. */
  readonly from?: string;
  readonly peerAddress?: string;
  readonly claims?: VerifiedToken['claims'];
  readonly issuer?: string;
  readonly isStream?: boolean;
  readonly nowMs?: number;
}

class PlainView extends PlainRequest implements AccessView {
  readonly peerAddress: string;
  readonly claims: VerifiedToken | undefined;
  readonly isStream: boolean;
  readonly nowMs: number;

  constructor({ from = '', peerAddress = '192.0.2.1', claims, issuer = 'login', isStream = false, nowMs = 0, ...parts }: ViewParts) {
    super({ authority: 'orders', ...parts, sourceIdentity: from === '' || from.includes(':') ? from : idOf(from) });
    this.peerAddress = peerAddress;
    this.claims = claims === undefined ? undefined : { issuer, claims };
    this.isStream = isStream;
    this.nowMs = nowMs;
  }
}

export const view = (parts: ViewParts = {}): AccessView => new PlainView(parts);
