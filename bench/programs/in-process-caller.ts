// An application that calls another one as people do: with fetch, node:http, or grpc-js. Arguments: the interface; the URL, or for gRPC host and port;
// and, where the data plane is inside, the file that configures it and the port of its way out. It reads a line of JSON for each measurement and answers
// with one: `{"calls":N,"atOnce":N}` as fast as it goes, or `{"perSecond":N,"seconds":N}` at a fixed rate.
import http from 'node:http';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import { joinFetch } from '@heddle/client/fetch';
import { joinGrpc } from '@heddle/client/grpc';
import { joinHttp } from '@heddle/client/http';
import { echoClient } from '../../tests/support/grpc-echo.ts';
import { percentiles } from '../support/figures.ts';
import { startInside } from './in-process-mesh.ts';

const [, , api = '', target = '', specFile, wayOut] = process.argv;
if (specFile !== undefined) {
  const mesh = await startInside(specFile, Number(wayOut));
  joinFetch(mesh);
  joinHttp(mesh);
  joinGrpc(mesh, grpc);
}

const agent = new http.Agent({ keepAlive: true });
const message = Buffer.alloc(100, 'x');

function overHttp(): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = http.get(target, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.on('data', () => {});
      response.on('end', resolve);
    });
    call.on('error', reject);
  });
}

async function overFetch(): Promise<void> {
  const response = await fetch(target);
  if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
}

function overGrpc(): () => Promise<void> {
  const client = echoClient(target);
  return () => client.echo(message);
}

const call = api === 'http' ? overHttp : api === 'fetch' ? overFetch : overGrpc();

async function closedLoop(calls: number, atOnce: number): Promise<object> {
  let begun = 0;
  const startMs = performance.now();
  const one = async (): Promise<void> => {
    while (begun++ < calls) await call();
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return { meanUs: ((performance.now() - startMs) * 1_000 * atOnce) / calls };
}

/** A call's clock runs from when it was due. */
async function openLoop(perSecond: number, seconds: number): Promise<object> {
  const total = perSecond * seconds;
  const tookUs = new Float64Array(total);
  const startMs = performance.now();
  let due = 0;
  await new Promise<void>((resolve, reject) => {
    let done = 0;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      for (const until = Math.min(total, ((nowMs - startMs) * perSecond) / 1_000); due < until; due++) {
        call().then(() => {
          tookUs[done++] = (performance.now() - nowMs) * 1_000;
          if (done === total) resolve();
        }, reject);
      }
      if (due === total) clearInterval(timer);
    }, 1);
  });
  return percentiles(tookUs);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { calls, atOnce, perSecond, seconds } = JSON.parse(line) as Record<'calls' | 'atOnce' | 'perSecond' | 'seconds', number>;
  console.log(JSON.stringify(calls === undefined ? await openLoop(perSecond, seconds) : await closedLoop(calls, atOnce)));
}
