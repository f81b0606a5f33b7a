import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contextTag, derContext, derContextPrimitive, derElement, derInteger, derSequence, asciiBytes } from './der.ts';
import { DerError } from './der-reader.ts';
import { forbiddenName, readNameConstraints } from './name-constraints.ts';
import { GENERAL_NAME } from './x509.ts';

type Tree = readonly [keyof typeof GENERAL_NAME, string | Uint8Array];

function trees(list: readonly Tree[]): Uint8Array {
  const parts = list.map(([kind, base]) =>
    derSequence(derContextPrimitive(GENERAL_NAME[kind], typeof base === 'string' ? asciiBytes(base) : base)),
  );
  return derSequence(...parts).subarray(2);
}

const constraints = (permitted: readonly Tree[], excluded: readonly Tree[] = []): ReturnType<typeof readNameConstraints> =>
  readNameConstraints(
    derSequence(
      ...(permitted.length > 0 ? [derContext(0, trees(permitted))] : []),
      ...(excluded.length > 0 ? [derContext(1, trees(excluded))] : []),
    ),
  );
const uri = (text: string): { uris: string[]; dns: string[]; ips: Uint8Array[] } => ({ uris: [text], dns: [], ips: [] });
const ORDERS = uri('spiffe://shop.example/ns/default/svc/orders');

test('a URI is judged by its host: exact, or all that end so', () => {
  assert.equal(forbiddenName(constraints([['uri', 'shop.example']]), ORDERS), undefined);
  assert.equal(forbiddenName(constraints([['uri', 'Shop.Example']]), ORDERS), undefined);
  assert.equal(forbiddenName(constraints([['uri', '.example']]), ORDERS), undefined);
  assert.equal(forbiddenName(constraints([['uri', 'example']]), ORDERS), ORDERS.uris[0]);
  assert.equal(forbiddenName(constraints([['uri', '.shop.example']]), ORDERS), ORDERS.uris[0]);
  assert.equal(forbiddenName(constraints([], [['uri', 'shop.example']]), ORDERS), ORDERS.uris[0]);
  assert.equal(forbiddenName(constraints([['uri', 'shop']]), uri('urn:shop')), 'urn:shop', 'a URI without a host is not within any');
});

test('host names stand for all below them, addresses for their network', () => {
  const net = constraints([
    ['dns', 'mesh.internal'],
    ['ip', Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0)],
  ]);
  const names = (dns: string[], ips: number[][] = []): string | undefined =>
    forbiddenName(net, { uris: [], dns, ips: ips.map((ip) => Uint8Array.from(ip)) });
  assert.equal(names(['mesh.internal', 'control.mesh.internal'], [[10, 1, 2, 3]]), undefined);
  assert.equal(names(['evilmesh.internal']), 'evilmesh.internal');
  assert.equal(names([], [[11, 0, 0, 1]]), '11.0.0.1');
  assert.equal(names([], [[...Array.from({ length: 15 }, () => 0), 1]]), '0000:0000:0000:0000:0000:0000:0000:0001');
  assert.equal(forbiddenName(net, ORDERS), undefined, 'kinds of names without a constraint are free');
});

test('what is not understood is refused', () => {
  const other = derSequence(derContext(0, derSequence(derElement(contextTag(4, true), derSequence()))));
  assert.throws(() => readNameConstraints(other), /neither on URIs, DNS names nor addresses/);
  const counted = derSequence(derContext(0, derSequence(derContextPrimitive(GENERAL_NAME.uri, asciiBytes('a')), derInteger(1))));
  assert.throws(() => readNameConstraints(counted), DerError);
  const many: Tree[] = Array.from({ length: 257 }, () => ['dns', 'a']);
  assert.throws(
    () =>
      readNameConstraints(
        derSequence(
          derContext(
            0,
            many.reduce((all, one) => Buffer.concat([all, trees([one])]), Buffer.alloc(0)),
          ),
        ),
      ),
    /more than 256/,
  );
});
