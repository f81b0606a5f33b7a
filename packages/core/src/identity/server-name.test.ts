import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isServerName } from './server-name.ts';

describe('a server name', () => {
  it('is a DNS name in lower case', () => {
    for (const name of ['a', 'db.example', 'xn--bcher-kva.example', '_sip.example', '1.example', `${'a'.repeat(63)}.b`])
      assert.ok(isServerName(name), name);
  });

  it('is no address, no pattern, and nothing with empty or overlong labels', () => {
    const long = Array.from({ length: 64 }, () => 'abc').join('.');
    for (const name of [
      '',
      '.',
      'a.',
      '.a',
      'a..b',
      'A.example',
      '*.example',
      'a b',
      '-a',
      'a-',
      '10.0.0.1',
      '::1',
      'a:443',
      `${'a'.repeat(64)}`,
      long,
    ])
      assert.ok(!isServerName(name), name);
  });
});
