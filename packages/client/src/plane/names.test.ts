import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isMeshName } from './names.ts';

it('names of the mesh are its domain and all below, in any case, with or without a port', () => {
  for (const name of ['mesh.internal', 'orders.mesh.internal', 'orders.shop.mesh.internal:80', 'Orders.MESH.internal:8080'])
    assert.equal(isMeshName(name), true, name);
  for (const name of ['orders', 'smesh.internal', 'mesh-internal', 'mesh.internal.example.com', 'meshxinternal', 'mesh.internal:x', ''])
    assert.equal(isMeshName(name), false, name);
});
