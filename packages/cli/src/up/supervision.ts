// What a supervised proxy finds in its environment.

/** Says who supervises the proxy by its process id; such a proxy does not give way to a new process by itself. */
export const SUPERVISOR_VARIABLE = 'HEDDLE_SUPERVISOR';
