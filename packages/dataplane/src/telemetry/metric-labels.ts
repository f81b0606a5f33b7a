// Labels of a series, from how they are written.

export type SeriesLabels = Readonly<Record<string, string>>;

/** @param text for example `a="b",c="d"`. */
export function readLabels(text: string): SeriesLabels {
  const labels: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g))
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  return labels;
}
