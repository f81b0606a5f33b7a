// Completion in the shells themselves: each loads the script as a person would, and is asked as by the key. On a slow machine names may come too
// late to be shown: then they are asked for again.
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { runHere } from '../../packages/cli/src/testing/in-process.ts';
import { Cleanup, control, meshOf, SMALL_MESH, temporaryDirectory } from '../support/planes.ts';
import { run, skipWithout } from './support/programs.ts';

const cleanup = new Cleanup();
let directory: string;
let stateDir: string;
before(async () => {
  directory = await temporaryDirectory(cleanup);
  stateDir = await temporaryDirectory(cleanup);
  await control(cleanup, { stateDir, mesh: meshOf(SMALL_MESH) });
  const quoted = [process.execPath, ...heddleArguments()].map((part) => `'${part}'`).join(' ');
  writeFileSync(join(directory, 'heddle'), `#!/bin/sh\nexec ${quoted} "$@"\n`);
  chmodSync(join(directory, 'heddle'), 0o755);
  writeFileSync(join(directory, 'mesh-a.yaml'), SMALL_MESH);
});
after(() => cleanup.run());

/** What a shell says that runs the lines, with the script of `heddle completion` beside it. */
async function ask(shell: 'bash' | 'zsh' | 'fish', lines: string): Promise<string> {
  const script = await runHere('completion', shell);
  assert.equal(script.code, 0, script.err);
  writeFileSync(join(directory, `completion.${shell}`), script.out);
  writeFileSync(join(directory, `ask.${shell}`), lines);
  const args = shell === 'fish' ? ['--no-config'] : shell === 'bash' ? ['--norc'] : ['-f'];
  const { stdout, stderr } = await run(shell, [...args, `ask.${shell}`], {
    cwd: directory,
    env: { PATH: `${directory}:${process.env['PATH']}`, STATE: stateDir, TERM: 'dumb' },
  });
  assert.equal(stderr, '');
  return stdout.toString();
}

test('bash completes commands, values, names of the mesh, and files', { skip: skipWithout('bash') }, async () => {
  const said = await ask(
    'bash',
    `source completion.bash
ask() { COMP_LINE="$1" COMP_POINT=\${#1} COMP_WORDS=($1); _heddle; echo "\${COMPREPLY[*]}"; }
ask 'heddle get ser'
ask 'heddle get services --output=j'
for turn in 1 2 3 4 5; do names="$(ask "heddle describe service --state-dir $STATE ")"; [[ -n $names ]] && break; done
echo "$names"
complete -p heddle
`,
  );
  assert.equal(said, 'services\njson\ncache echo web\ncomplete -F _heddle heddle\n');
});

test('fish completes commands, names of the mesh, and files', { skip: skipWithout('fish') }, async () => {
  const said = await ask(
    'fish',
    `source completion.fish
complete -C 'heddle get ser'
for turn in 1 2 3 4 5
  set names (complete -C "heddle describe service --state-dir $STATE e")
  test -n "$names"; and break
end
echo $names
complete -C 'heddle validate -f mesh'
`,
  );
  assert.equal(said, 'services\necho\thttp, 0 instances\nmesh-a.yaml\n');
});

test('zsh completes what is typed on a terminal', { skip: skipWithout('zsh') }, async () => {
  const said = await ask(
    'zsh',
    `zmodload zsh/zpty
zpty z zsh -f -i
until_seen() { local text; zpty -r z text "*$1*" && print -r -- "$text" }
zpty -w z "PS1='> '; autoload -Uz compinit; compinit -D -u; source completion.zsh; print RE''ADY"
until_seen READY >/dev/null
zpty -w -n z $'heddle get ser\\t'
until_seen 'get services '
zpty -d z
`,
  );
  assert.match(said, /heddle get services /);
});
