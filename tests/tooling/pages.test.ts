// The pages' own language is read as it is meant, and its mistakes are told of; what a page shows is compared as loosely as it should be, not more.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { differences } from '../../tools/docs/looks-like.ts';
import { type Page, readPage } from '../../tools/docs/pages.ts';
import { splitCommands } from '../../tools/docs/shell-lines.ts';

const page = (...lines: readonly string[]): Page => readPage('page.md', lines.join('\n'));
const problems = (...lines: readonly string[]): string[] => page(...lines).problems.map((text) => text.replace('page.md:', ''));

describe('a page', () => {
  it('whose commands nobody runs is told of, with the line', () => {
    assert.match(problems('# Page', '```sh', 'ls', '```')[0] ?? '', /^2: commands that are neither run .* nor excused/);
    assert.deepEqual(problems('<!-- run in empty -->', '```sh', 'ls', '```'), []);
    assert.deepEqual(problems('<!-- run not: needs root -->', '```sh', 'ls', '```'), []);
  });

  it('with a reason for one of two commands runs the other, and so needs a place', () => {
    const text = ['<!-- run not of "sudo": needs root -->', '```sh', 'ls', 'sudo ls', '```'];
    assert.equal(problems(...text).length, 1);
    const [step] = page('<!-- run in shop -->', ...text).steps;
    assert.ok(step?.kind === 'commands');
    assert.deepEqual(
      step.commands.map(({ excuse }) => excuse),
      [undefined, 'needs root'],
    );
  });

  it('is told what it says wrongly', () => {
    for (const [comment, expected] of [
      ['<!-- run not: -->', /says nothing about the fence/],
      ['<!-- run fast -->', /"run fast" says nothing about/],
      ['<!-- run exit 1 of "rm" -->', /no command of the fence holds "rm"/],
      ['<!-- run with "x" as "y" -->', /does not hold "x"/],
      ['<!-- run in nowhere -->', /no place nowhere/],
    ] as const)
      assert.match(problems('<!-- run in empty -->', comment, '```sh', 'ls', '```')[0] ?? '', expected);
    assert.match(problems('<!-- run exit 1 -->')[0] ?? '', /no fence below it/);
    assert.match(problems('```', '$ ls', '```')[0] ?? '', /mark it as sh or console/);
    assert.match(problems('<!-- run in empty -->', '```console', 'ls', '```')[0] ?? '', /they begin with "\$ "/);
  });

  it('is read as steps: files, commands with what they show, what goes on beside, hidden commands', () => {
    const { steps, problems: none } = page(
      ...['<!-- run in empty -->', '```yaml', '# a/heddle.yaml', 'mesh: x', '```'],
      ...['<!-- run', 'mkdir b', '-->', '<!-- run beside until "ready" -->', '```sh', 'serve PORT', '```'],
      ...['<!-- run with "A" as "B" -->', '<!-- run exit 3 -->', '```console', '$ one \\', '  A', 'shown', '$ two', '```'],
      ...['<!-- run shown -->', '```text', 'seen', '```', '<!-- run stop "serve" -->'],
    );
    assert.deepEqual(none, []);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ['file', 'commands', 'commands', 'commands', 'stop'],
    );
    const [file, hidden, beside, console] = steps;
    assert.ok(file?.kind === 'file' && file.path === 'a/heddle.yaml' && file.text === '# a/heddle.yaml\nmesh: x\n');
    assert.ok(hidden?.kind === 'commands' && hidden.commands[0]?.text === 'mkdir b');
    assert.ok(beside?.kind === 'commands' && beside.commands[0]?.mode === 'beside' && beside.commands[0].until === 'ready');
    assert.ok(console?.kind === 'commands');
    const [one, two] = console.commands;
    assert.deepEqual([one?.text, one?.shown, one?.exit, two?.text, two?.exit], ['one \\\n  B', ['shown'], 0, 'two', 3]);
    assert.deepEqual(console.shown, { lines: ['seen'], language: 'text' });
  });
});

describe('the commands of a script', () => {
  it('are one a line, but for what is open at the end of it', () => {
    const script = [
      ...['# a comment', 'one "two', 'three" # don\'t', '', 'for i in 1 2; do', '  ls', 'done', 'a \\', '  b'],
      ...["cat <<'EOF'", 'for "', 'EOF', "echo 'it # is' done"],
    ];
    assert.deepEqual(splitCommands(script, 10), [
      { line: 11, text: 'one "two\nthree" # don\'t' },
      { line: 14, text: 'for i in 1 2; do\n  ls\ndone' },
      { line: 17, text: 'a \\\n  b' },
      { line: 19, text: "cat <<'EOF'\nfor \"\nEOF" },
      { line: 22, text: "echo 'it # is' done" },
    ]);
  });
});

describe('what a command wrote', () => {
  const seen = 'NAME      HEALTH   REASON\norders-3  healthy  checks pass\n12 s  restarted orders\n{"mesh":"shop", "count": 3}\n';

  it('looks like what is shown when columns are the same and lines begin alike', () => {
    for (const shown of ['NAME  HEALTH  REASON', 'orders-1  healthy  checks fail', '3 min  restarted orders', '…', 'order… more'])
      assert.deepEqual(differences([shown], seen), [], shown);
    assert.deepEqual(differences(['{ "mesh": "x", "count": 1 }'], seen, 'json'), []);
  });

  it('is compared without the name of the process that wrote it', () => {
    assert.deepEqual(differences(['heddle | orders-1 was killed'], 'heddle      | orders-3 was killed by SIGKILL'), []);
    assert.equal(differences(['heddle | orders-1 has started'], 'heddle      | orders-3 was killed by SIGKILL').length, 1);
  });

  it('does not when a column, a line or a field is missing', () => {
    for (const shown of ['NAME  HEALTH', 'orders-1  unhealthy  checks pass', '3 min  stopped orders'])
      assert.deepEqual(differences([shown], seen), [shown]);
    assert.deepEqual(differences(['{ "name": 1 }'], seen, 'json'), ['no field "name"']);
  });
});
