// The real dice: V8's generator (seeded by the system) for choices, the system's generator for bytes that must not be guessed.
import { randomBytes } from 'node:crypto';
import type { Random } from '../ports/clock.ts';

export const nodeRandom: Random = {
  next: Math.random,
  bytes: (length) => randomBytes(length),
};
