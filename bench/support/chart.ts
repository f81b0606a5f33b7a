// A result as an SVG: a panel for each measure, a bar for each contestant (median) with a line from the least to the most. Readable on
// light and dark ground: colours follow the reader's preference. No input or output.
import type { Measure, Standing } from './result.ts';
import { spread, spreadText } from './figures.ts';

const WIDTH = 760;
const MARGIN = 16;
const NAME_WIDTH = 142;
const VALUE_WIDTH = 190;
const BAR_WIDTH_MAX = WIDTH - 2 * MARGIN - NAME_WIDTH - VALUE_WIDTH;
const BAR_HEIGHT = 14;
const LINE_HEIGHT = 22;
const TITLE_HEIGHT = 44;
const PANEL_TITLE_HEIGHT = 26;
const PANEL_GAP = 12;
/** The contestant that a chart is about where nothing else is said. */
const OURS = 'heddle';

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #3d444d; }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328; }
  .measure { font-weight: 600; }
  .value { font-variant-numeric: tabular-nums; }
  .absent { font-style: italic; fill: #6e7781; }
  .bar { fill: #aeb8c4; }
  .ours { fill: #2f81c9; }
  .name-ours { font-weight: 600; fill: #1f2328; }
  .range { stroke: #3d444d; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #c5ccd4; }
    .title, .name-ours { fill: #f0f3f6; }
    .absent { fill: #9198a1; }
    .bar { fill: #59636e; }
    .ours { fill: #4493f8; }
    .range { stroke: #d1d7e0; }
  }
`;

export interface ChartInput {
  readonly title: string;
  readonly measures: readonly Measure[];
  readonly standings: readonly Standing[];
  /** The name that stands out; default heddle. */
  readonly about?: string;
}

export function chart({ title, measures, standings, about = OURS }: ChartInput): string {
  const panelHeight = PANEL_TITLE_HEIGHT + standings.length * LINE_HEIGHT + PANEL_GAP;
  const height = TITLE_HEIGHT + measures.length * panelHeight;
  const panels = measures.map((measure, index) => panel(measure, standings, about, TITLE_HEIGHT + index * panelHeight));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escape(title)}</title>
<style>${STYLE}</style>
<text class="title" x="${MARGIN}" y="26">${escape(title)}</text>
${panels.join('\n')}
</svg>
`;
}

function panel(measure: Measure, standings: readonly Standing[], about: string, top: number): string {
  const most = Math.max(...standings.flatMap(({ rounds }) => rounds.map((round) => round[measure.key] ?? 0)));
  const scale = most > 0 ? BAR_WIDTH_MAX / most : 0;
  const lines = standings.map((standing, index) =>
    line(measure, standing, standing.name === about, scale, top + PANEL_TITLE_HEIGHT + index * LINE_HEIGHT),
  );
  return `<text class="measure" x="${MARGIN}" y="${top + 14}">${escape(measure.label)}</text>\n${lines.join('\n')}`;
}

function line({ key, digits }: Measure, { name, rounds, absent }: Standing, isOurs: boolean, scale: number, top: number): string {
  const start = MARGIN + NAME_WIDTH;
  const baseline = top + 11;
  const label = `<text class="${isOurs ? 'name-ours' : 'name'}" x="${MARGIN}" y="${baseline}">${escape(name)}</text>`;
  const values = rounds.map((round) => round[key]).filter((value) => value !== undefined && Number.isFinite(value)) as number[];
  if (values.length === 0) {
    const reason = absent === undefined ? 'n/a' : `n/a: ${absent}`;
    return `${label}<text class="absent" x="${start}" y="${baseline}">${escape(shortened(reason))}</text>`;
  }
  const { median, min, max } = spread(values);
  const at = (value: number) => (start + Math.max(0, value) * scale).toFixed(1);
  const middle = top + BAR_HEIGHT / 2;
  const range = min === max ? '' : `<line class="range" x1="${at(min)}" x2="${at(max)}" y1="${middle}" y2="${middle}"/>`;
  return [
    label,
    `<rect class="${isOurs ? 'ours' : 'bar'}" x="${start}" y="${top}" width="${(Math.max(0, median) * scale).toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
    range,
    `<text class="value" x="${(start + Math.max(0, max) * scale + 8).toFixed(1)}" y="${baseline}">${spreadText({ median, min, max }, digits)}</text>`,
  ].join('');
}

function shortened(text: string): string {
  return text.length > 90 ? `${text.slice(0, 89)}…` : text;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
