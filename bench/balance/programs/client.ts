// Sends requests at random times (a Poisson process), whether or not answers come, to several ports in turn. Arguments: ports with commas, requests per
// second, seconds to warm up, seconds to measure, time limit in ms, users, seed. Prints the figures as JSON.
import http from 'node:http';
import { Outcomes } from '../figures.ts';
import { seeded } from '../simulation/events.ts';
import { exponential } from '../simulation/server.ts';

const [portList = '', ...numbers] = process.argv.slice(2);
const [rate = 1, warmUpSeconds = 0, seconds = 1, timeoutMs = 1_000, users = 1, seed = 1] = numbers.map(Number);
const ports = portList.split(',').map(Number);
const random = seeded(seed);
const outcomes = new Outcomes(timeoutMs);
const agent = new http.Agent({ keepAlive: true });
const startMs = performance.now();
const measuredFromMs = startMs + warmUpSeconds * 1_000;
const endMs = measuredFromMs + seconds * 1_000;
let nextMs = startMs;
let sent = 0;
let open = 0;

function send(): void {
  const sentMs = performance.now();
  let isOver = false;
  open += 1;
  const end = (outcome: 'answered' | 'failed' | 'timed-out'): void => {
    if (isOver) return;
    isOver = true;
    open -= 1;
    if (sentMs >= measuredFromMs) outcomes.add(performance.now() - sentMs, outcome);
    if (open === 0 && performance.now() > endMs) finish();
  };
  const port = ports[sent++ % ports.length]!;
  const headers = { host: 'orders.test', 'x-user': String(Math.floor(random() * users)) };
  const request = http.get({ port, host: '127.0.0.1', path: '/', agent, headers }, (response) => {
    response.resume();
    response.on('end', () => end(response.statusCode === 200 ? 'answered' : 'failed'));
  });
  request.setTimeout(timeoutMs, () => {
    end('timed-out');
    request.destroy();
  });
  request.on('error', () => end('failed'));
}

function finish(): void {
  console.log(JSON.stringify(outcomes.figures()));
  process.exit();
}

function tick(): void {
  const nowMs = performance.now();
  while (nextMs <= nowMs && nextMs < endMs) {
    send();
    nextMs += exponential(random, 1_000 / rate);
  }
  if (nextMs < endMs) setTimeout(tick, 1);
  else if (open === 0) finish();
}

tick();
