// The door to heddle.telemetry.v1: what data planes tell while they run, and what they are asked. What comes from a data plane is checked here,
// and comes out as plain counts.
import {
  type AccessDecision,
  CONTROL_LIMITS,
  DURATION_BUCKETS,
  type InstanceCounts,
  LOAD_COUNT_MAX,
  type PairInProgress,
  type ProcessFacts,
  type SparseDurations,
  TAP_LIMITS,
  type TapFilter,
  type TapOrder,
  type TapRecord,
  type TapSide,
  type TapTold,
  type TrafficCounts,
  type TrafficReport,
} from '@heddle/core';
import * as pb from '../gen/own/heddle/telemetry/v1/telemetry.ts';
import { InvalidMessageError } from './invalid.ts';
import { type BidiMethod, bidiMethod } from './method.ts';

export type {
  AttachRequest,
  AttachResponse,
  ExplainAnswer,
  ExplainQuestion,
  Hello,
  TapEnded,
  TapFilter as TapFilterMessage,
  TapRecord as TapRecordMessage,
  TapRecords,
  TapStart,
} from '../gen/own/heddle/telemetry/v1/telemetry.ts';

/** A message that could not be read says why. */
export type ReadRequest = pb.AttachRequest & { readonly unreadable?: string };

/** An explanation has some 100 kB for each large cluster. */
const REQUEST_BYTES_MAX = CONTROL_LIMITS.reportBytesMax.value;

function readable(bytes: Uint8Array): ReadRequest {
  if (bytes.length > REQUEST_BYTES_MAX)
    return { message: undefined, unreadable: `it has ${bytes.length} bytes; at most ${REQUEST_BYTES_MAX} are read` };
  try {
    return pb.AttachRequest.decode(bytes);
  } catch (error) {
    return { message: undefined, unreadable: error instanceof Error ? error.message : String(error) };
  }
}

const ATTACH: BidiMethod<ReadRequest, pb.AttachResponse> = bidiMethod(
  `/${pb.TelemetryDefinition.fullName}/${pb.TelemetryDefinition.methods.attach.name}`,
  { encode: (request: ReadRequest) => pb.AttachRequest.encode(request), decode: readable },
  pb.AttachResponse,
);

/** For `Server.addService`, and for calls. */
export const TelemetryService = { attach: ATTACH } as const;

/** What a message says, by its kind. */
export type FromDataPlane = NonNullable<pb.AttachRequest['message']>;
export type ToDataPlane = NonNullable<pb.AttachResponse['message']>;

/** More than any data plane has of sources times destinations times routes that are really used. */
export const TRAFFIC_PER_REPORT_MAX = CONTROL_LIMITS.trafficPerReportMax.value;
const CLASSES_MAX = 16;
const ERRORS_MAX = 64;
/** `<namespace>/<service>` of two names, or a host name. */
const NAME_LENGTH_MAX = 253;
const INTERVAL_MS_MAX = 3_600_000;
const DECISIONS_PER_MESSAGE_MAX = 500;
const TEXT_LENGTH_MAX = 1_024;
/** ECMA-262 §21.4.1.1: what is later is no time, and cannot be shown as one. */
const TIME_MS_MAX = 8.64e15;
const HASH = /^[0-9a-f]{16}$/;
const CODE = /^[A-Za-z0-9_]{1,40}$/;

/** Throws InvalidMessageError. */
export function readHello({ node, version, stateHash }: pb.Hello): { node: string; version: string; stateHash: string | undefined } {
  if (node === '' || node.length > NAME_LENGTH_MAX)
    throw new InvalidMessageError('hello.node', `must have 1 to ${NAME_LENGTH_MAX} characters`);
  return { node, version: version.slice(0, 64), stateHash: readHash(stateHash) };
}

/** Throws InvalidMessageError. */
export function readReport(report: pb.Report): TrafficReport & { readonly stateHash: string | undefined } {
  const { intervalMs, stateHash, traffic, instances, inProgress, process } = report;
  if (intervalMs < 1 || intervalMs > INTERVAL_MS_MAX)
    throw new InvalidMessageError('report.interval_ms', `${intervalMs} is not within 1 and ${INTERVAL_MS_MAX}`);
  const parts = traffic.length + instances.length + inProgress.length;
  if (parts > TRAFFIC_PER_REPORT_MAX)
    throw new InvalidMessageError('report', `it has ${parts} parts; at most ${TRAFFIC_PER_REPORT_MAX} may be in one report`);
  return {
    intervalMs,
    stateHash: readHash(stateHash),
    traffic: traffic.map((each, index) => readTraffic(each, `report.traffic[${index}]`)),
    instances: instances.map((each, index) => readInstance(each, `report.instances[${index}]`)),
    inProgress: inProgress.map((each, index) => readInProgress(each, `report.in_progress[${index}]`)),
    process: readProcess(process),
  };
}

