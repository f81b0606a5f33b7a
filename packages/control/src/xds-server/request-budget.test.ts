import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestBudget } from './request-budget.ts';

test('a data plane that starts may ask for thousands of names one by one', () => {
  const budget = new RequestBudget(0);
  for (let count = 0; count < 2_500; count += 1) assert.ok(budget.spend(1, 0));
});

test('answers cost nothing in the end, however many there are', () => {
  const budget = new RequestBudget(0);
  for (let count = 0; count < 100_000; count += 1) {
    budget.refund();
    assert.ok(budget.spend(0, 0), `after ${count}`);
  }
});

test('who floods is stopped; what time brings back is bounded', () => {
  const budget = new RequestBudget(0);
  const accepted = (nowMs: number): number => {
    let count = 0;
    while (budget.spend(0, nowMs)) count += 1;
    return count;
  };
  const burst = accepted(0);
  assert.ok(burst >= 1_000 && burst <= 10_000, String(burst));
  assert.ok(accepted(1_000) < burst);
  assert.ok(accepted(86_400_000) <= burst);
});

test('a request with a hundred thousand names costs more than one without, and a clock that goes back gives nothing', () => {
  const budget = new RequestBudget(1_000);
  let count = 0;
  while (budget.spend(100_000, 1_000)) count += 1;
  assert.ok(count > 1 && count < 50, String(count));
  assert.ok(!budget.spend(0, 0));
});
