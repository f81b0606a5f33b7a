// What subjects mean together, compared with what each of them says about callers that are tried one after the other.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Network, PeerAddress } from '../../authz/network.ts';
import type { ClaimMatch, IdentityMatch, Subject } from '../../model/security.ts';
import { both, coversSubject, together } from './subjects.ts';

interface Caller {
  readonly id: string | undefined;
  readonly address: string;
  readonly token: { readonly issuer: string; readonly claims: Readonly<Record<string, string>> } | undefined;
}

const IDS = ['a', 'b'].flatMap((namespace) => ['x', 'y'].map((name) => `spiffe://shop/ns/${namespace}/svc/${name}`));
const ADDRESSES = ['10.0.0.1', '10.1.0.1', '192.168.0.1', '2001:db8::1', '::ffff:10.0.0.1'];
const ISSUERS = ['login', 'partner'];

function fits(subject: Subject, { id, address, token }: Caller): boolean {
  const { identities, networks, token: wanted } = subject;
  if (identities?.some((identity) => identityFits(identity, id)) === false) return false;
  const peer = new PeerAddress();
  peer.read(address);
  if (networks?.some((network) => new Network(network).has(peer)) === false) return false;
  if (wanted === undefined) return true;
  if (token === undefined || (wanted.issuers.length > 0 && !wanted.issuers.includes(token.issuer))) return false;
  return wanted.claims.every(({ claim, values }) => values.includes(token.claims[claim[0] as string] as string));
}

function identityFits(identity: IdentityMatch, id: string | undefined): boolean {
  if (id === undefined) return false;
  return identity.kind === 'any' || (identity.kind === 'exact' ? identity.id === id : id.startsWith(identity.prefix));
}

const identity: fc.Arbitrary<IdentityMatch> = fc.oneof(
  fc.constantFrom(...IDS).map((id): IdentityMatch => ({ kind: 'exact', id })),
  fc.constantFrom('spiffe://shop/ns/a/', 'spiffe://shop/ns/').map((prefix): IdentityMatch => ({ kind: 'prefix', prefix })),
  fc.constant<IdentityMatch>({ kind: 'any' }),
);
const claim: fc.Arbitrary<ClaimMatch> = fc.record({
  claim: fc.constantFrom('group', 'role').map((name) => [name]),
  values: fc.subarray(['1', '2', '3'], { minLength: 1 }),
});
const subject: fc.Arbitrary<Subject> = fc.record(
  {
    identities: fc.array(identity, { minLength: 1, maxLength: 3 }),
    networks: fc.subarray(['10.0.0.0/8', '10.1.0.0/16', '10.0.0.1', '::ffff:10.0.0.0/112', '2001:db8::/32', '0.0.0.0/0'], { minLength: 1 }),
    token: fc.record({ issuers: fc.subarray(ISSUERS), claims: fc.array(claim, { maxLength: 2 }) }),
  },
  { requiredKeys: [] },
);
const subjects = fc.array(subject, { maxLength: 3 });
const caller: fc.Arbitrary<Caller> = fc.record({
  id: fc.option(fc.constantFrom(...IDS), { nil: undefined }),
  address: fc.constantFrom(...ADDRESSES),
  token: fc.option(
    fc.record({
      issuer: fc.constantFrom(...ISSUERS),
      claims: fc.dictionary(fc.constantFrom('group', 'role'), fc.constantFrom('1', '2', '3'), { maxKeys: 2 }),
    }),
    { nil: undefined },
  ),
});
const fitsOne = (all: readonly Subject[], who: Caller): boolean => all.some((one) => fits(one, who));

describe('subjects', () => {
  it('of two lists together are those who are in both (property)', () => {
    fc.assert(
      fc.property(subjects, subjects, caller, (some, others, who) => {
        assert.equal(fitsOne(both(some, others), who), fitsOne(some, who) && fitsOne(others, who));
      }),
      { numRuns: 1_000 },
    );
  });

  it('that are said in fewer are the same (property)', () => {
    fc.assert(
      fc.property(fc.array(subject, { maxLength: 6 }), caller, (all, who) => {
        const fewer = together(all);
        assert.ok(fewer.length <= all.length);
        assert.equal(fitsOne(fewer, who), fitsOne(all, who));
      }),
      { numRuns: 1_000 },
    );
  });

  it('cover others only where all of those fit (property)', () => {
    let covered = 0;
    fc.assert(
      fc.property(subject, subject, fc.array(caller, { minLength: 5, maxLength: 5 }), (outer, inner, all) => {
        if (!coversSubject(outer, inner)) return;
        covered++;
        for (const who of all) assert.ok(!fits(inner, who) || fits(outer, who));
      }),
      { numRuns: 1_000 },
    );
    assert.ok(covered > 50, `${covered}`);
    fc.assert(fc.property(subject, (one) => assert.ok(coversSubject(one, one) && coversSubject({}, one))));
  });

  it('that name services, one after the other, are one', () => {
    const exact = (id: string): Subject => ({ identities: [{ kind: 'exact', id }] });
    const token = { issuers: ['login'], claims: [] };
    assert.deepEqual(together([exact('a'), exact('b'), { networks: ['10.0.0.0/8'] }, exact('a'), { networks: ['::1'] }, { token }]), [
      {
        identities: [
          { kind: 'exact', id: 'a' },
          { kind: 'exact', id: 'b' },
        ],
      },
      { networks: ['10.0.0.0/8', '::1'] },
      { token },
    ]);
  });
});
