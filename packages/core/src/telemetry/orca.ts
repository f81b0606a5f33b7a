// What a server says about its load with a response: ORCA's report in the header or trailer `endpoint-load-metrics` (as `TEXT` or `JSON`) or
// `endpoint-load-metrics-bin` (OrcaLoadReport as protobuf, in base64). Sources: xds/data/orca/v3/orca_load_report.proto, gRFC A51, Envoy's
// `orca_parser`. What cannot be read is no report: it comes from an application, and no request fails for it.

export const ORCA_HEADER = 'endpoint-load-metrics';
export const ORCA_BINARY_HEADER = 'endpoint-load-metrics-bin';

/** Longer ones are not looked at. */
const REPORT_CHARS_MAX = 4_096;

/** What Heddle looks at; everything else in a report is for others. */
export interface OrcaReport {
  /** The application's own measure of how busy it is, else the processor's; 1 is all there is, more is possible. Undefined: not said. */
  readonly utilization: number | undefined;
  /** Named metric `requests_in_flight`. */
  readonly requestsInFlight: number | undefined;
  /** Named metric `event_loop_delay_ms`: how late the event loop of the application is. */
  readonly eventLoopDelayMs: number | undefined;
}

const KEYS = new Map<string, keyof OrcaReport>([
  ['application_utilization', 'utilization'],
  ['cpu_utilization', 'utilization'],
  ['named_metrics.requests_in_flight', 'requestsInFlight'],
  ['named_metrics.event_loop_delay_ms', 'eventLoopDelayMs'],
]);

class Report implements OrcaReport {
  utilization: number | undefined;
  requestsInFlight: number | undefined;
  eventLoopDelayMs: number | undefined;
  private saysOwn = false;

  /** @param key as in the text form. Numbers that mean nothing are passed over. */
  set(key: string, value: number): void {
    const field = KEYS.get(key);
    if (field === undefined || !Number.isFinite(value) || value < 0) return;
    // The processor is not all that can be busy.
    if (key === 'application_utilization') this.saysOwn = true;
    else if (field === 'utilization' && this.saysOwn) return;
    this[field] = value;
  }
}

/** The value of `endpoint-load-metrics`. Undefined: it cannot be read. */
export function readOrca(value: string): OrcaReport | undefined {
  if (value.length > REPORT_CHARS_MAX) return undefined;
  const blank = value.indexOf(' ');
  const form = value.slice(0, blank).toUpperCase();
  if (form === 'TEXT') return readText(value.slice(blank + 1));
  return form === 'JSON' ? readJson(value.slice(blank + 1)) : undefined;
}

function readText(text: string): OrcaReport | undefined {
  const report = new Report();
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=');
    const digits = pair.slice(equals + 1).trim();
    if (equals === -1 || digits === '' || Number.isNaN(Number(digits))) return undefined;
    report.set(pair.slice(0, equals).trim(), Number(digits));
  }
  return report;
}

function readJson(text: string): OrcaReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const report = new Report();
  // protobuf's JSON has camelCase as well as the names of the fields.
  const named = value['named_metrics'] ?? value['namedMetrics'];
  report.set('cpu_utilization', Number(value['cpu_utilization'] ?? value['cpuUtilization'] ?? Number.NaN));
  report.set('application_utilization', Number(value['application_utilization'] ?? value['applicationUtilization'] ?? Number.NaN));
  if (isRecord(named)) for (const [name, metric] of Object.entries(named)) report.set(`named_metrics.${name}`, Number(metric));
  return report;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Field numbers of OrcaLoadReport. */
const CPU_UTILIZATION = 1;
const NAMED_METRICS = 8;
const APPLICATION_UTILIZATION = 9;
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The value of `endpoint-load-metrics-bin`. Undefined: it cannot be read. */
export function readOrcaBinary(base64: string): OrcaReport | undefined {
  if (base64.length > REPORT_CHARS_MAX) return undefined;
  const report = new Report();
  const isWhole = readMessage(Buffer.from(base64, 'base64'), (field, number, bytes) => {
    if (field === CPU_UTILIZATION && number !== undefined) report.set('cpu_utilization', number);
    else if (field === APPLICATION_UTILIZATION && number !== undefined) report.set('application_utilization', number);
    else if (field === NAMED_METRICS && bytes !== undefined) readNamed(bytes, report);
  });
  return isWhole ? report : undefined;
}

/** An entry of map<string, double>. */
function readNamed(entry: Buffer, report: Report): void {
  let name = '';
  let value = 0;
  readMessage(entry, (field, number, bytes) => {
    if (field === 1 && bytes !== undefined) name = bytes.toString('utf8');
    else if (field === 2 && number !== undefined) value = number;
  });
  report.set(`named_metrics.${name}`, value);
}

/** Gives each field of a protobuf message: doubles as numbers, strings and messages as bytes, others as nothing. False: it is no message. */
function readMessage(message: Buffer, take: (field: number, number: number | undefined, bytes: Buffer | undefined) => void): boolean {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < message.length; scale *= 128) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return Number.POSITIVE_INFINITY;
  };
  while (at < message.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case WIRE.varint:
        if (varint() === Number.POSITIVE_INFINITY) return false;
        break;
      case WIRE.fixed64:
        if (at + 8 > message.length) return false;
        take(field, message.readDoubleLE(at), undefined);
        at += 8;
        break;
      case WIRE.bytes: {
        const length = varint();
        if (at + length > message.length) return false;
        take(field, undefined, message.subarray(at, at + length));
        at += length;
        break;
      }
      case WIRE.fixed32:
        at += 4;
        if (at > message.length) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}
