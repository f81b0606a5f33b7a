// A process of its own that calls through the mesh, in which nothing but these calls is there to stay alive for, and then nothing. Tests only.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { joinFetch } from '../fetch/index.ts';
import { joinHttp } from '../http/index.ts';
import { backgroundMesh } from './joined-mesh.ts';

const BASE = 'http://orders.mesh.internal';
const LATE_MS = 150;

const { mesh } = await backgroundMesh((request, response) => {
  setTimeout(() => response.end('late'), request.url === '/late' ? LATE_MS : 0).unref();
});
joinFetch(mesh);
joinHttp(mesh);

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function viaHttp(): Promise<void> {
  const agent = new http.Agent({ keepAlive: true });
  const [response] = (await once(http.get(`${BASE}/late`, { agent }), 'response')) as [http.IncomingMessage];
  say(`http ${await text(response)}`);
}

async function viaSocket(): Promise<void> {
  const socket = net.connect(6_379, 'cache.mesh.internal', () => {
    setTimeout(() => socket.end('late'), LATE_MS).unref();
  });
  say(`socket ${await text(socket)}`);
}

async function whenReady(): Promise<void> {
  mesh.isReady = false;
  mesh.becomesReady = new Promise((resolve) => void setTimeout(resolve, LATE_MS));
  say(`ready ${await (await fetch(`${BASE}/soon`)).text()}`);
}

say(`fetch ${await (await fetch(`${BASE}/late`)).text()}`);
await viaHttp();
await viaSocket();
await whenReady();
// What is left when it ends: an answer that nobody reads, and a connection that is not to count.
await fetch(`${BASE}/soon`);
const idle = net.connect(6_379, 'cache.mesh.internal');
await once(idle, 'connect');
idle.unref();
say('idle');
