#!/usr/bin/env node
// Checks the HTML pages for accessibility: the scheduler's status page and the quota report, by
// axe-core in Chromium, light and dark, at 360 and 1280 pixels; their keyboard use; their requests.
//
//     npm install --prefix /tmp/axe axe-core playwright-core
//     cargo build && node tests/clients/pages_check.mjs target/debug/iamlua /tmp/axe [SCREENSHOTS]
//
// Needs Chromium: that of $CHROMIUM, else `chromium` of the path. Not part of `cargo test`, which
// needs nothing but Rust.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [program, packages, screenshots] = process.argv.slice(2).map((name) => path.resolve(name));
const require = createRequire(path.join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const EVIL = "<img src=x onerror=document.title='owned'>\"'&";
const HEALTHY = {
  tag: `runbook { description = [[Tags a profile. ${EVIL}]], every = "1s" }
    iam.profiles.tag("web-frontend", { Last = tostring(os.time()) })
    print([[${EVIL}]], ("long"):rep(100))`,
  nightly: `runbook { description = "Is idle.", schedule = "0 3 * * *", timezone = "Europe/Berlin" }`,
};
const FAILING = {
  ...HEALTHY,
  fails: `runbook { description = "Fails.", every = "1s" } error("no luck <b>today</b>")`,
  slow: `runbook { description = "Takes its time.", every = "1s" } time.sleep("1h")`,
  broken: "runbook { every = '1s', ",
};

/** Scheduler on a fresh state, with its address and what it logs. */
async function scheduler(home, runbooks) {
  const folder = path.join(home, "runbooks");
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(runbooks)) {
    fs.writeFileSync(path.join(folder, `${name}.lua`), text);
  }
  const words = ["schedule", folder, "--listen", "127.0.0.1:0", "--log-format", "json"];
  const child = spawn(program, words, {
    env: { PATH: process.env.PATH, IAMLUA_HOME: path.join(home, "state") },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const waiting = new Set();
  const lines = [];
  readline.createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(JSON.parse(line));
    for (const wake of waiting) wake();
  });
  child.once("exit", () => waiting.forEach((wake) => wake()));
  /** First line of the log that is meant. */
  const says = async (isMeant) => {
    for (;;) {
      const found = lines.find(isMeant);
      if (found) return found;
      assert.equal(child.exitCode, null, JSON.stringify(lines));
      await new Promise((resolve) => {
        const wake = () => resolve(waiting.delete(wake));
        waiting.add(wake);
      });
    }
  };
  const { address } = await says((line) => line.address);
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    assert.equal(await ended, 0, JSON.stringify(lines.slice(-3)));
  };
  return { address, folder, says, stop };
}

/** Quota report of the example account, with that quota if one is given. */
function quotaReport(home, quota) {
  const env = { PATH: process.env.PATH, IAMLUA_HOME: path.join(home, "state") };
  if (quota) execFileSync(program, ["account", "quota", `profiles=${quota}`], { env });
  const file = path.join(home, "quota.html");
  const words = ["run", "scripts/quota.lua", "--html", file, "--depth", "2"];
  execFileSync(program, words, { env, stdio: "ignore" });
  return pathToFileURL(file).href;
}

/** Contrasts, names, landmarks, tables: every rule of axe-core, its experimental ones excepted. */
async function checkByAxe(page, name, isLive) {
  const rules = isLive ? { "meta-refresh": { enabled: false } } : {};
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await page.evaluate(
    ([rules, tags]) => axe.run({ rules, runOnly: tags }),
    [rules, tags],
  );
  const told = found.violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `  ${node.html}`).join("\n")}`,
  );
  assert.equal(told.length, 0, `${name}\n${told.join("\n")}`);
  assert.ok(found.passes.length > 15, `${name}: axe has looked at little`);
  // Text that is scrolled out of sight in a long output has no background for axe.
  const unclear = found.incomplete
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id} ${html}`))
    .filter((told) => !told.startsWith('color-contrast <pre class="long"'));
  assert.deepEqual(unclear, [], `${name}: axe cannot decide`);
}

