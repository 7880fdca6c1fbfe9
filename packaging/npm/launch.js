#!/usr/bin/env node
// Runs the program of this machine's platform, which is a package of its own.
"use strict";

const { spawnSync } = require("node:child_process");

const name = `dfmigrate-${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${name}/bin/dfmigrate`);
} catch {
  console.error(
    `dfmigrate: there is no program for ${process.platform} on ${process.arch}: ` +
      `the package ${name} is not installed (npm leaves it out with --omit=optional)`,
  );
  process.exit(2);
}
const { status, signal, error } = spawnSync(program, process.argv.slice(2), { stdio: "inherit" });
if (error) {
  console.error(`dfmigrate: ${error.message}`);
  process.exit(2);
}
// Ended by a signal, it ends as a shell would say it.
process.exit(signal ? 128 + require("node:os").constants.signals[signal] : status);
