// The reference page of metrics, from the definitions by which they are counted.
import type { MetricDefinition } from '@heddle/core';

interface LabelText {
  readonly meaning: string;
}

const UNITS: readonly [RegExp, string][] = [
  [/_seconds(_total|_left)?$|_seconds_left$/, 'seconds'],
  [/_bytes(_total)?$/, 'bytes'],
  [/_ratio$|_utilization$/, 'ratio'],
];

/** @param groups by heading. @param labels by name. */
export function metricsPage(
  groups: Readonly<Record<string, readonly MetricDefinition[]>>,
  labels: Readonly<Record<string, LabelText>>,
  seriesMax: number,
): string {
  return `# Metrics

<!-- Written by \`npm run docs\` from packages/core/src/telemetry/metrics; change them there. -->

What data planes and the control plane show to Prometheus, as \`GET /metrics\`: how to collect it is in the
[guide](../guides/metrics.md). Names, labels and meanings are part of what Heddle promises to keep.

A metric has at most ${seriesMax.toLocaleString('en')} combinations of label values in one process. Beyond that, names in labels (those of services,
routes, instances and the like) become \`other\`, and \`heddle_metrics_folded_total\` grows. Series of instances and services go when these do.

A metric is shown by \`heddle proxy\` (**P**), by the data plane inside a Node process (**A**), or by the control plane (**C**). With several
[workers](../guides/workers.md) their values are added, where nothing else is said.

${Object.entries(groups)
  .map(([heading, metrics]) => group(heading, metrics))
  .join('\n')}
## Labels

| label | what it says |
|---|---|
${Object.entries(labels)
  .map(([name, { meaning }]) => `| \`${name}\` | ${meaning} |\n`)
  .join('')}`;
}

function group(heading: string, metrics: readonly MetricDefinition[]): string {
  return `## ${heading}

| metric | type, unit | labels | what it says | by |
|---|---|---|---|---|
${metrics.map(row).join('')}`;
}

function row({ name, type, help, labels, of, bounds, shownBounds = bounds }: MetricDefinition): string {
  const unit = UNITS.find(([form]) => form.test(name))?.[1];
  const buckets = shownBounds === undefined ? '' : ` Buckets: ${shownBounds.join(', ')}.`;
  const by = of.map((source) => ({ proxy: 'P', application: 'A', 'control plane': 'C' })[source]).join(' ');
  const said = labels.map((label) => `\`${label}\``).join(' ');
  return `| \`${name}\` | ${type}${unit === undefined ? '' : `, ${unit}`} | ${said} | ${help}${buckets} | ${by} |\n`;
}
