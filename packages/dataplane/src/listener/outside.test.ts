// Names that lead nowhere, by what they may have meant.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOutside } from './outside.ts';

for (const authority of ['api.example.com', 'API.example.com:443', 'example.com.', '10.0.0.1', '10.0.0.1:80', '[::1]:8080', 'localhost:99'])
  test(`${authority} lies outside the mesh`, () => assert.equal(isOutside(authority), true));

for (const authority of ['orders', 'orders:81', 'orders.default', 'ORDERS.mesh.internal.', 'orders.shop.mesh.internal:99', '240.0.0.1:80'])
  test(`${authority} does not`, () => assert.equal(isOutside(authority), false));
