// What people may say about an instance on the command line.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from './errors.ts';
import { metadata, namedPorts } from './options.ts';
import { localityOfMachine } from './up/locality.ts';

test('metadata has one entry for each option, and a value may hold anything that is printed', () => {
  assert.deepEqual(metadata('b=x, y = z', metadata('owner=payments')), { owner: 'payments', b: 'x, y = z' });
  assert.deepEqual(metadata('empty='), { empty: '' });
  for (const text of ['owner', '=x', ' =x', 'a b=x']) assert.throws(() => metadata(text), /expected NAME=VALUE|is not a name/, text);
  assert.throws(() => metadata(`a=${'x'.repeat(9_000)}`), /has 9001 bytes/);
});

test('named ports come with commas or with several options, and have names that DNS can carry', () => {
  assert.deepEqual(namedPorts('admin=9901', namedPorts('metrics=9100, debug=9229')), { metrics: 9_100, debug: 9_229, admin: 9_901 });
  assert.throws(() => namedPorts('metrics'), /expected NAME=PORT/);
  assert.throws(() => namedPorts('Metrics=1'), /"Metrics" is not the name of a port/);
  assert.throws(() => namedPorts('metrics=70000'), /"metrics" must be a whole number/);
});

test('the machine may say where it is; what cannot be read is an error and not nowhere', () => {
  assert.equal(localityOfMachine({}), undefined);
  assert.equal(localityOfMachine({ HEDDLE_LOCALITY: '' }), undefined);
  assert.deepEqual(localityOfMachine({ HEDDLE_LOCALITY: 'eu/eu-1/hall-2' }), { region: 'eu', zone: 'eu-1', subZone: 'hall-2' });
  assert.throws(
    () => localityOfMachine({ HEDDLE_LOCALITY: 'eu' }),
    (error) => error instanceof CliError && /REGION\/ZONE/.test(error.mend ?? ''),
  );
});
