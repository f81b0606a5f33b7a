// Filled by the DNS worker.