function readTraffic(traffic: pb.Traffic, path: string): TrafficCounts {
  return {
    side: tapSideOf(traffic.side),
    source: name(traffic.source, `${path}.source`),
    destination: name(traffic.destination, `${path}.destination`),
    route: name(traffic.route === '' ? 'default' : traffic.route, `${path}.route`),
    protocol: name(traffic.protocol === '' ? 'http1' : traffic.protocol, `${path}.protocol`),
    requests: count(traffic.requests, `${path}.requests`),
    classes: readCounts(traffic.classes, CLASSES_MAX, `${path}.classes`),
    errors: readCounts(traffic.errors, ERRORS_MAX, `${path}.errors`),
    durations: readDurations(traffic.durations, `${path}.durations`),
    requestBytes: bytes(traffic.requestBytes, `${path}.request_bytes`),
    responseBytes: bytes(traffic.responseBytes, `${path}.response_bytes`),
    retries: count(traffic.retries, `${path}.retries`),
  };
}

function readInstance(traffic: pb.InstanceTraffic, path: string): InstanceCounts {
  return {
    destination: name(traffic.destination, `${path}.destination`),
    instance: name(traffic.instance, `${path}.instance`),
    requests: count(traffic.requests, `${path}.requests`),
    failures: count(traffic.failures, `${path}.failures`),
    durations: readDurations(traffic.durations, `${path}.durations`),
  };
}

function readInProgress({ source, destination, requests }: pb.InProgress, path: string): PairInProgress {
  return {
    source: name(source, `${path}.source`),
    destination: name(destination, `${path}.destination`),
    requests: count(requests, `${path}.requests`),
  };
}

function readDurations(durations: pb.Durations | undefined, path: string): SparseDurations {
  const { indexes = [], counts = [] } = durations ?? {};
  if (indexes.length !== counts.length || indexes.length > DURATION_BUCKETS)
    throw new InvalidMessageError(
      path,
      `has ${indexes.length} indexes and ${counts.length} counts; at most ${DURATION_BUCKETS}, and as many of both`,
    );
  for (const [at, index] of indexes.entries())
    if (index >= DURATION_BUCKETS || (at > 0 && index <= indexes[at - 1]!))
      throw new InvalidMessageError(
        `${path}.indexes[${at}]`,
        `${index} must be greater than the one before and less than ${DURATION_BUCKETS}`,
      );
  return { indexes, counts: counts.map((each, at) => count(each, `${path}.counts[${at}]`)) };
}

function readCounts(counts: Readonly<Record<string, number>>, max: number, path: string): Record<string, number> {
  const entries = Object.entries(counts);
  if (entries.length > max) throw new InvalidMessageError(path, `${entries.length} of them; at most ${max}`);
  const wrong = entries.find(([code]) => !CODE.test(code));
  if (wrong !== undefined) throw new InvalidMessageError(path, `${JSON.stringify(wrong[0].slice(0, 80))} is no code`);
  return Object.fromEntries(entries.map(([code, value]) => [code, count(value, `${path}[${code}]`)]));
}

function readProcess(process: pb.Process | undefined): ProcessFacts {
  const known = Object.entries(process ?? {}).filter(([, value]) => typeof value === 'number' && Number.isFinite(value));
  return Object.fromEntries(known) as ProcessFacts;
}

/** Newest last. Throws InvalidMessageError. */
export function readDecisions({ decisions, lost }: pb.Decisions): { readonly decisions: readonly AccessDecision[]; readonly lost: number } {
  if (decisions.length > DECISIONS_PER_MESSAGE_MAX)
    throw new InvalidMessageError('decisions', `${decisions.length} of them; at most ${DECISIONS_PER_MESSAGE_MAX} in one message`);
  return { decisions: decisions.map((each, index) => readDecision(each, `decisions[${index}]`)), lost: count(lost, 'lost') };
}

