// One request before anything is measured: whether a path really does what its row says. The application behind it speaks one protocol
// only, so an answer also shows which one was spoken to it.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { Scenario } from '../contestants/contestant.ts';

const TIMEOUT_MS = 5_000;

interface Answer {
  readonly status: number;
  readonly bytes: number;
  readonly grpcStatus?: string;
}

/** Throws with the difference when the answer is not the application's. */
export async function prove(scenario: Scenario, port: number): Promise<void> {
  const { grpc, bodyBytes } = scenario;
  const expected: Answer = { status: 200, bytes: bodyBytes + (grpc ? 5 : 0), ...(grpc && { grpcStatus: '0' }) };
  const answer = await (scenario.http === 'http1' ? askHttp1(scenario, port) : askHttp2(scenario, port));
  const [got, wanted] = [JSON.stringify(answer), JSON.stringify(expected)];
  if (got !== wanted) throw new Error(`the first request got ${got}, and not ${wanted}`);
}

export async function askHttp1({ tls }: Scenario, port: number): Promise<Answer> {
  const request = tls
    ? https.get({ host: '127.0.0.1', port, path: '/orders/17', rejectUnauthorized: false, agent: false, timeout: TIMEOUT_MS })
    : http.get({ host: '127.0.0.1', port, path: '/orders/17', agent: false, timeout: TIMEOUT_MS });
  request.on('timeout', () => request.destroy(new Error('the first request got no answer')));
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let bytes = 0;
  for await (const part of response) bytes += (part as Buffer).length;
  return { status: response.statusCode ?? 0, bytes };
}

async function askHttp2({ grpc, tls }: Scenario, port: number): Promise<Answer> {
  const session = http2.connect(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, { rejectUnauthorized: false });
  try {
    const failed = once(session, 'error').then(([error]) => Promise.reject(error as Error));
    const method = grpc ? { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' } : {};
    const stream = session.request({ ':path': '/orders/17', ...method });
    stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error('the first request got no answer')));
    stream.end(grpc ? Buffer.alloc(5) : undefined);
    let answer: Answer = { status: 0, bytes: 0 };
    stream.on('response', (headers) => (answer = { ...answer, status: headers[':status'] ?? 0 }));
    stream.on('data', (part: Buffer) => (answer = { ...answer, bytes: answer.bytes + part.length }));
    stream.on('trailers', (trailers) => (answer = { ...answer, grpcStatus: String(trailers['grpc-status']) }));
    await Promise.race([once(stream, 'end'), failed]);
    return answer;
  } finally {
    session.destroy();
  }
}
