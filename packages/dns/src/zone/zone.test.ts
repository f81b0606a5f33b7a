import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { instance, service, SERVICES, zone } from '../testing/mesh.ts';
import { TYPE } from '../wire/codes.ts';
import type { ResourceRecord, ResponseParts } from '../wire/response.ts';
import { answerFrom, type AnswerMode, type ZoneAnswer } from './answer.ts';
import { recordOf, reverseName } from './reverse.ts';
import type { ZoneService } from './service.ts';
import { Zone } from './zone.ts';

const MESH = zone();

function look(of: Zone, name: string, type: number, mode: AnswerMode = 'instances', dice = 0): ZoneAnswer {
  const question = { name, type, class: 1, bytes: new Uint8Array() };
  return answerFrom(of, question, { mode, ttlSeconds: 5, negativeTtlSeconds: 7, serverAddresses: ['127.0.0.1'] }, () => dice);
}

function parts(name: string, type: number, mode?: AnswerMode, of = MESH): ResponseParts {
  const answer = look(of, name, type, mode);
  assert.equal(answer.kind, 'answer', `${name}: ${answer.kind}`);
  return (answer as Extract<ZoneAnswer, { kind: 'answer' }>).parts;
}

function texts(records: readonly ResourceRecord[] = []): string[] {
  return records.map((record) => {
    if (record.type === 'SRV') return `${record.data.priority} ${record.data.weight} ${record.data.port} ${record.data.target}`;
    return typeof record.data === 'string' ? record.data : record.type;
  });
}

const answers = (name: string, type: number, mode?: AnswerMode, of = MESH): string[] => texts(parts(name, type, mode, of).answers);

/** `NODATA`, `NXDOMAIN`, with the zone of the SOA, or what the answer is. */
function negative(name: string, type: number = TYPE.A, of = MESH): string {
  const answer = look(of, name, type);
  if (answer.kind !== 'answer') return answer.kind;
  const { rcode, answers: found = [], authority = [] } = answer.parts;
  if (rcode === 0 && found.length > 0) return texts(found).join();
  const [soa] = authority;
  assert.equal(soa?.type, 'SOA');
  assert.equal(soa.ttlSeconds, 7);
  assert.ok(soa.type === 'SOA' && soa.data.minimum === 7);
  return `${rcode === 0 ? 'NODATA' : rcode === 3 ? 'NXDOMAIN' : rcode} of ${soa.name}`;
}

