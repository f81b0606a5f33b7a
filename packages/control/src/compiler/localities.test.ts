// Where instances run, as every caller is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instance, service } from '../testing/mesh.ts';
import { compileEndpoints } from './service-resources.ts';

const EAST = { region: 'eu', zone: 'east' };
const WEST = { region: 'eu', zone: 'west' };

test('instances of one locality stand together, in order of ids; those of none come first', () => {
  const places = [WEST, undefined, EAST, WEST, undefined];
  const instances = places.map((locality, index) => instance('orders', index, locality === undefined ? {} : { locality }));
  const compiled = compileEndpoints({ service: service('orders'), instances });
  assert.deepEqual(
    compiled.endpoints.map((endpoint) => [endpoint.instance, endpoint.locality]),
    [
      ['orders-1', undefined],
      ['orders-4', undefined],
      ['orders-2', EAST],
      ['orders-0', WEST],
      ['orders-3', WEST],
    ],
  );
});
