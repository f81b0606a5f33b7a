// Plan, ruleset and comparison, without a kernel; `tests/integration/capture.test.ts` has one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseCallers } from './callers.ts';
import { captureDifferences, counterIn } from './compare.ts';
import { readInstalled } from './installed.ts';
import { planCapture, readVirtualServices, readWorkloads } from './plan.ts';
import { renderRuleset } from './ruleset.ts';
import { CaptureError, type CaptureTable } from './types.ts';

const WEB = 'default/web/web-1';
const SHOP = 'default/shop/shop-1';
const local = (port: number, address = '127.0.0.1') => ({ address, port });

const WORKLOADS = readWorkloads({
  workloads: [
    {
      workload: WEB,
      health: 'healthy',
      outbounds: [
        { service: { namespace: 'default', name: 'orders' }, listen: local(20_001) },
        { service: { namespace: 'default', name: 'cache' }, listen: local(20_002, '0.0.0.0') },
      ],
    },
    { workload: SHOP, outbounds: [{ service: { namespace: 'default', name: 'orders' }, listen: local(20_003, '::1') }] },
  ],
});

const host = (name: string, address: string, port: number) => ({
  name: `outbound/default/${name}`,
  domains: [`${name}.default.mesh.internal:${port}`, name, address, `${address}:${port}`],
});
const DUMP = {
  routes: [
    { name: 'outbound/default/orders', virtualHosts: [{ name: 'outbound/default/orders', domains: ['*'] }] },
    {
      name: 'outbound/mesh',
      virtualHosts: [host('web', '240.0.0.3', 81), host('orders', '240.0.0.1', 80), host('cache', '240.0.0.2', 6379)],
    },
  ],
};
const SERVICES = readVirtualServices(DUMP);
const ORDERS = { service: 'default/orders', address: '240.0.0.1', port: 80, to: local(20_001) };
const CACHE = { service: 'default/cache', address: '240.0.0.2', port: 6379, to: local(20_002) };
const TABLE: CaptureTable = {
  addresses: ['240.0.0.1', '240.0.0.2', '240.0.0.3'],
  callers: [{ workload: WEB, entries: [CACHE, ORDERS] }],
};

function refuses(run: () => unknown, message: RegExp, usage: boolean): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof CaptureError);
    assert.match(`${error.message}; ${error.mend}`, message);
    assert.equal(error.usage, usage);
    return true;
  });
}

describe('the callers', () => {
  test('are the only workload, with every process of the machine', () => {
    assert.deepEqual(chooseCallers([WEB], [], []), [{ workload: WEB }]);
    assert.deepEqual(chooseCallers([WEB], ['all'], []), [{ workload: WEB }]);
    assert.deepEqual(chooseCallers([WEB], [], [{ uid: 0 }]), [{ workload: WEB, uid: 0 }]);
    assert.deepEqual(chooseCallers([WEB, SHOP], [WEB], []), [{ workload: WEB }]);
  });

  test('are several when each has a user', () => {
    const both = [
      { workload: SHOP, uid: 7 },
      { workload: WEB, uid: 8 },
    ];
    assert.deepEqual(chooseCallers([WEB, SHOP], [], both), both);
    assert.deepEqual(chooseCallers([WEB, SHOP], ['all'], both), both);
    assert.deepEqual(chooseCallers([WEB, SHOP], [], [{ workload: WEB, uid: 8 }]), [{ workload: WEB, uid: 8 }]);
  });

  test('cannot be guessed, told apart by nothing, or strangers', () => {
    refuses(() => chooseCallers([], [], []), /hosts no workload/, false);
    refuses(
      () => chooseCallers([WEB, SHOP], [], []),
      /hosts 2 workloads: default\/shop\/shop-1, default\/web\/web-1.*--workload default\/shop/,
      true,
    );
    refuses(
      () => chooseCallers([WEB, SHOP], ['all'], []),
      /cannot be told apart: .* have no user; .*--uid default\/shop\/shop-1=UID/,
      true,
    );
    refuses(() => chooseCallers([WEB, SHOP], ['all'], [{ workload: WEB, uid: 8 }]), /shop-1 has no user/, true);
    refuses(() => chooseCallers([WEB], ['default/x/x-1'], []), /no workload default\/x\/x-1; it hosts default\/web\/web-1/, true);
    refuses(() => chooseCallers([WEB, SHOP], ['all'], [{ uid: 8 }]), /--uid 8 does not say for which workload/, true);
    refuses(() => chooseCallers([WEB, SHOP], [WEB], [{ workload: SHOP, uid: 8 }]), /nothing is captured; add --workload/, true);
    refuses(() => chooseCallers([WEB, SHOP], ['all', WEB], []), /every workload already/, true);
    const twice = [
      { workload: WEB, uid: 8 },
      { workload: WEB, uid: 9 },
    ];
    refuses(() => chooseCallers([WEB], [], twice), /two users, 8 and 9/, true);
    const shared = [
      { workload: WEB, uid: 8 },
      { workload: SHOP, uid: 8 },
    ];
    refuses(() => chooseCallers([WEB, SHOP], [], shared), /user 8 is that of default\/\S+ and of default/, true);
  });
});

