// `npm run bench:control`: one control plane with a whole mesh of instances and connected data planes, and what a change costs in it; then the
// same in a mesh with twice the services. The table goes to standard output, figures and the chart to bench/results/.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chart } from '../support/chart.ts';
import { heddleVersion, machine } from '../support/circumstances.ts';
import { isInstalled, output } from '../support/processes.ts';
import { json } from '../support/report.ts';
import type { Measure, Standing } from '../support/result.ts';
import { measure, measuresOf } from './measure.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { instanceCount, type Size } from './size.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args, ROOT);
  if (typeof options === 'string') {
    process.stderr.write(`bench:control: ${options}\n${USAGE}`);
    return 2;
  }
  if (process.platform !== 'linux') {
    process.stderr.write('bench:control: this needs Linux: CPU time and memory are read from /proc\n');
    return 1;
  }
  if (options.built) {
    console.log('Building the packages …');
    await output(undefined, [process.execPath, '--conditions=heddle-source', join(ROOT, 'tools/build.ts')]);
  }
  const cores = availableParallelism() >= 2 && isInstalled('taskset') ? { load: 0, proxies: 1 } : undefined;
  if (cores === undefined) console.log('Nothing is pinned (that takes taskset and two processors), so the figures spread widely.');
  const standings: Standing[] = [];
  for (const size of options.sizes) {
    console.log(`\n— ${describe(size)}: about ${2 * options.seconds + 60} s`);
    const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-control-'));
    try {
      standings.push({ name: nameOf(size), rounds: [await measure(size, { ...options, root: ROOT, folder, cores })] });
      console.log(lines(measuresOf(size), standings));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  report(standings, options, args, cores);
  return 0;
}

function report(
  standings: readonly Standing[],
  options: Options,
  args: readonly string[],
  cores: { load: number; proxies: number } | undefined,
): void {
  const [size] = options.sizes;
  if (size === undefined) return;
  const measures: readonly Measure[] = measuresOf(size);
  const row = { name: 'control', title: 'What a change costs the control plane', load: loadOf(size, options.seconds) };
  const result = { measures, standings };
  console.log(`\n${row.title}\n${row.load}`);
  if (options.results === undefined) return;
  mkdirSync(options.results, { recursive: true });
  const command = ['npm run bench:control', ...(args.length === 0 ? [] : ['--', ...args])].join(' ');
  const pinned = cores === undefined ? 'nothing' : `load on processor ${cores.load}, the control plane on processor ${cores.proxies}`;
  const versions = { heddle: heddleVersion({ heddleRoot: ROOT, built: options.built }) };
  const circumstances = { command, machine: { ...machine(cores), pinned }, versions };
  writeFileSync(join(options.results, 'control.json'), json(row, result, circumstances));
  writeFileSync(join(options.results, 'control.svg'), chart({ title: row.title, ...result }));
}

/** A line for each measure: there are more of them than sizes. */
function lines(measures: readonly Measure[], standings: readonly Standing[]): string {
  const width = Math.max(...measures.map(({ label }) => label.length));
  const cell = (text: string): string => text.padStart(16);
  const head = `${' '.repeat(width)}${standings.map(({ name }) => cell(name)).join('')}`;
  const rows = measures.map(({ key, label, digits }) => {
    const cells = standings.map(({ rounds }) => cell(rounds[0]?.[key]?.toFixed(digits) ?? 'n/a'));
    return `${label.padEnd(width)}${cells.join('')}`;
  });
  return [head, ...rows].join('\n');
}

function nameOf(size: Size): string {
  return `${size.services} / ${instanceCount(size)}`;
}

function describe(size: Size): string {
  return `${size.services} services, ${instanceCount(size)} instances, ${size.dataPlanes} data planes`;
}

function loadOf({ dataPlanes, calledByEach, changesPerSecond }: Size, seconds: number): string {
  return (
    `${dataPlanes} data planes on connections of their own follow all clusters and the endpoints of ${calledByEach} services each; ` +
    `${changesPerSecond} instances a second change their health for ${seconds} s. Named by services / instances.`
  );
}

process.exitCode = await main(process.argv.slice(2));