describe('the name of a service', () => {
  it('stands for its healthy instances, by either kind of address', () => {
    for (const name of ['orders.default.mesh.internal', 'orders.mesh.internal', 'orders.default', 'orders']) {
      assert.deepEqual(answers(name, TYPE.A), ['10.0.0.1', '10.0.0.2'], name);
      assert.deepEqual(answers(name, TYPE.AAAA), ['fd00::6'], name);
    }
  });

  it('stands for its virtual address in that mode, which has no AAAA; and for its instances where it has none', () => {
    assert.deepEqual(answers('orders', TYPE.A, 'virtual'), ['250.199.98.42']);
    assert.deepEqual(answers('empty', TYPE.A, 'virtual'), ['241.1.2.3']);
    assert.deepEqual(answers('orders', TYPE.AAAA, 'virtual'), []);
    assert.deepEqual(answers('stock.shop', TYPE.A, 'virtual'), ['10.0.1.1']);
  });

  it('needs the namespace where that is not the default one', () => {
    assert.deepEqual(answers('stock.shop.mesh.internal', TYPE.A), ['10.0.1.1']);
    assert.deepEqual(answers('stock.shop', TYPE.A), ['10.0.1.1']);
    assert.equal(negative('stock.mesh.internal'), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('stock'), 'foreign');
  });

  it('is answered in another order each time, each address once', () => {
    const many = zone([
      service('web', { instances: ['10.0.0.1', '10.0.0.2', '10.0.0.2', '10.0.0.3'].map((address, at) => instance(`web-${at}`, address)) }),
    ]);
    const first = [0, 0.4, 0.9].map((dice) => {
      const answer = look(many, 'web', TYPE.A, 'instances', dice);
      assert.ok(answer.kind === 'answer');
      assert.equal(answer.parts.answers?.length, 3);
      return texts(answer.parts.answers)[0];
    });
    assert.deepEqual(first, ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  it('that has very many instances is answered with a part of them', () => {
    const instances = Array.from({ length: 5_000 }, (_, index) => instance(`big-${index}`, `10.1.${index >> 8}.${index & 255}`));
    const big = zone([service('big', { instances })]);
    assert.equal(answers('big', TYPE.A, undefined, big).length, 256);
    assert.equal(answers('_http._tcp.big', TYPE.SRV, undefined, big).length, 256);
  });

  it('belongs to the one that has it more fully, and to the other one when that is gone', () => {
    const both = zone([
      service('a.b', { namespace: 'c', instances: [instance('one', '10.0.0.1')] }),
      service('a', { namespace: 'b.c', instances: [instance('two', '10.0.0.2')] }),
    ]);
    assert.deepEqual(answers('a.b.c.mesh.internal', TYPE.A, undefined, both), ['10.0.0.2']);
    both.remove('b.c/a');
    assert.deepEqual(answers('a.b.c.mesh.internal', TYPE.A, undefined, both), ['10.0.0.1']);
    both.remove('c/a.b');
    assert.equal(negative('a.b.c.mesh.internal', TYPE.A, both), 'NXDOMAIN of mesh.internal');
  });
});

describe('what is not there', () => {
  it('is NXDOMAIN where the name does not exist and NODATA where it does', () => {
    assert.equal(negative('nobody.mesh.internal'), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('orders.mesh.internal', TYPE.MX), 'NODATA of mesh.internal');
    assert.equal(negative('orders', TYPE.TXT), 'NODATA of orders');
    assert.equal(negative('mesh.internal'), 'NODATA of mesh.internal');
    assert.equal(negative('_http._tcp.orders.mesh.internal', TYPE.A), 'NODATA of mesh.internal');
    assert.equal(negative('orders-1.orders.default.mesh.internal', TYPE.AAAA), 'NODATA of mesh.internal');
    assert.equal(negative('_udp.orders.mesh.internal'), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('_grpc._tcp.orders.mesh.internal', TYPE.SRV), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('orders-9.orders.default.mesh.internal'), 'NXDOMAIN of mesh.internal');
  });

  it('is NODATA where something is below the name', () => {
    for (const name of ['default.mesh.internal', 'shop.mesh.internal', '_tcp.orders.mesh.internal', 'heddle-system.mesh.internal'])
      assert.equal(negative(name), 'NODATA of mesh.internal', name);
    const dotted = zone([service('db', { instances: [instance('a.b', '10.0.0.1')] })]);
    assert.deepEqual(answers('a.b.db.mesh.internal', TYPE.A, undefined, dotted), ['10.0.0.1']);
    assert.equal(negative('b.db.mesh.internal', TYPE.A, dotted), 'NODATA of mesh.internal');
    assert.equal(negative('c.db.mesh.internal', TYPE.A, dotted), 'NXDOMAIN of mesh.internal');
  });

  it('is NODATA, not NXDOMAIN, for a service without a healthy instance', () => {
    assert.equal(negative('empty.mesh.internal'), 'NODATA of mesh.internal');
    assert.equal(negative('empty'), 'NODATA of empty');
    assert.equal(negative('_tcp._tcp.empty', TYPE.SRV), 'NODATA of empty');
  });

  it('is somebody else’s where a short name is none of the mesh', () => {
    for (const name of ['nobody', 'default', 'x.orders', 'example.com', 'internal', 'localhost', ''])
      assert.equal(negative(name), 'foreign', name);
    assert.equal(negative('_ldap._tcp.orders', TYPE.SRV), 'NXDOMAIN of orders');
    assert.equal(negative('localhost', TYPE.A, zone([service('localhost', { instances: [instance('l-1', '10.0.0.1')] })])), 'foreign');
  });

  it('goes when services do', () => {
    const some = zone();
    some.remove('shop/stock');
    assert.equal(negative('shop.mesh.internal', TYPE.A, some), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('stock.shop', TYPE.A, some), 'foreign');
  });
});

describe('the places of a service (SRV)', () => {
  it('are its instances, with weights, names that resolve, and their addresses', () => {
    const { answers: found, additional } = parts('_http._tcp.orders.mesh.internal', TYPE.SRV);
    assert.deepEqual(texts(found), [
      '0 3 15006 orders-1.orders.default.mesh.internal',
      '0 1 15006 orders-2.orders.default.mesh.internal',
      '0 1 15006 orders-6.orders.default.mesh.internal',
    ]);
    assert.deepEqual(texts(additional), ['10.0.0.1', '10.0.0.2', 'fd00::6']);
    assert.deepEqual(answers('orders-2.orders.default.mesh.internal', TYPE.A), ['10.0.0.2']);
    assert.deepEqual(answers('_grpc._tcp.stock.shop', TYPE.SRV), ['0 1 15006 stock-1.stock.shop.mesh.internal']);
  });

  it('are the virtual address and the port of the service in that mode', () => {
    const { answers: found, additional } = parts('_http._tcp.orders', TYPE.SRV, 'virtual');
    assert.deepEqual(texts(found), ['0 0 8080 orders.default.mesh.internal']);
    assert.deepEqual(texts(additional), ['250.199.98.42']);
  });

  it('have names of other ports, which are the instances’ own in either mode', () => {
    for (const mode of ['instances', 'virtual'] as const)
      assert.deepEqual(answers('_metrics._tcp.orders', TYPE.SRV, mode), [
        '0 3 9100 orders-1.orders.default.mesh.internal',
        '0 1 9200 orders-2.orders.default.mesh.internal',
        '0 1 9100 orders-6.orders.default.mesh.internal',
      ]);
  });

  it('are not denied by who does not know the ports', () => {
    const proxy = zone([service('orders', { ports: undefined, srvWords: ['http'] })]);
    assert.equal(parts('_metrics._tcp.orders', TYPE.SRV, undefined, proxy).rcode, 5);
  });

  it('leave out instances whose names cannot be written, after one word about each', () => {
    const told: string[] = [];
    const odd = zone([service('web', { instances: [instance('web 1', '10.0.0.1'), instance('web-2', '10.0.0.2')] })], (what, reason) =>
      told.push(`${what}: ${reason}`),
    );
    assert.deepEqual(answers('_http._tcp.web', TYPE.SRV, undefined, odd), ['0 1 15006 web-2.web.default.mesh.internal']);
    assert.deepEqual(answers('web', TYPE.A, undefined, odd), ['10.0.0.1', '10.0.0.2']);
    assert.deepEqual(told, ['default/web/web 1: "web 1" has other characters than letters, digits, "-" and "_"']);
  });
});

describe('instances that are not known yet', () => {
  const proxy = zone([service('orders', { instances: undefined, ports: undefined, virtualAddress: '250.199.98.42' })]);

  it('are waited for only where the answer depends on them', () => {
    assert.deepEqual(look(proxy, 'orders', TYPE.A), { kind: 'unknown', service: 'default/orders' });
    assert.deepEqual(look(proxy, '_http._tcp.orders', TYPE.SRV), { kind: 'unknown', service: 'default/orders' });
    assert.deepEqual(look(proxy, 'orders-1.orders.default.mesh.internal', TYPE.A, 'virtual'), {
      kind: 'unknown',
      service: 'default/orders',
    });
    assert.deepEqual(answers('orders', TYPE.A, 'virtual', proxy), ['250.199.98.42']);
    assert.equal(negative('orders', TYPE.MX, proxy), 'NODATA of orders');
    assert.equal(negative('x.orders', TYPE.A, proxy), 'foreign');
  });
});

describe('names of addresses (PTR)', () => {
  it('are known of instances and of virtual addresses', () => {
    assert.deepEqual(answers('1.0.0.10.in-addr.arpa', TYPE.PTR), ['orders-1.orders.default.mesh.internal']);
    assert.deepEqual(answers(reverseName('fd00::6')!, TYPE.PTR), ['orders-6.orders.default.mesh.internal']);
    assert.deepEqual(answers('42.98.199.250.in-addr.arpa', TYPE.PTR), ['orders.default.mesh.internal']);
  });

  it('are all that share the address', () => {
    const shared = zone([service('web', { instances: [instance('web-1', '127.0.0.1'), instance('web-2', '127.0.0.1')] })]);
    assert.deepEqual(answers('1.0.0.127.in-addr.arpa', TYPE.PTR, undefined, shared), [
      'web-1.web.default.mesh.internal',
      'web-2.web.default.mesh.internal',
    ]);
  });

  it('are denied in the network of virtual addresses, and asked for elsewhere outside of it', () => {
    assert.equal(negative('9.9.9.250.in-addr.arpa', TYPE.PTR), 'NXDOMAIN of 250.in-addr.arpa');
    assert.equal(negative('199.250.in-addr.arpa', TYPE.PTR), 'NODATA of 250.in-addr.arpa');
    assert.equal(negative('250.in-addr.arpa', TYPE.PTR), 'NODATA of 250.in-addr.arpa');
    assert.equal(negative('1.0.0.10.in-addr.arpa', TYPE.A), 'NODATA of 1.0.0.10.in-addr.arpa');
    for (const name of ['9.9.9.10.in-addr.arpa', '0.10.in-addr.arpa', '1.1.1.255.in-addr.arpa', 'in-addr.arpa'])
      assert.equal(negative(name, TYPE.PTR), 'foreign', name);
  });

  it('follow instances that move and go', () => {
    const moving = zone([service('web', { instances: [instance('web-1', '10.0.0.1')] })]);
    moving.set(service('web', { instances: [instance('web-1', '10.0.0.2')] }));
    assert.equal(negative('1.0.0.10.in-addr.arpa', TYPE.PTR, moving), 'foreign');
    assert.deepEqual(answers('2.0.0.10.in-addr.arpa', TYPE.PTR, undefined, moving), ['web-1.web.default.mesh.internal']);
    moving.set(service('web', { virtualAddress: '240.0.1.2' }));
    assert.equal(negative('2.0.0.10.in-addr.arpa', TYPE.PTR, moving), 'foreign');
    assert.deepEqual(answers('2.1.0.240.in-addr.arpa', TYPE.PTR, undefined, moving), ['web.default.mesh.internal']);
  });
});

describe('the zone itself', () => {
  it('has SOA and NS, and says so little about ANY as RFC 8482 allows', () => {
    assert.deepEqual(answers('mesh.internal', TYPE.SOA), ['SOA']);
    assert.deepEqual(answers('mesh.internal', TYPE.NS), ['ns.heddle-system.mesh.internal']);
    assert.deepEqual(answers('ns.heddle-system.mesh.internal', TYPE.A), ['127.0.0.1']);
    assert.deepEqual(answers('orders', TYPE.SOA), ['SOA']);
    assert.deepEqual(answers('250.in-addr.arpa', TYPE.SOA), ['SOA']);
    assert.deepEqual(answers('orders', TYPE.ANY), ['HINFO']);
    assert.equal(negative('nobody.mesh.internal', TYPE.ANY), 'NXDOMAIN of mesh.internal');
  });

  it('skips services whose names DNS cannot hold, after a word about them', () => {
    const told: string[] = [];
    const odd = zone([service('a..b'), service('x'.repeat(64)), service('fine')], (what, reason) => told.push(`${what}: ${reason}`));
    assert.deepEqual(
      told.map((line) => line.replaceAll(/x+/g, 'x')),
      ['default/a..b: two dots have nothing between them', 'default/x: "x" has 64 characters, and a part of a name in DNS has at most 63'],
    );
    assert.equal(negative('fine', TYPE.A, odd), 'NODATA of fine');
  });

  it('takes addresses of every spelling', () => {
    assert.deepEqual(recordOf('::ffff:10.0.0.1'), { type: 'A', data: '10.0.0.1' });
    assert.equal(reverseName('::ffff:10.0.0.1'), '1.0.0.10.in-addr.arpa');
    assert.equal(recordOf('nowhere'), undefined);
    assert.equal(reverseName('2001:db8::1'), '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa');
  });
});

describe('a zone that is changed', () => {
  const id = fc.constantFrom('a', 'b', 'c.d', 'E');
  const address = fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1');
  const made: fc.Arbitrary<ZoneService> = fc
    .record({
      name: fc.constantFrom('a', 'b', 'a.b', 'B', 'x y'),
      namespace: fc.constantFrom('default', 'a', 'b.a'),
      virtualAddress: fc.constantFrom(undefined, '240.0.0.1', '241.0.0.1'),
      instances: fc.option(fc.array(fc.record({ id, address, isHealthy: fc.boolean() }), { maxLength: 3 }), { nil: undefined }),
    })
    .map(({ name, namespace, virtualAddress, instances }) =>
      service(name, { namespace, virtualAddress, instances: instances?.map((one) => instance(one.id, one.address, one)) }),
    );
  const step = fc.oneof(made, fc.constantFrom('default/a', 'a/b', 'b.a/a', 'default/a.b'));

  it('answers as one that was made anew', () => {
    const names = ['a', 'b', 'a.b', 'b.a', 'c.d', 'd', '_tcp', '_http._tcp'].flatMap((one) =>
      ['', '.a', '.b.a', '.default'].map((two) => one + two),
    );
    const all = [
      ...names,
      ...names.map((name) => `${name}.mesh.internal`),
      ...['10.0.0.1', 'fd00::1', '240.0.0.1', '241.0.0.1'].map((text) => reverseName(text)!),
    ];
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const changed = new Zone(() => {});
        const left = new Map<string, ZoneService>();
        for (const one of steps) {
          if (typeof one === 'string') {
            left.delete(one);
            changed.remove(one);
          } else {
            left.set(`${one.namespace}/${one.name}`, one);
            changed.set(one);
          }
        }
        const fresh = zone([...left.values()]);
        for (const name of all) {
          for (const type of [TYPE.A, TYPE.SRV, TYPE.PTR])
            assert.deepEqual(summary(look(changed, name, type)), summary(look(fresh, name, type)), `${name} ${type}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps nothing of what is gone', () => {
    const some = zone();
    for (const { namespace, name } of SERVICES) some.remove(`${namespace}/${name}`);
    for (const name of ['default.mesh.internal', 'shop.mesh.internal'])
      assert.equal(negative(name, TYPE.A, some), 'NXDOMAIN of mesh.internal');
    assert.equal(negative('199.250.in-addr.arpa', TYPE.PTR, some), 'NXDOMAIN of 250.in-addr.arpa');
    assert.equal(negative('1.0.0.10.in-addr.arpa', TYPE.PTR, some), 'foreign');
    assert.equal(some.size, 0);
  });
});

function summary(answer: ZoneAnswer): unknown {
  if (answer.kind !== 'answer') return answer;
  const { rcode, answers: found, authority = [], additional } = answer.parts;
  return { rcode, found: texts(found).sort(), zone: authority.map(({ name }) => name), additional: texts(additional).sort() };
}