describe('the plan', () => {
  test('leads each virtual address to the local port of the calling workload, and says what is lacking', () => {
    const { table, lacking } = planCapture(WORKLOADS, SERVICES, [{ workload: WEB }]);
    assert.deepEqual(table, TABLE);
    assert.deepEqual(lacking, []);
    const other = planCapture(WORKLOADS, SERVICES, [{ workload: SHOP, uid: 5 }]);
    assert.deepEqual(other.table.callers, [{ workload: SHOP, uid: 5, entries: [] }]);
    assert.deepEqual(other.lacking, [
      { workload: SHOP, service: 'default/cache', reason: 'no-port' },
      { workload: SHOP, service: 'default/orders', reason: 'ipv6-port' },
      { workload: SHOP, service: 'default/web', reason: 'no-port' },
    ]);
  });

  test('takes nothing from a proxy whose answer has another form, or no addresses', () => {
    const bad = [{}, { workloads: {} }, { workloads: [{ workload: 'a"b/c/d', outbounds: [] }] }, { workloads: [{ workload: WEB }] }];
    for (const answer of bad) refuses(() => readWorkloads(answer), /answer of the proxy cannot be used/, false);
    const listen = { address: '127.0.0.1; drop', port: 1 };
    refuses(
      () => readWorkloads({ workloads: [{ workload: WEB, outbounds: [{ service: {}, listen }] }] }),
      /not an address and a port/,
      false,
    );
    refuses(() => readVirtualServices({ routes: [] }), /not been told yet/, false);
    refuses(() => readVirtualServices({ routes: [{ name: 'outbound/mesh' }] }), /no list of virtualHosts/, false);
    const without = { name: 'outbound/mesh', virtualHosts: [{ name: 'outbound/default/web', domains: ['web', '10.0.0.1:80'] }] };
    refuses(() => readVirtualServices({ routes: [without] }), /no virtual addresses/, false);
    assert.deepEqual(readVirtualServices({ routes: [{ name: 'outbound/mesh', virtualHosts: [] }] }), []);
  });
});

