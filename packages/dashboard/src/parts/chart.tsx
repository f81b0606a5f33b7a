// Lines over time, drawn by uPlot in the colours of the page. What is under the pointer is told beside the title; the newest values, in words,
// are there for who cannot see the lines.
import uPlot from 'uplot';
import { useEffect, useRef } from 'preact/hooks';
import { useComputed, useSignal } from '@preact/signals';
import { colours } from '../browser/theme.ts';

export interface Line {
  readonly title: string;
  /** A custom property of the style sheet. */
  readonly colour: string;
  readonly dash?: readonly number[];
  readonly points: readonly (number | null)[];
}

export interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Unix time of the first points, and from one to the next. */
  readonly startMs: number;
  readonly stepMs: number;
  readonly format: (value: number) => string;
}

const HEIGHT = 132;
const AXIS_WIDTH = 62;

export function Chart(props: ChartProps) {
  const { title, lines, format } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const pointed = useSignal<number | null>(null);
  const epoch = useComputed(() => colours.value);
  const shape = `${lines.map((line) => line.title).join()} ${epoch.value}`;
  useEffect(() => {
    const target = place.current;
    if (target === null) return undefined;
    plot.current = new uPlot(
      optionsOf(props, target, (index) => (pointed.value = index)),
      dataOf(props),
      target,
    );
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: target.clientWidth, height: HEIGHT }));
    resize.observe(target);
    return () => {
      resize.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(dataOf(props)), [props.lines, props.startMs, props.stepMs]);
  const at = pointed.value;
  const shown = lines.map(({ points, ...line }) => ({
    ...line,
    value: (at === null ? undefined : points[at]) ?? (at === null ? newest(points) : null),
  }));
  const words = shown.map((line) => `${line.title} ${line.value === null ? 'unknown' : format(line.value)}`).join(', ');
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {shown.map((line) => (
            <span key={line.title} class="legend-item">
              <svg viewBox="0 0 18 4" class="legend-line" aria-hidden="true">
                <line x1="0" y1="2" x2="18" y2="2" style={{ stroke: `var(${line.colour})` }} stroke-dasharray={line.dash?.join(' ')} />
              </svg>
              {lines.length > 1 && line.title} <b>{line.value === null ? '–' : format(line.value)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}: newest ${words}`} />
    </figure>
  );
}

function newest(points: Line['points']): number | null {
  return points.findLast((value) => value !== null) ?? null;
}

function dataOf({ lines, startMs, stepMs }: ChartProps): uPlot.AlignedData {
  const count = Math.max(0, ...lines.map(({ points }) => points.length));
  const times = Array.from({ length: count }, (_, index) => (startMs + index * stepMs) / 1_000);
  return [times, ...lines.map(({ points }) => [...points])];
}

function optionsOf({ lines, format }: ChartProps, target: HTMLElement, onPoint: (index: number | null) => void): uPlot.Options {
  const paint = (name: string): string => colourOf(target, name);
  const axis = {
    stroke: paint('--ink-soft'),
    grid: { stroke: paint('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  return {
    width: target.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, max) => [0, Number.isFinite(max) && max > 0 ? max * 1.15 : 1] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 24,
        gap: 4,
        space: 70,
        values: [
          [60, '{HH}:{mm}', null, null, null, null, null, null, 1],
          [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1],
        ],
      },
      { ...axis, size: AXIS_WIDTH, space: 30, values: (_, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.title,
        stroke: paint(line.colour),
        width: 1.75,
        spanGaps: false,
        points: { show: false },
        ...(line.dash !== undefined && { dash: [...line.dash] }),
      })),
    ],
    hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)] },
  };
}

/** A custom property as a colour that a canvas understands. */
function colourOf(within: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  within.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
