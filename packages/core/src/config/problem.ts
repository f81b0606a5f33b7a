// What is wrong with a mesh file, where, and how to mend it; and how that looks on a terminal.

export interface Problem {
  readonly severity: 'error' | 'warning';
  /** The file, as it was named to the parser. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** The place in the configuration, for example `services.orders.health.interval`; empty for the file as a whole. */
  readonly where: string;
  readonly reason: string;
  readonly mend: string;
}

/** Widest piece of a source line that is shown. */
const EXCERPT_MAX = 120;

/**
 * `heddle.yaml:12:7: error: services.orders.portt: unknown key …`, the line of the file with a caret, and the mend.
 * @param text the file's content; without it the line is not shown.
 */
export function formatProblem(problem: Problem, text?: string): string {
  const where = problem.where === '' ? '' : `${printable(problem.where)}: `;
  const head = `${printable(problem.path)}:${problem.line}:${problem.column}: ${problem.severity}: ${where}${printable(problem.reason)}`;
  const excerpt = text === undefined ? [] : sourceExcerpt(text, problem.line, problem.column);
  return [head, ...excerpt, `    mend: ${printable(problem.mend)}`].join('\n');
}

/** All problems, one below the other; of very many only the first are shown and the rest counted. */
export function formatProblems(problems: readonly Problem[], text?: string, shownMax = 50): string {
  const shown = problems.slice(0, shownMax).map((problem) => formatProblem(problem, text));
  if (problems.length > shownMax) shown.push(`… and ${problems.length - shownMax} more problems`);
  return shown.join('\n');
}

function sourceExcerpt(text: string, line: number, column: number): string[] {
  const written = lineOf(text, line);
  if (written === undefined || written.trim() === '') return [];
  const source = withoutSecrets(written);
  const from = column > EXCERPT_MAX - 20 ? column - 1 - EXCERPT_MAX / 2 : 0;
  const piece = source.slice(from, from + EXCERPT_MAX);
  const [before, after] = [from > 0 ? '…' : '', from + EXCERPT_MAX < source.length ? '…' : ''];
  // One sign per UTF-16 unit in front of the caret; tabs become one blank, so that the caret stands under its place.
  return [`    ${before}${printable(piece)}${after}`, `    ${' '.repeat(before.length + Math.max(0, column - 1 - from))}^`];
}

/**
 * What is shown may be kept in logs: what stands behind a key that says it is a secret, and before the `@` of a URL, is covered, letter by
 * letter, so that the caret stands under its place.
 */
function withoutSecrets(line: string): string {
  const cover = (_: string, before: string, secret: string): string => before + '*'.repeat(secret.length);
  return line
    .replace(/((?:secret|password|passphrase|authorization|token|api-?key)["']?[ \t]*:[ \t]+)("[^"]*"?|'[^']*'?|[^\s,}\]{]+)/gi, cover)
    .replace(/(:\/\/)([^\s/@"',]+)(?=@)/g, cover);
}

function lineOf(text: string, line: number): string | undefined {
  let start = 0;
  for (let number = 1; number < line; number++) {
    const end = text.indexOf('\n', start);
    if (end === -1) return undefined;
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  return text.slice(start, end === -1 ? undefined : end).replace(/\r$/, '');
}

/** A file is foreign text: control characters in it must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\t/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\u00b7');
}
