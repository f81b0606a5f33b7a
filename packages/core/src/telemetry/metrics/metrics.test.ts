// The definitions of metrics: none is left out of the reference, and all keep to the same form.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as metrics from './index.ts';

const { METRIC_GROUPS, METRIC_LABELS, foldedLabels } = metrics;
const ALL = Object.values(METRIC_GROUPS).flat();

describe('metrics', () => {
  test('are all in the groups of the reference, once', () => {
    const defined = Object.entries(metrics).flatMap(([name, value]) => (name.endsWith('_METRICS') ? Object.values(value as object) : []));
    assert.deepEqual(new Set(ALL), new Set(defined));
    assert.equal(new Set(ALL.map(({ name }) => name)).size, ALL.length);
  });

  test('have names as Prometheus wants them, labels that are explained, and a sentence', () => {
    for (const { name, type, labels, help, bounds = [], shownBounds = [] } of ALL) {
      assert.match(name, /^heddle_[a-z0-9_]+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      assert.match(help, /[.`]$/, name);
      for (const label of labels) assert.ok(label in METRIC_LABELS, `${name}: ${label}`);
      // What Prometheus names its targets by would be renamed.
      assert.ok(!['instance', 'job', 'le', 'quantile'].some((taken) => (labels as readonly string[]).includes(taken)), name);
      for (const shown of shownBounds) assert.ok(bounds.includes(shown), `${name}: ${shown}`);
    }
    const used = new Set(ALL.flatMap(({ labels }) => labels));
    for (const label of Object.keys(METRIC_LABELS)) assert.ok(used.has(label), `no metric has the label ${label}`);
  });

  test('are cut off at names, not at what the code lists', () => {
    const labels = { direction: 'outbound', source: 'a/b', error: '', class: '5xx', route: 'x' };
    assert.deepEqual(foldedLabels(labels), { direction: 'outbound', source: 'other', error: '', class: '5xx', route: 'other' });
  });
});
