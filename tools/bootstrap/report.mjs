// How the bootstrap talks: short lines on stderr, so that stdout stays the command's own; errors carry what to do about them.

export class BootstrapError extends Error {
  /** @param {string} message @param {string} mend @param {number} [exitCode] */
  constructor(message, mend, exitCode = 1) {
    super(message);
    this.mend = mend;
    this.exitCode = exitCode;
  }
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`heddle: ${text}\n`);
}

/**
 * The cause of a failed file operation or npm run, in words. `text` is an error's message or npm's output.
 * @param {string} doing @param {string} text @returns {BootstrapError}
 */
export function explain(doing, text) {
  const has = (/** @type {RegExp} */ pattern) => pattern.test(text);
  if (has(/ENOSPC|no space left/i)) {
    return new BootstrapError(`${doing}: the disk is full.`, 'Free some space (about 500 MB are needed) and start again.');
  }
  if (has(/EROFS|read-only file system/i)) {
    return new BootstrapError(
      `${doing}: the file system is read-only.`,
      'Copy the repository to a place that can be written to and start there.',
    );
  }
  if (has(/EACCES|EPERM|permission denied/i)) {
    return new BootstrapError(
      `${doing}: permission denied. ${firstLineWith(text, /EACCES|EPERM|permission denied/i)}`,
      'Make the repository (and the npm cache) writable for this user, or start as the user who owns them.',
    );
  }
  if (has(/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|network|socket hang up/i)) {
    return new BootstrapError(
      `${doing}: the npm registry cannot be reached.`,
      'Check the network, and `npm config get registry` and `npm config get proxy`; then start again. What was fetched is kept in the npm cache.',
    );
  }
  if (has(/EINTEGRITY/)) {
    return new BootstrapError(
      `${doing}: a package is not what the lock file says.`,
      'Run `npm cache verify` and start again; if it stays so, do not trust the registry.',
    );
  }
  if (has(/EUSAGE/)) {
    return new BootstrapError(
      `${doing}: package-lock.json does not fit the package.json files.`,
      'Run `npm install` and then `node tools/complete-lock.ts`, and commit the lock file.',
    );
  }
  if (has(/E404|ETARGET|E401|E403/)) {
    return new BootstrapError(
      `${doing}: the npm registry does not give out a package. ${firstLineWith(text, /E404|ETARGET|E401|E403|404|No matching/i)}`,
      'Check `npm config get registry`: a mirror may lack it or ask for a login.',
    );
  }
  return new BootstrapError(
    `${doing}. The end of the output:\n${tail(text, 15)}`,
    'Start again; an interrupted install is repeated from the beginning.',
  );
}

/** @param {string} text @param {RegExp} pattern */
function firstLineWith(text, pattern) {
  return (text.split('\n').find((line) => pattern.test(line)) ?? '').trim();
}

/** @param {string} text @param {number} count */
function tail(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
