// Numbers as people read them: with their unit, and no more digits than mean something.

/** Three digits: `0.12`, `4.5`, `123`, `12.3 k`. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 999_500_000) return `${digits(value / 1e9)} G`;
  if (size >= 999_500) return `${digits(value / 1e6)} M`;
  if (size >= 9_995) return `${digits(value / 1e3)} k`;
  return digits(value);
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return String(Math.round(value));
  return String(Number(value.toFixed(size >= 9.995 ? 1 : 2)));
}

/** Of requests: `12.3/s`. */
export function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 0.005 ? '<0.01/s' : `${short(perSecond)}/s`;
}

/** `840 µs`, `14.2 ms`, `1.5 s`; `–` where nothing was measured. */
export function latency(ms: number | null): string {
  if (ms === null) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 0.9995) return `${digits(ms * 1_000)} µs`;
  return ms < 999.5 ? `${digits(ms)} ms` : `${digits(ms / 1_000)} s`;
}

/** `3.4 kB`. */
export function bytes(count: number): string {
  if (count < 999.5) return `${Math.round(count)} B`;
  if (count < 999_500) return `${digits(count / 1e3)} kB`;
  return count < 999_500_000 ? `${digits(count / 1e6)} MB` : `${digits(count / 1e9)} GB`;
}

/** Share of `part` in `whole`: `0 %`, `<0.1 %`, `2.5 %`. */
export function percent(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0 %';
  const share = (part / whole) * 100;
  if (share < 0.1) return '<0.1 %';
  return `${Number(share.toFixed(share >= 9.95 ? 0 : 1))} %`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** A span by its two largest units: `2 h 5 min`, `45 s`. */
export function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1_000) * 1_000);
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? '0 s' : parts.join(' ');
}

/** `just now`, `3 min ago`, `in 2 h`. */
export function ago(ms: number, nowMs: number): string {
  const gone = nowMs - ms;
  if (Math.abs(gone) < 2_000) return 'just now';
  const text = span(Math.abs(gone)).split(' ').slice(0, 2).join(' ');
  return gone > 0 ? `${text} ago` : `in ${text}`;
}

/** `default/orders` as `orders`: the namespace is told only where it is another one. Who is no service has a name for people. */
export function shortName(name: string): string {
  if (name === 'heddle-system/operator') return 'operator';
  if (name === 'outside') return 'outside the mesh';
  return name.replace(/^(default|heddle-egress)\//, '');
}

/** A value of a policy, for people: `intervalMs: 2000` as `interval 2 s`. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (Array.isArray(value)) return value.length === 0 ? '–' : value.map(plain).join(', ');
  if (typeof value === 'object') return Object.entries(value).map(plainField).join(', ');
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value as string | number);
}

function plainField([name, value]: readonly [string, unknown]): string {
  if (name === 'kind') return plain(value);
  const isTime = name.endsWith('Ms') && typeof value === 'number';
  const words = (isTime ? name.slice(0, -2) : name).replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  if (isTime) return `${words} ${value >= 60_000 ? span(value) : latency(value)}`;
  return `${words} ${typeof value === 'object' && value !== null ? `(${plain(value)})` : plain(value)}`;
}
