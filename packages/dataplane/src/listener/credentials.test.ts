// Who a call through the shared proxy speaks for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Credentials } from './credentials.ts';

const basic = (text: string) => Buffer.from(text).toString('base64');

test('a credential names its workload, however a client writes it', () => {
  const credentials = new Credentials();
  credentials.set('token-1', 'default/web/web-1');
  for (const header of [`Basic ${basic('token-1:')}`, `basic ${basic('token-1:ignored')}`, `Basic  ${basic('token-1')}`]) {
    assert.equal(credentials.workloadOf(header), 'default/web/web-1', header);
  }
  credentials.remove('token-1');
  assert.equal(credentials.workloadOf(`Basic ${basic('token-1:')}`), undefined);
});

test('a wrong credential is refused even where none is needed', () => {
  const credentials = new Credentials();
  assert.equal(credentials.workloadOf(undefined), undefined);
  credentials.anonymousWorkload = 'heddle-system/operator/laptop';
  assert.equal(credentials.workloadOf(undefined), 'heddle-system/operator/laptop');
  for (const header of [`Basic ${basic('nobody:')}`, 'Bearer x', 'Basic ???', 'Basic', ''])
    assert.equal(credentials.workloadOf(header), undefined, header);
});
