// Hashes of requests, cookies that are read and made.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hashText } from '../balancing/hash-text.ts';
import type { HashSource } from '../model/balance.ts';
import { cookieValue, setCookie } from './cookie.ts';
import { hashRequest } from './request-hash.ts';
import type { HashResult } from './request-hash.ts';
import type { PlainRequestParts } from './request.ts';
import { request } from './test-support.ts';

function hashed(sources: readonly HashSource[], parts: Partial<PlainRequestParts>, random: () => number = () => 0.5): HashResult {
  const into = { hash: 1, setCookie: 'old' };
  hashRequest(sources, request(parts), random, into);
  return into;
}

describe('the hash of a request', () => {
  const user: HashSource = { kind: 'header', name: 'X-User' };
  const session: HashSource = { kind: 'cookie', name: 'sid' };
  const made: HashSource = { ...session, ttlMs: 3_600_000 };

  it('comes from a header, a cookie, a query parameter or the source', () => {
    assert.equal(hashed([user], { headers: [['x-user', 'ann']] }).hash, hashText('ann'));
    assert.equal(hashed([session], { headers: [['cookie', 'a=b; sid=7']] }).hash, hashText('7'));
    assert.equal(hashed([{ kind: 'query', name: 'u' }], { path: '/?u=ann&u=bob' }).hash, hashText('ann'));
    assert.equal(hashed([{ kind: 'source' }], { sourceAddress: '10.0.0.7' }).hash, hashText('10.0.0.7'));
  });

  it('comes from the first source that the request has', () => {
    assert.equal(hashed([user, session], { headers: [['cookie', 'sid=7']] }).hash, hashText('7'));
    assert.equal(
      hashed([session, user], {
        headers: [
          ['cookie', 'sid=7'],
          ['x-user', 'ann'],
        ],
      }).hash,
      hashText('7'),
    );
    assert.deepEqual(hashed([user, session, { kind: 'source' }], {}), { hash: undefined, setCookie: '' });
    assert.deepEqual(hashed([], {}), { hash: undefined, setCookie: '' });
  });

  it('makes the cookie that is missing, with which the next request has the same hash', () => {
    let step = 0;
    const first = hashed([user, made, { kind: 'source' }], { sourceAddress: '10.0.0.7' }, () => [0.1, 0.9][step++] as number);
    assert.match(first.setCookie, /^sid=[0-9a-f]{16}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/);
    const second = hashed([user, made], { headers: [['cookie', first.setCookie.replace(/;.*/, '')]] });
    assert.deepEqual(second, { hash: first.hash, setCookie: '' });
    assert.deepEqual(hashed([user, made], { headers: [['x-user', 'ann']] }), { hash: hashText('ann'), setCookie: '' });
  });
});

describe('a cookie', () => {
  it('is found by its whole name, the first of several', () => {
    assert.equal(cookieValue('a=1; sid=2; b=3', 'sid'), '2');
    assert.equal(cookieValue('sid=2;sid=3', 'sid'), '2');
    assert.equal(cookieValue('xsid=1; sid2=2; SID=3; sid', 'sid'), undefined);
    assert.equal(cookieValue('a=sid=1; ;; sid=a=b ', 'sid'), 'a=b');
    assert.equal(cookieValue('sid=', 'sid'), '');
    assert.equal(cookieValue('sid="q"', 'sid'), 'q');
    assert.equal(cookieValue('sid="', 'sid'), '"');
    assert.equal(cookieValue('', 'sid'), undefined);
    assert.equal(cookieValue(undefined, 'sid'), undefined);
  });

  it('is found among any others (property)', () => {
    const name = fc.constantFrom('a', 'b', 'ab');
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.stringMatching(/^[a-z=]{0,4}$/))), name, (pairs, wanted) => {
        const header = pairs.map(([key, value]) => `${key}=${value}`).join('; ');
        assert.equal(cookieValue(header, wanted), pairs.find(([key]) => key === wanted)?.[1]);
      }),
    );
  });

  it('lives for the session without a time, and for a second at least', () => {
    assert.equal(setCookie('a', 'b', 0), 'a=b; Path=/; HttpOnly; SameSite=Lax');
    assert.match(setCookie('a', 'b', 1), /Max-Age=1;/);
  });
});
