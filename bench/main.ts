// `npm run bench`: Heddle beside other proxies on this machine, row by row. Client and application run on one processor, the proxies on
// another. Tables go to standard output; figures and charts to bench/results/.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { getEnvoy } from './contestants/envoy.ts';
import { CONTESTANTS } from './contestants/index.ts';
import { Field } from './rows/field.ts';
import { ROWS } from './rows/index.ts';
import type { Row } from './rows/row.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { chart } from './support/chart.ts';
import { machine, versions } from './support/circumstances.ts';
import { isInstalled, output } from './support/processes.ts';
import { type Circumstances, json, table } from './support/report.ts';

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    process.stderr.write(`bench: ${options}\n${USAGE}`);
    return 2;
  }
  const missing = ['wrk', 'h2load'].filter((program) => !isInstalled(program));
  if (process.platform !== 'linux' || missing.length > 0) {
    const reason =
      process.platform === 'linux'
        ? `${missing.join(' and ')} must be on PATH (Debian: apt-get install wrk nghttp2-client)`
        : 'this needs Linux: CPU time is read from /proc';
    process.stderr.write(`bench: ${reason}\n`);
    return 1;
  }
  if (options.getEnvoy) await getEnvoy();
  if (options.build) await build(options.heddleRoot);
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'));
  const cores = chooseCores();
  const contestants = CONTESTANTS.filter(({ name }) => options.contestants.includes(name));
  const field = new Field({ folder, contestants, heddleRoot: options.heddleRoot, built: options.built, cores });
  const stop = async (): Promise<void> => {
    await field.stopAll();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('SIGINT', () => void stop().then(() => process.exit(130)));
  process.once('SIGTERM', () => void stop().then(() => process.exit(143)));
  try {
    for (const contestant of contestants) {
      const reason = contestant.missing(field.setting(folder));
      if (reason !== undefined) console.log(`Without ${contestant.name}: ${reason}.`);
    }
    const command = ['npm run bench', ...(args.length === 0 ? [] : ['--', ...args])].join(' ');
    await runAll(field, options, { command, machine: machine(cores), versions: versions(contestants, field.setting(folder)) });
    return 0;
  } finally {
    await stop();
  }
}

async function runAll(field: Field, options: Options, circumstances: Circumstances): Promise<void> {
  const rows = ROWS.filter(({ name, group }) => options.only.includes(name) || options.only.includes(group));
  const seconds = (row: Row) => Math.ceil(row.seconds(options.settings, field.contestants.length));
  const total = rows.reduce((sum, row) => sum + seconds(row), 0);
  console.log(`${rows.length} rows, about ${Math.ceil(total / 60)} minutes.`);
  for (const row of rows) {
    console.log(`\n— ${row.name}: about ${seconds(row)} s`);
    try {
      const result = await row.run(field, options.settings);
      console.log(table(row, result));
      if (options.results !== undefined) {
        mkdirSync(options.results, { recursive: true });
        writeFileSync(join(options.results, `${row.name}.json`), json(row, result, circumstances));
        writeFileSync(join(options.results, `${row.name}.svg`), chart({ title: row.title, ...result }));
      }
    } catch (error) {
      console.log(`${row.name} could not be measured: ${(error as Error).message}`);
    } finally {
      await field.stopAll();
    }
  }
}

function chooseCores(): { load: number; proxies: number } | undefined {
  if (availableParallelism() >= 2 && isInstalled('taskset')) return { load: 0, proxies: 1 };
  console.log('Nothing is pinned (that takes taskset and two processors), so the figures spread widely.');
  return undefined;
}

async function build(root: string): Promise<void> {
  console.log('Building the packages …');
  await output(undefined, [process.execPath, '--conditions=heddle-source', join(root, 'tools/build.ts')]);
}

process.exitCode = await main(process.argv.slice(2));