const OUTCOMES: readonly string[] = ['denied', 'would-deny', 'would-allow', 'unavailable'] satisfies AccessDecision['outcome'][];

function readDecision({ side, service, ...rest }: pb.Decision, path: string): AccessDecision {
  if (!OUTCOMES.includes(rest.outcome))
    throw new InvalidMessageError(`${path}.outcome`, `${JSON.stringify(rest.outcome.slice(0, 40))} is none`);
  const long = (['source', 'method', 'path', 'rule', 'by', 'reason'] as const).find((field) => rest[field].length > TEXT_LENGTH_MAX);
  if (long !== undefined) throw new InvalidMessageError(`${path}.${long}`, `has more than ${TEXT_LENGTH_MAX} characters`);
  checkTime(rest.timeMs, `${path}.time_ms`);
  return {
    ...rest,
    outcome: rest.outcome as AccessDecision['outcome'],
    service: name(service, `${path}.service`),
    side: tapSideOf(side),
  };
}

/** Of an answer to a question; `problem`: why there is none. */
export type ExplainOutcome = { readonly explanation: string } | { readonly problem: string; readonly isQuestionAtFault: boolean };

export function readExplainAnswer({ explanationJson, problem, isQuestionAtFault }: pb.ExplainAnswer): ExplainOutcome {
  if (explanationJson.length > 0) return { explanation: Buffer.from(explanationJson).toString('utf8') };
  return { problem: problem.slice(0, TEXT_LENGTH_MAX), isQuestionAtFault };
}

function name(text: string, path: string): string {
  if (text === '' || text.length > NAME_LENGTH_MAX) throw new InvalidMessageError(path, `must have 1 to ${NAME_LENGTH_MAX} characters`);
  return text;
}

function count(value: number, path: string): number {
  if (value <= LOAD_COUNT_MAX) return value;
  throw new InvalidMessageError(path, `${value} cannot be; at most ${LOAD_COUNT_MAX} is believed in one report`);
}

function bytes(value: number, path: string): number {
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidMessageError(path, `${value} bytes cannot be`);
}

function checkTime(unixMs: number, path: string): void {
  if (unixMs > TIME_MS_MAX) throw new InvalidMessageError(path, `${unixMs} is no time`);
}

function readHash(hash: string): string | undefined {
  return HASH.test(hash) ? hash : undefined;
}

/** For the data plane's side of the stream. */
export function reportMessage(report: TrafficReport, stateHash: string): FromDataPlane {
  const { intervalMs, traffic, instances, inProgress, process } = report;
  return {
    $case: 'report',
    value: {
      intervalMs: Math.min(Math.max(1, Math.round(intervalMs)), INTERVAL_MS_MAX),
      stateHash,
      traffic: traffic.slice(0, TRAFFIC_PER_REPORT_MAX).map(trafficToMessage),
      instances: instances
        .slice(0, Math.max(0, TRAFFIC_PER_REPORT_MAX - traffic.length))
        .map(({ durations, ...each }) => ({ ...each, durations: durationsToMessage(durations) })),
      inProgress: inProgress.slice(0, Math.max(0, TRAFFIC_PER_REPORT_MAX - traffic.length - instances.length)).map((each) => ({ ...each })),
      process: { ...process },
    },
  };
}

function trafficToMessage({ side, durations, classes, errors, ...rest }: TrafficCounts): pb.Traffic {
  return {
    ...rest,
    side: sideToMessage(side),
    classes: { ...classes },
    errors: { ...errors },
    durations: durationsToMessage(durations),
  };
}

function durationsToMessage({ indexes, counts }: SparseDurations): pb.Durations | undefined {
  return indexes.length === 0 ? undefined : { indexes: [...indexes], counts: [...counts] };
}

function sideToMessage(side: 'inbound' | 'outbound'): pb.Side {
  return side === 'inbound' ? pb.Side.SIDE_INBOUND : pb.Side.SIDE_OUTBOUND;
}

export function decisionsMessage(decisions: readonly AccessDecision[], lost: number): FromDataPlane {
  const told = decisions.slice(-DECISIONS_PER_MESSAGE_MAX);
  return {
    $case: 'decisions',
    value: {
      decisions: told.map(decisionMessage),
      lost: lost + decisions.length - told.length,
    },
  };
}

