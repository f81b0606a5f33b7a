import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTokenForm as read } from './token-form.ts';
import type { TokenForm } from './token-form.ts';

const encode = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const readTokenForm = (text: string): TokenForm => read(text, 16_384);
const HEADER = encode({ alg: 'ES256' });
const CLAIMS = encode({ sub: 'ann' });

test('a signed token is read into header and claims', () => {
  const form = readTokenForm(`${HEADER}.${CLAIMS}.c2ln`);
  assert.deepEqual(form, { kind: 'signed', token: { header: { alg: 'ES256' }, claims: { sub: 'ann' } } });
});

test('what is no JSON Web Token is opaque', () => {
  for (const text of ['abc', 'a.b', 'a.b.c', 'Zm9v.YmFy.YmF6', '0a1b2c~', 'x'.repeat(16_000)])
    assert.equal(readTokenForm(text).kind, 'opaque', text);
});

test('what was meant as a JSON Web Token and is not one in its only form, is malformed and never opaque', () => {
  const table: Record<string, string> = {
    'no signature': `${HEADER}.${CLAIMS}.`,
    'detached claims': `${HEADER}..c2ln`,
    padding: `${encode({ alg: 'ES25' })}=.${CLAIMS}.c2ln`,
    'bits that mean nothing': `${HEADER}.${CLAIMS}.c2lo`.replace('c2lo', 'c2x'),
    'base64 in place of base64url': `${HEADER}.${CLAIMS}.a+/b`,
    'claims that are no JSON': `${HEADER}.${encode('{sub:1}')}.c2ln`,
    'claims that are a list': `${HEADER}.${encode('[]')}.c2ln`,
    'claims twice': `${HEADER}.${encode('{"sub":"a","sub":"b"}')}.c2ln`,
    'header twice': `${encode('{"alg":"none","alg":"ES256"}')}.${CLAIMS}.c2ln`,
    'header with blanks before': `${encode(' {"alg":"ES256"')}.${CLAIMS}.c2ln`,
    'claims in bad UTF-8': `${HEADER}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}.c2ln`,
    encrypted: `${encode({ alg: 'dir', enc: 'A256GCM' })}..aaaa.bbbb.cccc`,
    'a comma': `${HEADER}.${CLAIMS}.c2ln,${HEADER}`,
    'a blank': `${HEADER}.${CLAIMS}.c2ln x`,
  };
  for (const [name, text] of Object.entries(table)) assert.equal(readTokenForm(text).kind, 'malformed', name);
});

test('a fourth part makes it opaque, which only an issuer that is asked could accept', () => {
  assert.equal(readTokenForm(`${HEADER}.${CLAIMS}.c2ln.x`).kind, 'opaque');
});

test('longer ones are not looked at', () => {
  assert.equal(read('x'.repeat(17), 16).kind, 'malformed');
});
