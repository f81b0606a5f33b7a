// The ways in which an instance fails, and how each is brought about and mended.
import type { Patient, ServiceWish } from './fault-mesh.ts';
import type { Mode } from './instance-process.ts';

export interface Fault extends ServiceWish {
  /** For people. */
  readonly title: string;
  begin(patient: Patient): Promise<void> | void;
  heal(patient: Patient): Promise<void> | void;
}

const OWN = { hasOwnProcess: true, hasRelay: false };
const SHARED = { hasOwnProcess: false, hasRelay: false };

export const FAULTS: readonly Fault[] = [
  {
    ...{ name: 'kill', title: 'Its process is killed', ...OWN },
    begin: ({ process }) => process.kill(),
    heal: ({ process }) => process.restart(),
  },
  {
    ...{ name: 'freeze', title: 'Its process stands still (SIGSTOP)', ...OWN },
    begin: ({ process }) => process.signal('SIGSTOP'),
    heal: ({ process }) => process.signal('SIGCONT'),
  },
  misbehaviour('slow', 'It answers after 3 s', 'slow'),
  {
    ...{ name: 'half-open', title: 'Packets to its machine and back are lost', hasOwnProcess: false, hasRelay: true },
    begin: ({ relay }) => relay?.swallow('up', 'down'),
    // What was lost does not come again: the machine knows nothing of the old connections.
    heal: ({ relay }) => {
      relay?.swallow();
      relay?.cut();
    },
  },
  misbehaviour('refuse', 'Nothing listens on its port', 'refuse'),
  misbehaviour('reset', 'It resets connections in place of an answer', 'reset'),
  misbehaviour('reset-in-response', 'It resets connections in the middle of the answer', 'reset-in-response'),
  misbehaviour('error-500', 'It answers 500', 'error-500'),
  misbehaviour('garbage', 'It answers what is not HTTP', 'garbage'),
];

function misbehaviour(name: string, title: string, mode: Mode): Fault {
  return {
    ...{ name, title, ...SHARED },
    begin: ({ process, instance }) => process.turn(instance, mode),
    heal: ({ process, instance }) => process.turn(instance, 'good'),
  };
}
