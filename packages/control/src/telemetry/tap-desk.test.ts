// Taps with data planes that are stand-ins of what the stream gives: who is asked, whose word counts, and what a slow reader costs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { telemetry } from '@heddle/api';
import { TAP_LIMITS, type TapRecord } from '@heddle/core';
import { ManualClock } from '../testing/clock.ts';
import type { AttachedPlane } from './attached-plane.ts';
import type { TelemetryListener } from './server.ts';
import { TapDesk, TapRefusal, type TapWish } from './tap-desk.ts';

const record: TapRecord = {
  ...{ timeMs: 1, side: 'outbound', source: 'default/web', destination: 'default/orders', instance: 'orders-1', route: 'default' },
  ...{ protocol: 'http1', method: 'GET', path: '/', status: 200, error: '', durationMs: 1, requestBytes: 0, responseBytes: 0, tries: 1 },
  ...{ traceId: '', headers: [] },
};
const all: TapWish = { filter: {}, perSecond: TAP_LIMITS.perSecond, forMs: 60_000, headers: [] };

function desk() {
  const clock = new ManualClock();
  let listener: TelemetryListener = {};
  const asked: string[] = [];
  const plane = (service: string): AttachedPlane => {
    const caller = { kind: 'workload', id: { trustDomain: 'test', namespace: 'default', name: service }, uri: service };
    const tell = (message: telemetry.ToDataPlane): boolean => asked.push(`${service} ${message.$case}`) > 0;
    return { node: service, caller, tell } as unknown as AttachedPlane;
  };
  const planes = [plane('web'), plane('orders'), plane('cart')] as const;
  const made = new TapDesk({
    registry: { service: (key: string) => (key === 'default/gone' ? undefined : {}) as never },
    server: { planes: () => planes, listen: (given) => ((listener = given), { close: () => {} }) },
    book: { isCovered: (source) => source !== 'unknown', covered: () => ['default/web'], isDestination: (key) => key !== 'default/gone' },
    clock,
  });
  const tells = (from: AttachedPlane, id: string, records: readonly TapRecord[], lost = 0): void =>
    listener.onTap?.(from, telemetry.tapToldMessage({ kind: 'records', id, records, lost }) as never);
  return { desk: made, clock, planes, asked, tells };
}

test('asks the data planes that may see it, and believes each about its own service alone', () => {
  const { desk: taps, planes, asked, tells } = desk();
  const [web, orders, cart] = planes;
  const tap = taps.open({ ...all, filter: { source: 'default/web' } }, () => {});
  assert.deepEqual(asked, ['web tapStart']);
  tells(web, '1', [record, { ...record, source: 'default/cart' }]);
  tells(cart, '1', [{ ...record, source: 'default/cart' }]);
  assert.deepEqual(tap.next(), { kind: 'watchers', dataPlanes: 1 });
  assert.deepEqual(tap.next(), { kind: 'request', node: 'web', number: 1, record });
  assert.equal(tap.next(), undefined);
  const everything = taps.open(all, () => {});
  everything.next();
  const inbound = { ...record, side: 'inbound' } as const;
  tells(orders, '2', [inbound, { ...inbound, source: 'unknown' }]);
  const told = everything.next();
  assert.ok(told?.kind === 'request' && told.record.source === 'outside');
  assert.equal(everything.next(), undefined);
  tap.close();
  assert.deepEqual(asked.at(-1), 'web tapStop');
});

test('what could not be shown is not taken, and the tap goes on', () => {
  const { desk: taps, planes, tells } = desk();
  const tap = taps.open(all, () => {});
  tap.next();
  for (const wrong of [{ timeMs: 8.7e15 }, { durationMs: NaN }])
    assert.throws(() => tells(planes[0], '1', [{ ...record, ...wrong }]), /records\[0\]/);
  tells(planes[0], '1', [record]);
  assert.equal(tap.next()?.kind, 'request');
});

test('a slow reader loses what does not fit, is told how much, and reads what was kept after the end', () => {
  const { desk: taps, clock, planes, tells } = desk();
  const tap = taps.open(all, () => {});
  for (let second = 0; second < 5; second += 1) {
    for (const part of [0, 1])
      tells(
        planes[0],
        '1',
        Array.from({ length: 400 + part }, () => record),
        7,
      );
    clock.advance(1_000);
  }
  clock.advance(60_000);
  let requests = 0;
  for (;;) {
    const message = tap.next();
    if (message?.kind === 'request') requests += 1;
    else if (message?.kind === 'lost') assert.deepEqual(message, { kind: 'lost', overLimit: 70, slowReader: 4_005 - 1_000 });
    else if (message?.kind === 'end') {
      assert.deepEqual(message, { kind: 'end', reason: 'its time is over', told: 1_000, lost: 3_075 });
      break;
    } else assert.notEqual(message, undefined);
  }
  assert.equal(requests, 1_000);
  assert.deepEqual([tap.next(), tap.isOver], [undefined, true]);
});

test('refuses what makes no sense, what may hold secrets, and more taps than there may be', () => {
  const { desk: taps } = desk();
  for (const [wish, kind] of [
    [{ ...all, headers: ['cookie'] }, 'invalid'],
    [{ ...all, filter: { status: 'x' } }, 'invalid'],
    [{ ...all, perSecond: 0 }, 'invalid'],
    [{ ...all, forMs: TAP_LIMITS.forMs + 1 }, 'invalid'],
    [{ ...all, filter: { source: 'default/gone' } }, 'not-found'],
  ] as const)
    assert.throws(
      () => taps.open(wish, () => {}),
      (error: unknown) => error instanceof TapRefusal && error.kind === kind,
    );
  const open = Array.from({ length: TAP_LIMITS.taps }, () => taps.open(all, () => {}));
  assert.throws(() => taps.open(all, () => {}), /8 taps are open/);
  open[0]!.close();
  taps.open(all, () => {}).close();
});
