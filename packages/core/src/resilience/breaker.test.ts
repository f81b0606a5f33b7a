import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NO_BREAKER } from '../model/defaults.ts';
import { Breaker } from './breaker.ts';

describe('the breaker', () => {
  it('refuses what is beyond its limits, and says why', () => {
    const breaker = new Breaker({ connections: 0, pending: 1, requests: 2 });
    assert.deepEqual([breaker.admitRequest(), breaker.admitRequest(), breaker.admitRequest()], ['admitted', 'admitted', 'requests']);
    assert.deepEqual([breaker.admitWait(), breaker.admitWait()], ['admitted', 'pending']);
    assert.equal(breaker.describe('requests', 'default/orders'), 'requests to default/orders under way: 2; breaker.requests allows 2');
    assert.equal(
      breaker.describe('pending', 'default/orders'),
      'requests to default/orders that wait for a connection: 1; breaker.pending allows 1',
    );
    assert.equal(breaker.refused, 2);
    breaker.requestEnded();
    breaker.waitEnded();
    assert.deepEqual([breaker.admitRequest(), breaker.admitWait()], ['admitted', 'admitted']);
  });

  it('has no limits where there are none', () => {
    const breaker = new Breaker(NO_BREAKER);
    for (let count = 0; count < 10_000; count += 1) assert.equal(breaker.admitRequest(), 'admitted');
    assert.equal(breaker.requests, 10_000);
  });

  it('keeps what is under way when its limits change', () => {
    const breaker = new Breaker(NO_BREAKER);
    for (let count = 0; count < 5; count += 1) breaker.admitRequest();
    breaker.setPolicy({ connections: 0, pending: 0, requests: 4 });
    assert.equal(breaker.admitRequest(), 'requests');
    breaker.requestEnded();
    assert.equal(breaker.admitRequest(), 'requests');
    breaker.requestEnded();
    assert.equal(breaker.admitRequest(), 'admitted');
  });

  it('never holds more than it allows (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.boolean()), (requests, steps) => {
        const breaker = new Breaker({ ...NO_BREAKER, requests });
        let underWay = 0;
        for (const begins of steps) {
          if (begins) {
            if (breaker.admitRequest() === 'admitted') underWay += 1;
            else assert.equal(underWay, requests);
          } else if (underWay > 0) {
            underWay -= 1;
            breaker.requestEnded();
          }
          assert.equal(breaker.requests, underWay);
          assert.ok(underWay <= requests);
        }
      }),
    );
  });
});
