// Makes the README's pictures from the running program: starts the shop in a terminal, does what the tour says, draws what was printed, and takes
// the dashboard as it is then. `npm run pictures`; needs `script` (util-linux) for a real terminal, `curl`, and Debian's `chromium`.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runProgram } from './run.ts';
import { dashboardPicture } from './pictures/dashboard.ts';
import { terminalSvg } from './pictures/terminal.ts';

const READY_TIMEOUT_MS = 90_000;
const root = resolve(import.meta.dirname, '..');
const heddle = `${process.execPath} --conditions=heddle-source packages/cli/src/main.ts`;

/** In a terminal of its own, so that colours are what a person sees. */
function inTerminal(command: string): ChildProcess {
  return spawn('script', ['-qefc', `stty cols 160; exec ${command}`, '/dev/null'], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm-256color' },
  });
}

async function printed(command: string): Promise<string> {
  const child = inTerminal(command);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await new Promise((resolvePromise) => child.on('close', resolvePromise));
  return text;
}

async function tour(mesh: ChildProcess): Promise<string> {
  let text = '';
  mesh.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!text.includes('Try:')) {
    if (Date.now() > deadline || mesh.exitCode !== null) throw new Error(`the shop did not become ready:\n${text}`);
    await pause(100);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour sequence may stand before the word.
  const ready = /(?:\u001b\[\d+m)?ready:[\s\S]*?(?=\r?\n\r?\nHTTP proxy)/.exec(text)?.[0] ?? '';
  const call = 'curl -x http://127.0.0.1:15001 http://orders.mesh.internal/';
  const answers: string[] = [];
  for (let count = 0; count < 3; count++) {
    const { output } = await runProgram(root, 'curl', ['-s', '-x', 'http://127.0.0.1:15001', 'http://orders.mesh.internal/']);
    answers.push(`${prompt(call)}${output.trim()}\n`);
  }
  const instances = await printed(`${heddle} get instances`);
  return `${prompt('npm start')}${ready}\n\n${answers.join('')}\n${prompt('./heddle get instances')}${instances}`;
}

function prompt(command: string): string {
  return `\u001b[2m$\u001b[22m \u001b[1m${command}\u001b[22m\n`;
}

const mesh = inTerminal(`${heddle} up -f examples/shop/heddle.yaml`);
try {
  const text = await tour(mesh);
  mkdirSync(join(root, 'docs/images'), { recursive: true });
  writeFileSync(join(root, 'docs/images/up.svg'), terminalSvg(text, 'npm start runs the shop: its instances, calls that go round, health'));
  process.stdout.write('wrote docs/images/up.svg\n');
  await dashboardPicture(root, 'docs/images/dashboard.png');
  process.stdout.write('wrote docs/images/dashboard.png\n');
} finally {
  const ended = new Promise((resolvePromise) => mesh.on('close', resolvePromise));
  // Ctrl-C, as a person would.
  mesh.stdin?.write('\u0003');
  await ended;
}
