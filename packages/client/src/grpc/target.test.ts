import assert from 'node:assert/strict';
import { it } from 'node:test';
import { authorityOf } from './target.ts';

it('a target names a host of the mesh in all the forms that grpc-js knows', () => {
  for (const target of [
    'orders.mesh.internal:8080',
    'dns:orders.mesh.internal:8080',
    'dns:///orders.mesh.internal:8080',
    'dns://10.0.0.1/orders.mesh.internal:8080',
    'heddle:///orders:8080',
    'dns:heddle:///orders:8080',
    'heddle:///orders.mesh.internal:8080',
    'xds:///orders.mesh.internal:8080',
    'dns:xds:///orders.mesh.internal:8080',
  ])
    assert.equal(authorityOf(target), 'orders.mesh.internal:8080', target);
  assert.equal(authorityOf('heddle:///orders.shop'), 'orders.shop.mesh.internal');
  assert.equal(authorityOf('heddle:///Orders.Mesh.Internal:80'), 'Orders.Mesh.Internal:80');
  assert.equal(authorityOf('orders'), 'orders');
});

it('a target that is an address or a file is no name', () => {
  for (const target of [
    'unix:/tmp/socket',
    'unix:///tmp/socket',
    'ipv4:127.0.0.1:80',
    'ipv6:[::1]:80',
    '[::1]:80',
    'https://orders/',
    'a b',
    '',
  ])
    assert.equal(authorityOf(target), undefined, target);
});