test('the ruleset is one script that replaces the table, with a map for each caller', () => {
  const callers = [
    { workload: WEB, uid: 8, entries: [CACHE, ORDERS] },
    { workload: SHOP, uid: 9, entries: [] },
  ];
  const counted = renderRuleset({ ...TABLE, callers }, (_, { service }) =>
    service === 'default/orders' ? { packets: 3, bytes: 180 } : undefined,
  );
  assert.equal(
    counted.replace(/^ *#.*\n/gm, ''),
    `table ip heddle
delete table ip heddle
table ip heddle {
  set addresses {
    type ipv4_addr
    elements = {
      240.0.0.1,
      240.0.0.2,
      240.0.0.3
    }
  }

  map services_1 {
    type ipv4_addr . inet_service : ipv4_addr . inet_service
    counter
    elements = {
      240.0.0.2 . 6379 counter comment "default/cache" : 127.0.0.1 . 20002,
      240.0.0.1 . 80 counter packets 3 bytes 180 comment "default/orders" : 127.0.0.1 . 20001
    }
  }

  map services_2 {
    type ipv4_addr . inet_service : ipv4_addr . inet_service
    counter
  }

  chain capture {
    type nat hook output priority -100; policy accept;
    meta skuid 8 ip daddr @addresses jump workload_1 comment "default/web"
    meta skuid 9 ip daddr @addresses jump workload_2 comment "default/shop"
  }

  chain workload_1 {
    meta l4proto tcp dnat ip to ip daddr . tcp dport map @services_1 comment "web-1"
  }

  chain workload_2 {
    meta l4proto tcp dnat ip to ip daddr . tcp dport map @services_2 comment "shop-1"
  }

  chain refuse {
    type filter hook output priority 0; policy accept;
    ip daddr @addresses meta l4proto tcp counter reject with tcp reset
    ip daddr @addresses counter reject
  }
}
`,
  );
});

describe('what is installed', () => {
  const concat = (address: string, port: number) => ({ concat: [address, port] });
  const element = (service: string, address: string, port: number, to: number, packets: number) => [
    { elem: { val: concat(address, port), comment: service, counter: { packets, bytes: packets * 60 } } },
    concat('127.0.0.1', to),
  ];
  const rule = (chain: string, expr: readonly object[], comment?: string) => ({
    rule: { family: 'ip', table: 'heddle', chain, comment, expr },
  });
  const toAddresses = { match: { op: '==', left: { payload: { protocol: 'ip', field: 'daddr' } }, right: '@addresses' } };
  const refusal = (packets: number) => rule('refuse', [toAddresses, { counter: { packets, bytes: 0 } }, { reject: null }]);
  const objects = () => [
    { metainfo: { version: '1.0.6' } },
    { table: { family: 'ip', name: 'heddle' } },
    { set: { name: 'addresses', elem: ['240.0.0.3', '240.0.0.1', '240.0.0.2'] } },
    {
      map: {
        name: 'services_1',
        elem: [element('default/orders', '240.0.0.1', 80, 20_001, 4), element('default/cache', '240.0.0.2', 6379, 20_002, 0)],
      },
    },
    { chain: { name: 'capture', type: 'nat', hook: 'output', prio: -100, policy: 'accept' } },
    { chain: { name: 'workload_1' } },
    { chain: { name: 'refuse', type: 'filter', hook: 'output', prio: 0, policy: 'accept' } },
    rule('capture', [toAddresses, { jump: { target: 'workload_1' } }], 'default/web'),
    rule('workload_1', [{ dnat: { family: 'ip', addr: { map: { key: {}, data: '@services_1' } } } }], 'web-1'),
    refusal(2),
    refusal(1),
  ];

  test('is read with its counters, and is as it should be', () => {
    const installed = readInstalled({ nftables: objects() });
    assert.deepEqual(captureDifferences(TABLE, installed), []);
    assert.equal(installed.refused, 3);
    assert.deepEqual(
      installed.callers[0]?.entries.map(({ service, counter }) => [service, counter.packets]),
      [
        ['default/cache', 0],
        ['default/orders', 4],
      ],
    );
    assert.deepEqual(counterIn(installed)({ workload: WEB, entries: [] }, ORDERS), { packets: 4, bytes: 240 });
    assert.equal(counterIn(installed)({ workload: SHOP, entries: [] }, ORDERS), undefined);
  });

  test('differs where a port, a service, a caller or an address is another', () => {
    const installed = readInstalled({ nftables: objects() });
    const wanted: CaptureTable = {
      addresses: ['240.0.0.1', '240.0.0.2', '240.0.0.4'],
      callers: [
        {
          workload: WEB,
          uid: 8,
          entries: [
            { ...ORDERS, to: local(20_009) },
            { ...ORDERS, service: 'default/new', address: '240.0.0.4' },
          ],
        },
        { workload: SHOP, uid: 9, entries: [] },
      ],
    };
    assert.deepEqual(captureDifferences(wanted, installed), [
      `${WEB} is every user, and should be user 8`,
      `default/orders at 240.0.0.1:80, called by ${WEB}, leads to port 127.0.0.1:20001, and should to 127.0.0.1:20009`,
      `default/new at 240.0.0.4:80, called by ${WEB}, is missing`,
      `default/cache at 240.0.0.2:6379, called by ${WEB}, leads to port 127.0.0.1:20002, and should lead nowhere`,
      `calls of ${SHOP} are not captured`,
      '240.0.0.4 is not among the addresses of the mesh',
      '240.0.0.3 belongs to no service any more',
    ]);
    assert.deepEqual(captureDifferences({ addresses: TABLE.addresses, callers: [] }, installed), [
      `calls of ${WEB} are captured and should not be`,
    ]);
  });

  test('is never as it should be when anything of it was taken away, and something else put in', () => {
    for (const [index, object] of objects().entries()) {
      // The version of nft, and the table without which there would be no listing.
      if (index < 2) continue;
      const rest = objects().filter((_, other) => other !== index);
      assert.notDeepEqual(captureDifferences(TABLE, readInstalled({ nftables: rest })), [], JSON.stringify(object));
    }
    const strangers = [
      { set: { name: 'other' } },
      { map: { name: 'other' } },
      { chain: { name: 'other' } },
      { counter: { name: 'other' } },
      rule('capture', [{ accept: null }]),
      rule('capture', [toAddresses, { jump: { target: 'workload_1' } }], 'default/web'),
      rule('workload_1', [{ accept: null }], 'web-1'),
      rule('refuse', [{ accept: null }]),
    ];
    for (const stranger of strangers) {
      const installed = readInstalled({ nftables: [...objects(), stranger] });
      assert.notDeepEqual(captureDifferences(TABLE, installed), [], JSON.stringify(stranger));
    }
    for (const nothing of [undefined, {}, { nftables: [] }]) assert.notDeepEqual(captureDifferences(TABLE, readInstalled(nothing)), []);
  });
});
