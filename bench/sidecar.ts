// Heddle beside HAProxy on this machine: CPU time per request as a sidecar (HTTP/1.1 in and out) and as a pair with mutual TLS between.
// Client and application on one processor, the contestants on another, in turn, several rounds. Takes below three minutes.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Contestant, makeCertificates, type Shape, startContestant, whyNot } from './support/contestants.ts';
import { freePorts, isInstalled, output, Process } from './support/processes.ts';
import { ratios, readWrk, type Round, roundLine, spread, spreadText } from './support/results.ts';

const USAGE = `usage: bench/sidecar.ts [--rounds N] [--seconds N] [--connections N] [--shape sidecar|pair] [--built]
  --rounds       of each contestant, default 5
  --seconds      of each round, default 4
  --connections  that the client keeps, default 64
  --shape        only this one
  --built        measure the packages made by \`npm run build\` in place of the sources
`;

/** Against a machine on which everything takes longer: no round begins after this. */
const TOTAL_SECONDS_MAX = 165;
const WARM_UP_SECONDS = 2;
const SHAPES: readonly Shape[] = ['sidecar', 'pair'];

interface Settings {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly shapes: readonly Shape[];
  readonly built: boolean;
}

interface Cores {
  readonly load: number | undefined;
  readonly proxies: number | undefined;
}

function readSettings(args: readonly string[]): Settings | string {
  try {
    const number = { type: 'string' } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { rounds: number, seconds: number, connections: number, shape: { type: 'string' }, built: { type: 'boolean' } },
    });
    const { rounds = '5', seconds = '4', connections = '64', shape, built = false } = values;
    const bad = [rounds, seconds, connections].find((text) => !/^[1-9]\d{0,3}$/.test(text));
    if (bad !== undefined) return `"${bad}" is not a whole number from 1 to 9999`;
    if (shape !== undefined && !SHAPES.includes(shape as Shape)) return `there is no shape "${shape}"`;
    const shapes = shape === undefined ? SHAPES : [shape as Shape];
    return { rounds: Number(rounds), seconds: Number(seconds), connections: Number(connections), shapes, built };
  } catch (error) {
    return (error as Error).message;
  }
}

function chooseCores(): Cores {
  if (availableParallelism() >= 2 && isInstalled('taskset')) return { load: 0, proxies: 1 };
  console.log('Nothing is pinned (that takes taskset and two processors), so the figures spread widely.');
  return { load: undefined, proxies: undefined };
}

function load(core: number | undefined, port: number, seconds: number, connections: number): Promise<string> {
  return output(core, ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', `http://127.0.0.1:${port}/orders/17?x=1`]);
}

async function measure({ port, processes }: Contestant, { seconds, connections }: Settings, cores: Cores): Promise<Round> {
  const cpuSeconds = () => processes.reduce((sum, process) => sum + process.cpuSeconds(), 0);
  const before = cpuSeconds();
  const { requests, p99Ms } = readWrk(await load(cores.load, port, seconds, connections));
  return {
    requestsPerSecond: requests / seconds,
    cpuUsPerRequest: ((cpuSeconds() - before) / requests) * 1e6,
    p99Ms,
    residentMb: processes.reduce((sum, process) => sum + process.residentMb(), 0),
  };
}

function report(contestants: readonly Contestant[], results: ReadonlyMap<Contestant, readonly Round[]>): void {
  console.log('\nmedian (least – most)\n');
  for (const contestant of contestants) {
    const rounds = results.get(contestant) ?? [];
    if (rounds.length === 0) continue;
    const of = (figure: (round: Round) => number, digits: number) => spreadText(spread(rounds.map(figure)), digits);
    console.log(
      `${contestant.shape.padEnd(8)}${contestant.name.padEnd(8)} CPU µs/request ${of((round) => round.cpuUsPerRequest, 1)}; ` +
        `requests/s ${of((round) => round.requestsPerSecond, 0)}; MB ${of((round) => round.residentMb, 0)}`,
    );
  }
  for (const shape of SHAPES) {
    const [theirs, ours] = (['haproxy', 'heddle'] as const).map((name) =>
      results.get(contestants.find((one) => one.shape === shape && one.name === name)!),
    );
    if (ours === undefined || theirs === undefined || ours.length === 0 || theirs.length === 0) continue;
    const cpu = ratios(ours, theirs, ({ cpuUsPerRequest }) => cpuUsPerRequest);
    console.log(`${shape.padEnd(8)}heddle / haproxy, CPU per request, round by round: ${spreadText(spread(cpu), 2)}`);
  }
}

async function run(settings: Settings, cores: Cores, folder: string, toStop: Process[]): Promise<void> {
  const startMs = performance.now();
  const [backendPort = 0] = await freePorts(1);
  const backend = new Process('backend', cores.load, [
    process.execPath,
    join(import.meta.dirname, 'support/backend.ts'),
    String(backendPort),
  ]);
  toStop.push(backend);
  await backend.listensOn(backendPort);
  const field = { folder, certificates: makeCertificates(folder), backendPort, core: cores.proxies, built: settings.built };
  const contestants: Contestant[] = [];
  for (const name of ['haproxy', 'heddle'] as const) {
    const reason = whyNot(name, settings.built);
    if (reason !== undefined) console.log(`Without ${name}: ${reason}.`);
    else for (const shape of settings.shapes) contestants.push(await startContestant(field, shape, name, toStop));
  }
  contestants.sort((a, b) => SHAPES.indexOf(a.shape) - SHAPES.indexOf(b.shape));
  const results = new Map<Contestant, Round[]>(contestants.map((contestant) => [contestant, []]));
  for (const { port } of contestants) readWrk(await load(cores.load, port, WARM_UP_SECONDS, settings.connections));
  for (let round = 1; round <= settings.rounds; round++) {
    if ((performance.now() - startMs) / 1000 + contestants.length * settings.seconds > TOTAL_SECONDS_MAX) {
      console.log(`Stopped before round ${round}: more would take longer than three minutes.`);
      break;
    }
    for (const contestant of contestants) {
      const figures = await measure(contestant, settings, cores);
      results.get(contestant)!.push(figures);
      console.log(`round ${round}  ${contestant.shape.padEnd(8)}${contestant.name.padEnd(8)} ${roundLine(figures)}`);
    }
  }
  report(contestants, results);
}

async function main(args: readonly string[]): Promise<number> {
  const settings = readSettings(args);
  if (typeof settings === 'string') {
    process.stderr.write(`bench: ${settings}\n${USAGE}`);
    return 2;
  }
  if (process.platform !== 'linux' || !isInstalled('wrk')) {
    const reason =
      process.platform === 'linux'
        ? 'wrk, the load generator, is not on PATH (Debian: apt-get install wrk)'
        : 'this needs Linux: CPU time is read from /proc';
    process.stderr.write(`bench: ${reason}\n`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'));
  const toStop: Process[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(toStop.map((one) => one.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('SIGINT', () => void stop().then(() => process.exit(130)));
  process.once('SIGTERM', () => void stop().then(() => process.exit(143)));
  try {
    await run(settings, chooseCores(), folder, toStop);
    return 0;
  } finally {
    await stop();
  }
}

process.exitCode = await main(process.argv.slice(2));
