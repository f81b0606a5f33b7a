// A terminal's text, colours included, as an SVG picture: selectable, sharp at any size, a few kB.

/** ECMA-48 SGR foreground colours as they look on the picture's dark ground. */
const COLORS: Readonly<Record<number, string>> = {
  31: '#ff7b72',
  32: '#7ee787',
  33: '#e3b341',
  34: '#79c0ff',
  35: '#d2a8ff',
  36: '#76e3ea',
  92: '#aff5b4',
  94: '#a5d6ff',
  95: '#e2c5ff',
  96: '#b3f0ff',
};
const FONT_SIZE = 13;
const LINE_HEIGHT = 19;
/** Of the usual monospace fonts, in em; `textLength` makes up for the others. */
const ADVANCE = 0.602;
const PADDING = 18;
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
const ESCAPE = /\u001b\[([0-9;]*)([A-Za-z])/g;

interface Style {
  readonly color: string | undefined;
  readonly bold: boolean;
  readonly dim: boolean;
}

const NORMAL: Style = { color: undefined, bold: false, dim: false };

/** `text` may hold SGR sequences; others are left out. */
export function terminalSvg(text: string, title: string): string {
  const lines = text.replaceAll('\r', '').replace(/\n+$/, '').split('\n');
  const columns = Math.max(...lines.map((line) => line.replaceAll(ESCAPE, '').length));
  const width = Math.ceil(columns * FONT_SIZE * ADVANCE + 2 * PADDING);
  const height = lines.length * LINE_HEIGHT + 2 * PADDING;
  let style = NORMAL;
  const rows = lines.map((line, index) => {
    const row = renderLine(line, style, PADDING + index * LINE_HEIGHT + FONT_SIZE);
    style = row.style;
    return row.svg;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(title)}">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}" fill="#c9d1d9">
${rows.filter((row) => row !== '').join('\n')}
</g>
</svg>
`;
}

function renderLine(line: string, begin: Style, y: number): { svg: string; style: Style } {
  let style = begin;
  let column = 0;
  let svg = '';
  let at = 0;
  const emit = (text: string): void => {
    // Spaces at both ends are only a place to begin.
    if (text.trim() !== '') svg += span(text.trim(), style, column + text.length - text.trimStart().length, y);
    column += text.length;
  };
  for (const match of line.matchAll(ESCAPE)) {
    emit(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === 'm') style = (match[1] ?? '').split(';').reduce((now, code) => applyCode(now, Number(code)), style);
  }
  emit(line.slice(at));
  return { svg, style };
}

function span(text: string, { color, bold, dim }: Style, column: number, y: number): string {
  const advance = FONT_SIZE * ADVANCE;
  const attributes = [
    color === undefined ? '' : ` fill="${color}"`,
    bold ? ' font-weight="bold" fill="#f0f6fc"' : '',
    dim ? ' fill-opacity="0.65"' : '',
  ].join('');
  const x = (PADDING + column * advance).toFixed(1);
  return `<text x="${x}" y="${y}" textLength="${(text.length * advance).toFixed(1)}"${attributes}>${escapeXml(text.replaceAll(' ', '\u00a0'))}</text>`;
}

function applyCode(style: Style, code: number): Style {
  if (code === 0) return NORMAL;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, color: undefined };
  return COLORS[code] === undefined ? style : { ...style, color: COLORS[code] };
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