export function decisionMessage({ side, ...rest }: AccessDecision): pb.Decision {
  return { ...rest, side: sideToMessage(side) };
}

/** @param json text of the explanation. */
export function explainAnswerMessage(id: string, outcome: ExplainOutcome): FromDataPlane {
  const answer =
    'explanation' in outcome
      ? { explanationJson: Buffer.from(outcome.explanation), problem: '', isQuestionAtFault: false }
      : { explanationJson: new Uint8Array(0), ...outcome };
  return { $case: 'explainAnswer', value: { id, ...answer } };
}

/** Whatever is asked, a data plane keeps to its limits. */
export function readTapStart({ id, filter, perSecond, forMs, headers, callers }: pb.TapStart): TapOrder {
  return {
    id,
    filter: readTapFilter(filter),
    perSecond: Math.min(Math.max(1, perSecond), TAP_LIMITS.perSecond),
    forMs: Math.min(forMs, TAP_LIMITS.forMs),
    headers: headers.slice(0, TAP_LIMITS.headers),
    callers: callers.slice(0, TAP_LIMITS.callers),
  };
}

/** What is empty, or 0, is not asked for. */
export function readTapFilter(filter: pb.TapFilter | undefined): TapFilter {
  return Object.fromEntries(Object.entries(filter ?? {}).filter(([, value]) => value !== '' && value !== 0));
}

export function tapStartMessage({ filter, headers, callers, ...rest }: TapOrder): ToDataPlane {
  return { $case: 'tapStart', value: { ...rest, filter: tapFilterMessage(filter), headers: [...headers], callers: [...callers] } };
}

export function tapFilterMessage(filter: TapFilter): pb.TapFilter {
  const { service = '', source = '', destination = '', instance = '', route = '', method = '' } = filter;
  const { path = '', status = '', error = '', slowerThanMs = 0, traceId = '' } = filter;
  return { ...{ service, source, destination, instance, route, method }, ...{ path, status, error, slowerThanMs, traceId } };
}

export function tapToldMessage(told: TapTold): FromDataPlane {
  if (told.kind === 'ended') return { $case: 'tapEnded', value: { id: told.id, reason: told.reason } };
  return { $case: 'tapRecords', value: { id: told.id, records: told.records.map(tapRecordMessage), lost: told.lost } };
}

export function tapRecordMessage({ side, headers, ...rest }: TapRecord): pb.TapRecord {
  return { ...rest, side: sideToMessage(side), headers: headers.map((header) => ({ ...header })) };
}

export function tapSideOf(side: pb.Side): TapSide {
  return side === pb.Side.SIDE_INBOUND ? 'inbound' : 'outbound';
}

/** Throws InvalidMessageError. */
export function readTapRecords({ records, lost }: pb.TapRecords): { readonly records: readonly TapRecord[]; readonly lost: number } {
  if (records.length > TAP_LIMITS.waiting)
    throw new InvalidMessageError('tap_records.records', `${records.length} of them; at most ${TAP_LIMITS.waiting} in one message`);
  return { records: records.map((record, index) => readTapRecord(record, `records[${index}]`)), lost: count(lost, 'lost') };
}

const RECORD_TEXTS = ['instance', 'route', 'protocol', 'method', 'path', 'error', 'traceId'] as const;

function readTapRecord({ side, headers, ...rest }: pb.TapRecord, path: string): TapRecord {
  const long = RECORD_TEXTS.find((field) => rest[field].length > TEXT_LENGTH_MAX);
  if (long !== undefined) throw new InvalidMessageError(`${path}.${long}`, `has more than ${TEXT_LENGTH_MAX} characters`);
  if (headers.length > TAP_LIMITS.headers || headers.some((header) => header.name.length + header.value.length > TEXT_LENGTH_MAX))
    throw new InvalidMessageError(`${path}.headers`, `at most ${TAP_LIMITS.headers}, of ${TEXT_LENGTH_MAX} characters each`);
  checkTime(rest.timeMs, `${path}.time_ms`);
  if (!Number.isFinite(rest.durationMs)) throw new InvalidMessageError(`${path}.duration_ms`, `${rest.durationMs} is no duration`);
  return {
    ...rest,
    side: tapSideOf(side),
    source: name(rest.source, `${path}.source`),
    destination: name(rest.destination, `${path}.destination`),
    headers,
  };
}