/** Every stop of the Tab key is visible and has a mark; the skip link is the first. */
async function checkKeyboard(page, name) {
  const focused = () =>
    page.evaluate(() => {
      const node = document.activeElement;
      const style = getComputedStyle(node);
      const { top, bottom, width } = node.getBoundingClientRect();
      const isVisible = width > 0 && bottom > 0 && top < innerHeight;
      const mark = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
      return { tag: node.tagName, text: node.textContent.slice(0, 40), isVisible, mark };
    });
  const stops = await page.evaluate(() => document.querySelectorAll("a, [tabindex='0']").length);
  for (let stop = 0; stop < stops; stop += 1) {
    await page.keyboard.press("Tab");
    const { tag, text, isVisible, mark } = await focused();
    assert.ok(isVisible && mark, `${name}: stop ${stop}, ${tag} ${text}, is not seen`);
    if (stop === 0) assert.equal(text, "Skip to content", name);
  }
  await page.keyboard.press("Tab");
  assert.equal((await focused()).tag, "BODY", `${name}: the focus does not leave the page`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal((await focused()).tag, "MAIN", `${name}: the skip link leads nowhere`);
}

async function checkPage(context, url, name, colours) {
  const page = await context.newPage();
  const requests = [];
  const errors = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => errors.push(message.text()));
  const answer = await page.goto(url);
  if (screenshots) {
    await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
  }
  colours.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  await checkByAxe(page, name, url.endsWith("?live"));
  const { width, left } = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    left: innerWidth,
  }));
  assert.ok(width <= left, `${name} is ${width} wide on a screen of ${left}`);
  assert.deepEqual(await page.locator("script, img, iframe, form, [style]").count(), 0, name);
  assert.ok(!(await page.title()).includes("owned"), name);
  // Once for each page and width; the live page may load itself meanwhile.
  if (name.endsWith("-light") && !url.endsWith("?live")) await checkKeyboard(page, name);
  // A page that is missing is an error for the console, and for nobody else.
  const isMissing = answer && answer.status() === 404;
  assert.deepEqual(isMissing ? [] : errors, [], name);
  const strange = requests.filter((address) => new URL(address).pathname !== new URL(url).pathname);
  assert.deepEqual(strange, [], name);
  await page.close();
}

/** Addresses of the pages of a run, one for each of these outcomes. */
async function runsOf(browser, address) {
  const page = await browser.newPage();
  const pages = {};
  for (const [job, outcome] of [
    ["tag", "done"],
    ["fails", "failed"],
    ["slow", "running"],
  ]) {
    await page.goto(job === "slow" ? address : `${address}jobs/${job}`);
    const row = page.locator("tr", { hasText: job === "slow" ? "slow" : outcome }).first();
    const run = await row.locator("a[href^='/runs/']").first().getAttribute("href");
    pages[outcome] = new URL(run, address).href;
  }
  await page.close();
  return pages;
}

async function main() {
  if (screenshots) fs.mkdirSync(screenshots, { recursive: true });
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "iamlua-pages-"));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || execFileSync("which", ["chromium"]).toString().trim(),
    args: ["--no-sandbox", "--disable-background-networking"],
  });
  const running = [];
  const problems = [];
  try {
    const done = (job) => (line) => line.job === job && line.outcome;
    const healthy = await scheduler(path.join(root, "healthy"), HEALTHY);
    running.push(healthy);
    await healthy.says(done("tag"));
    const failing = await scheduler(path.join(root, "failing"), FAILING);
    running.push(failing);
    await failing.says(done("tag"));
    await failing.says(done("fails"));
    await failing.says((line) => line.job === "slow");
    const empty = await scheduler(path.join(root, "empty"), { nightly: HEALTHY.nightly });
    running.push(empty);
    fs.rmSync(path.join(empty.folder, "nightly.lua"));
    await empty.says((line) => line.job === "nightly" && line.message.includes("is gone"));
    const runs = await runsOf(browser, failing.address);
    const pages = {
      "no-jobs": empty.address,
      healthy: healthy.address,
      failing: failing.address,
      live: `${failing.address}?live`,
      "job-failing": `${failing.address}jobs/fails`,
      "job-done": `${failing.address}jobs/tag`,
      "run-done": runs.done,
      "run-failed": runs.failed,
      "run-running": runs.running,
      "run-missing": `${failing.address}runs/none`,
      quota: quotaReport(path.join(root, "report")),
      "quota-full": quotaReport(path.join(root, "full"), "25"),
    };
    for (const colorScheme of ["light", "dark"]) {
      const colours = new Set();
      for (const width of [360, 1280]) {
        const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
        await context.addInitScript(axeSource);
        for (const [name, url] of Object.entries(pages)) {
          const shown = `${name}-${width}-${colorScheme}`;
          // All problems are said at once.
          await checkPage(context, url, shown, colours).catch((error) => problems.push(error));
        }
        await context.close();
      }
      assert.equal(colours.size, 1, `${colorScheme} pages have one look: ${[...colours]}`);
    }
    assert.equal(problems.length, 0, problems.map((problem) => problem.message).join("\n\n"));
    console.log(`${Object.keys(pages).length} pages, light and dark, at 360 and 1280: all is well`);
  } finally {
    await browser.close();
    await Promise.all(running.map(({ stop }) => stop()));
    fs.rmSync(root, { recursive: true });
  }
}

await main();
