// The files that `security` names: some are read with the mesh file, secrets are only looked for.
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import { readNamed, type ConfigFiles, type FileProblem, type FileTexts } from '../named-files.ts';
import { valueFault, warning } from './raw.ts';

export class SecurityFiles {
  readonly #files: ConfigFiles | undefined;
  readonly #texts: FileTexts;

  /** @param files undefined: they are on another machine. @param texts gets what was read. */
  constructor(files: ConfigFiles | undefined, texts: FileTexts) {
    this.#files = files;
    this.#texts = texts;
  }

  /** @param problemOf what is wrong with the content. */
  check(name: unknown, problemOf: (text: string, name: unknown) => FileProblem | undefined, path: Path): Fault[] {
    if (typeof name !== 'string' || name === '') return [];
    if (this.#files === undefined) return [elsewhere(name, path)];
    const faults: Fault[] = [];
    const text = readNamed(name, path, this.#files, this.#texts, faults);
    const problem = text === undefined ? undefined : problemOf(text, name);
    return problem === undefined ? faults : [...faults, valueFault(path, problem.reason, problem.mend)];
  }

  /** It may be on the machines of the data planes only, and come later; what is in it goes nowhere. */
  checkSecret(name: unknown, path: Path): Fault[] {
    if (this.#files?.secrets === 'elsewhere') return [];
    if (typeof name !== 'string' || name === '' || name.includes('\0') || this.#files === undefined) return [];
    try {
      if (this.#files.read(name).trim() !== '') return [];
      return [warning(valueFault(path, `${shown(name)} is empty on this machine`, 'write the secret into it'))];
    } catch (error) {
      const reason = `${shown(name)} cannot be read on this machine: ${(error as Error).message}`;
      return [
        warning(
          valueFault(
            path,
            reason,
            'put it on each machine whose data plane needs it; relative names start from the directory of this file',
          ),
        ),
      ];
    }
  }
}

function elsewhere(name: string, path: Path): Fault {
  const reason = `${shown(name)} is not looked at here: it is on the machine of this file`;
  return warning(valueFault(path, reason, 'run `heddle validate` there'));
}
