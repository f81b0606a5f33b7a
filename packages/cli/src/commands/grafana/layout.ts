// Grafana's JSON for panels, of what a panel is about: a title, a unit, queries. Places follow from the order: rows of 24 columns.

export interface Query {
  readonly expr: string;
  /** Name of each line, with `{{label}}`. */
  readonly legend?: string;
}

export interface Panel {
  readonly title: string;
  readonly type: 'timeseries' | 'stat' | 'table';
  /** Grafana's name of it: `reqps`, `s`, `percentunit`, `Bps`. */
  readonly unit: string;
  readonly description: string;
  readonly queries: readonly Query[];
  /** Of 24. */
  readonly width: number;
  readonly height?: number;
  /** Values from which a stat is yellow, and red. Below: green. */
  readonly thresholds?: readonly [number, number];
  /** Small values are the bad ones. */
  readonly isReversed?: true;
}

export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const COLUMNS = 24;
const HEIGHT = 8;
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const;

/** Panels with their places, a heading before those of each section. */
export function layOut(sections: readonly Section[]): object[] {
  const all: object[] = [];
  let y = 0;
  for (const { title, panels } of sections) {
    all.push({ id: all.length + 1, type: 'row', title, collapsed: false, panels: [], gridPos: { h: 1, w: COLUMNS, x: 0, y } });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const panel of panels) {
      const { width, height = HEIGHT } = panel;
      if (x + width > COLUMNS) {
        y += tallest;
        x = 0;
        tallest = 0;
      }
      all.push({ id: all.length + 1, ...panelJson(panel), gridPos: { h: height, w: width, x, y } });
      x += width;
      tallest = Math.max(tallest, height);
    }
    y += tallest;
  }
  return all;
}

function panelJson({ title, type, unit, description, queries, thresholds, isReversed }: Panel): object {
  const isTable = type === 'table';
  return {
    type,
    title,
    description,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCodePoint('A'.codePointAt(0)! + at),
      datasource: DATASOURCE,
      expr,
      ...(legend !== undefined && { legendFormat: legend }),
      ...(type === 'timeseries' ? { exemplar: expr.includes('_bucket') } : { instant: true }),
      ...(isTable && { format: 'table' }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(thresholds && { thresholds: { mode: 'absolute', steps: steps(thresholds, isReversed === true) } }),
        ...(type === 'timeseries' && { custom: { fillOpacity: 8, lineWidth: 1, showPoints: 'never' }, min: 0 }),
      },
      overrides: [],
    },
    options: optionsOf(type),
    ...(isTable && { transformations: [{ id: 'merge', options: {} }] }),
  };
}

function steps([first, second]: readonly [number, number], isReversed: boolean): object[] {
  const colors = isReversed ? ['red', 'yellow', 'green'] : ['green', 'yellow', 'red'];
  return [
    { color: colors[0], value: null },
    { color: colors[1], value: first },
    { color: colors[2], value: second },
  ];
}

function optionsOf(type: Panel['type']): object {
  switch (type) {
    case 'stat':
      return { colorMode: 'value', graphMode: 'none', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } };
    case 'timeseries':
      return { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } };
    default:
      return { showHeader: true };
  }
}
