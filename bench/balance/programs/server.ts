// A server that behaves like one of the simulation: it works on so many requests at a time, each for a random while, without using the processor.
// Arguments: its options as JSON, and a seed. Prints its port. Requests whose callers have gone are skipped when it is their turn.
import http from 'node:http';
import { Events, seeded } from '../simulation/events.ts';
import { SimulatedServer } from '../simulation/server.ts';
import type { ServerOptions } from '../simulation/server.ts';

/** The virtual clock of the simulation, tied to the real one. */
class RealEvents extends Events {
  private readonly startMs = performance.now();

  override after(delayMs: number, run: () => void): void {
    setTimeout(() => {
      this.nowMs = performance.now() - this.startMs;
      run();
    }, delayMs);
  }
}

const [options = '{}', seed = '1'] = process.argv.slice(2);
const [work, fate] = [seeded(Number(seed)), seeded(Number(seed) + 50)];
const server = new SimulatedServer(new RealEvents(), work, fate, JSON.parse(options) as ServerOptions);
const listener = http
  .createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    request.resume();
    const job = {
      isGivenUp: false,
      onEnd: (succeeded: boolean) => {
        response.writeHead(succeeded ? 200 : 500, { 'content-length': 3 }).end('ok\n');
      },
    };
    response.on('close', () => {
      job.isGivenUp = true;
    });
    server.accept(job);
  })
  .listen(0, '127.0.0.1', () => {
    const address = listener.address();
    if (address !== null && typeof address === 'object') console.log(address.port);
  });
process.on('disconnect', () => process.exit());
