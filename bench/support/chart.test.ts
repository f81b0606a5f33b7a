// The chart shows every contestant, with its figures or the reason why there are none, as an image that any reader can draw.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chart } from './chart.ts';

const CPU = { key: 'cpu', label: 'CPU µs/request', digits: 1 };
const STANDINGS = [
  { name: 'heddle', rounds: [{ cpu: 20 }, { cpu: 22 }, { cpu: 18 }] },
  { name: 'haproxy', rounds: [{ cpu: 40 }] },
  { name: 'nginx', rounds: [], absent: 'it speaks <no> HTTP/2' },
];

describe('the chart of a result', () => {
  const svg = chart({ title: 'a → b & c', measures: [CPU], standings: STANDINGS });

  test('has the figures of those that took part and the reason of those that did not', () => {
    assert.match(svg, />20\.0 \(18\.0 – 22\.0\)</);
    assert.match(svg, />40\.0</);
    assert.match(svg, />n\/a: it speaks &lt;no&gt; HTTP\/2</);
    assert.match(svg, />a → b &amp; c</);
  });

  test('draws bars in proportion', () => {
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
    assert.equal(widths.length, 2);
    assert.ok(Math.abs(widths[1]! - 2 * widths[0]!) < 0.2);
  });

  test('closes every element and holds no number that is none', () => {
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    for (const name of ['svg', 'text', 'title', 'style'])
      assert.equal([...svg.matchAll(new RegExp(`<${name}[ >]`, 'g'))].length, [...svg.matchAll(new RegExp(`</${name}>`, 'g'))].length);
  });

  test('can be drawn when nothing was measured, and when figures are below zero', () => {
    assert.doesNotMatch(chart({ title: 't', measures: [CPU], standings: [STANDINGS[2]!] }), /NaN|Infinity/);
    assert.doesNotMatch(chart({ title: 't', measures: [CPU], standings: [{ name: 'a', rounds: [{ cpu: -3 }] }] }), /NaN|width="-/);
  });
});
