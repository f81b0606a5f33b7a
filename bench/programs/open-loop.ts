// An HTTP/1.1 client that sends at a fixed rate, whether or not answers come. Arguments: port, requests per second, seconds, connections.
// A request's clock runs from the moment it was due, also while it waits for a free connection: a stalled proxy is charged for every
// request of the stall. Due times lie on the client's own timer (1 ms), whose jitter is nobody else's. Prints the percentiles as JSON.
import net from 'node:net';
import { percentiles } from '../support/figures.ts';

const [port = 0, rate = 0, seconds = 0, connections = 0] = process.argv.slice(2).map(Number);
const REQUEST = `GET /orders/17?x=1 HTTP/1.1\r\nhost: orders.test\r\nuser-agent: open-loop\r\naccept: */*\r\n\r\n`;
const WARM_UP_MS = 500;
const END = '\r\n\r\n';

const warmUpRequests = Math.ceil((rate * WARM_UP_MS) / 1000);
const total = warmUpRequests + rate * seconds;
const latenciesUs = new Float64Array(total);
const idle: Client[] = [];
/** Times of requests for which no connection was free; read from `nextWaiting` on. */
const waiting: number[] = [];
let nextWaiting = 0;
let due = 0;
let done = 0;

class Client {
  private readonly socket: net.Socket;
  private dueMs = 0;
  /** Of the response that is being read; -1: its head is not complete. */
  private missingBytes = -1;
  private head = '';

  constructor(onReady: () => void) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, onReady);
    this.socket.on('error', (error) => give(`a connection failed: ${error.message}`));
    this.socket.on('close', () => give('the proxy closed a connection'));
    this.socket.on('data', (bytes: Buffer) => this.read(bytes));
  }

  send(dueMs: number): void {
    this.dueMs = dueMs;
    this.socket.write(REQUEST, 'latin1');
  }

  private read(bytes: Buffer): void {
    if (this.missingBytes === -1) {
      this.head += bytes.toString('latin1');
      const end = this.head.indexOf(END);
      if (end === -1) return;
      const length = /^HTTP\/1\.1 200 [^]*\ncontent-length: *(\d+)/i.exec(this.head);
      if (length === null) give(`not the answer that was expected: ${this.head.slice(0, 200)}`);
      this.missingBytes = Number(length![1]) - (this.head.length - end - END.length);
    } else this.missingBytes -= bytes.length;
    if (this.missingBytes > 0) return;
    this.head = '';
    this.missingBytes = -1;
    latenciesUs[done++] = (performance.now() - this.dueMs) * 1000;
    if (nextWaiting < waiting.length) this.send(waiting[nextWaiting++]!);
    else idle.push(this);
    if (done === total) finish();
  }
}

function give(reason: string): never {
  console.error(reason);
  process.exit(1);
}

function finish(): never {
  console.log(JSON.stringify({ requests: total - warmUpRequests, ...percentiles(latenciesUs.subarray(warmUpRequests)) }));
  process.exit(0);
}

let connected = 0;
for (let index = 0; index < connections; index++) {
  const client: Client = new Client(() => {
    idle.push(client);
    if (++connected === connections) run();
  });
}

function run(): void {
  const startMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    for (const until = Math.min(total, ((nowMs - startMs) * rate) / 1000); due < until; due++) {
      const client = idle.shift();
      if (client === undefined) waiting.push(nowMs);
      else client.send(nowMs);
    }
    if (due === total) clearInterval(timer);
    if (nowMs - startMs > (seconds + 60) * 1000) give(`only ${done} of ${total} answers came in time`);
  }, 1);
}
