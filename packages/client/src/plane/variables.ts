// Variables of the environment that are more than text, read the same by whoever is told of the mesh by them. A value that cannot be used is an error,
// and never passed over: an instance that nobody calls, for want of a port, would be found late.
import { MeshError } from '../errors.ts';
import { type Environment, given } from './environment.ts';
import { type ClientLogLevel, isLogLevel, LOG_LEVELS } from './logger.ts';

const READY_TIMEOUT_MS = 10_000;
const PORT_MAX = 65_535;

/**
 * A whole number from `min` to `max`, both included; undefined where the environment does not say.
 * @throws MeshError `BAD_OPTIONS`
 */
export function numberOf(environment: Environment, variable: string, min = 0, max = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = given(environment[variable]);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new MeshError('BAD_OPTIONS', `${variable} is ${JSON.stringify(text)}; it is a whole number ${range}`);
}

/** 0, for one that the system chooses, is allowed with `min` 0. @throws MeshError `BAD_OPTIONS` */
export function portOf(environment: Environment, variable: string, min = 1): number | undefined {
  return numberOf(environment, variable, min, PORT_MAX);
}

/**
 * Where the application listens; undefined: nobody calls it. `PORT` is the application's own: what is no port there, 0 or the name of a pipe, is its
 * affair. @throws MeshError `BAD_OPTIONS`
 */
export function applicationPort(environment: Environment): number | undefined {
  const told = portOf(environment, 'HEDDLE_PORT');
  if (told !== undefined) return told;
  const own = Number(given(environment['PORT']) ?? 0);
  return Number.isInteger(own) && own > 0 && own <= PORT_MAX ? own : undefined;
}

/** @throws MeshError `BAD_OPTIONS` */
export function readyTimeoutMs(environment: Environment): number {
  return numberOf(environment, 'HEDDLE_READY_TIMEOUT_MS') ?? READY_TIMEOUT_MS;
}

/** @param level as an option gives it; else the environment says. @throws MeshError `BAD_OPTIONS` */
export function logLevelOf(environment: Environment, level = given(environment['HEDDLE_LOG_LEVEL'])): ClientLogLevel | undefined {
  if (level === undefined || isLogLevel(level)) return level;
  const use = `${LOG_LEVELS.slice(0, -1).join(', ')} or ${LOG_LEVELS.at(-1)!}`;
  throw new MeshError('BAD_OPTIONS', `HEDDLE_LOG_LEVEL is ${JSON.stringify(level)}; use ${use}`);
}
