// The environment variables Heddle gives to the processes it starts: which there are, and that no file may set them itself.

export interface ServiceVariables {
  readonly url: string;
  readonly host: string;
  readonly port: string;
}

/** `user-accounts` gives USER_ACCOUNTS_URL, USER_ACCOUNTS_HOST and USER_ACCOUNTS_PORT. Distinct service names give distinct variables. */
export function serviceVariables(service: string): ServiceVariables {
  const stem = service.toUpperCase().replace(/[-.]/g, '_');
  return { url: `${stem}_URL`, host: `${stem}_HOST`, port: `${stem}_PORT` };
}

/** Set for every process, whatever it uses. */
export const MESH_VARIABLES: readonly string[] = ['PORT', 'HOST', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'];

/** True when Heddle sets the variable itself for a process that uses these services. `HEDDLE_…` is Heddle's as a whole. */
export function isReservedVariable(variable: string, uses: readonly string[]): boolean {
  if (MESH_VARIABLES.includes(variable) || variable.startsWith('HEDDLE_')) return true;
  return uses.some((service) => Object.values(serviceVariables(service)).includes(variable));
}
